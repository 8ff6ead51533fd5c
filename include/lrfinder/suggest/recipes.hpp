#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/suggest/numeric.hpp>
#include <lrfinder/suggest/suggestion.hpp>

/// How to read a learning rate off a curve.
///
/// The recipes in this header are those of other tools, to the last digit: they read
/// `history.loss` as it stands, and what they make of odd curves (flat, rising, ending in NaN) is
/// what the tool makes of them. `suggest::steepest` is the one to train with.
namespace lrfinder::detail {

/// Index of the iteration whose learning rate is nearest to `lr`. The history is not empty.
inline std::size_t nearest_iteration(const History& history, double lr) {
  const auto nearer = [lr](double a, double b) { return std::fabs(a - lr) < std::fabs(b - lr); };
  return static_cast<std::size_t>(std::min_element(history.lr.begin(), history.lr.end(), nearer) -
                                  history.lr.begin());
}

/// The suggestion of a recipe that reads `history.loss` and came to rest at `lr`.
inline Suggestion suggestion_at(const History& history, const std::string& recipe, double lr) {
  Suggestion suggestion;
  suggestion.lr = lr;
  suggestion.index = nearest_iteration(history, lr);
  suggestion.loss = history.loss[suggestion.index];
  suggestion.recipe = recipe;
  if (!std::all_of(history.loss.begin(), history.loss.end(),
                   [](double loss) { return std::isfinite(loss); })) {
    suggestion.caveat =
        "the curve has losses that are not finite, which " + recipe + " may take for the smallest";
  }
  return suggestion;
}

inline Suggestion suggestion_at(const History& history, const std::string& recipe,
                                std::size_t index) {
  Suggestion suggestion = suggestion_at(history, recipe, history.lr[index]);
  suggestion.index = index;
  suggestion.loss = history.loss[index];
  return suggestion;
}

inline void require_points(const std::string& recipe, std::size_t found, std::size_t needed,
                           const std::string& remedy = "raise num_iter") {
  if (found >= needed) return;
  throw NoSuggestion(recipe + ": the curve has " + std::to_string(found) +
                     " usable losses, but the recipe needs " + std::to_string(needed) + "; " +
                     remedy);
}

/// For each value, the length of the longest strictly decreasing subsequence that ends there.
/// A NaN is in no subsequence but its own. O(n log n), by patience sorting (Fredman 1975).
inline std::vector<std::size_t> decreasing_lengths(const std::vector<double>& values) {
  std::vector<double> largest_last;  // of the subsequences of length 1, 2, ...; decreasing
  std::vector<std::size_t> lengths;
  lengths.reserve(values.size());
  for (const double value : values) {
    if (std::isnan(value)) {
      lengths.push_back(1);
      continue;
    }
    const auto place = std::lower_bound(largest_last.begin(), largest_last.end(), value,
                                        [](double last, double v) { return last > v; });
    lengths.push_back(static_cast<std::size_t>(place - largest_last.begin()) + 1);
    if (place == largest_last.end()) {
      largest_last.push_back(value);
    } else {
      *place = value;
    }
  }
  return lengths;
}

}  // namespace lrfinder::detail

namespace lrfinder::suggest {

/// The learning rate at the argmin of the gradient from one iteration to the next, as
/// pytorch-lr-finder's `plot(suggest_lr=True)`: the textbook recipe.
///
/// `skip_start`, `skip_end`: iterations left out at either end (pytorch-lr-finder plots with 10
/// and 5). Throws NoSuggestion where fewer than two are left. A function object, so that it serves
/// as a Recipe with its defaults. O(n).
struct GradientArgmin {
  /// Reads the suggestion off a history.
  Suggestion operator()(const History& history, std::size_t skip_start = 0,
                        std::size_t skip_end = 0) const {
    detail::require_points("gradient_argmin", history.size(), skip_start + skip_end + 2,
                           "raise num_iter or skip less");
    const std::vector<double> losses(history.loss.begin() + static_cast<std::ptrdiff_t>(skip_start),
                                     history.loss.end() - static_cast<std::ptrdiff_t>(skip_end));
    return detail::suggestion_at(history, "gradient_argmin",
                                 skip_start + argmin(index_gradient(losses)));
  }
};
/// The recipe, to be called or passed on.
inline constexpr GradientArgmin gradient_argmin{};

/// The learning rate at the argmin of the derivative of the loss with respect to the learning
/// rate, the losses in single precision, as PyTorch Lightning's `suggestion()` since version 2.5.3.
/// On an exponential schedule it leans to the lowest rates tested.
///
/// `skip_begin`, `skip_end`: iterations left out at either end; as in Lightning, a `skip_end` of 0
/// leaves none. Losses that are not finite are left out too. Throws NoSuggestion where fewer than
/// two are left. A function object, as gradient_argmin. O(n).
struct Lightning {
  /// Reads the suggestion off a history.
  Suggestion operator()(const History& history, std::size_t skip_begin = 10,
                        std::size_t skip_end = 1) const {
    std::vector<double> lr;
    std::vector<float> losses;
    std::vector<std::size_t> index;
    const std::size_t end = history.size() - std::min(skip_end, history.size());
    for (std::size_t i = skip_begin; skip_end > 0 && i < end; ++i) {
      const auto loss = static_cast<float>(history.loss[i]);
      if (!std::isfinite(loss)) continue;
      lr.push_back(history.lr[i]);
      losses.push_back(loss);
      index.push_back(i);
    }
    detail::require_points("lightning", losses.size(), 2, "raise num_iter or skip less");
    Suggestion suggestion =
        detail::suggestion_at(history, "lightning", index[argmin(uneven_gradient(losses, lr))]);
    suggestion.caveat.clear();  // losses that are not finite were left out
    return suggestion;
  }
};
/// The recipe, to be called or passed on.
inline constexpr Lightning lightning{};

/// The learning rate at the argmin of the central difference, rounded to single precision, up to
/// the smallest loss, as Ignite's `FastaiLRFinder.lr_suggestion()`.
///
/// Throws NoSuggestion where the smallest loss is one of the first two. O(n).
inline Suggestion ignite(const History& history) {
  detail::require_points("ignite", history.size(), 3);
  const std::vector<float> single_precision(history.loss.begin(), history.loss.end());
  const std::size_t lowest = argmin(single_precision);
  detail::require_points("ignite", lowest + 1, 3,
                         "the loss is lowest at the start: lower start_lr or raise end_lr");
  std::vector<float> gradient;
  for (std::size_t i = 1; i < lowest; ++i) {
    gradient.push_back(static_cast<float>((history.loss[i + 1] - history.loss[i - 1]) / 2));
  }
  return detail::suggestion_at(history, "ignite", argmin(gradient) + 1);
}

/// The learning rate halfway through the longest valley, as fastai's `valley`, its default.
///
/// With \f$L\f$ the length of the longest decreasing subsequence of losses and \f$e\f$ the first
/// iteration at which one of that length ends, the answer is iteration
/// \f$e - L + \lfloor L/3 \rfloor + \lfloor L/6 \rfloor\f$; -1 is the last iteration, as in
/// Python. Where no loss is below an earlier one it is the first. Throws NoSuggestion on an empty
/// history. O(n log n), where fastai's loop is O(n^2).
inline Suggestion valley(const History& history) {
  detail::require_points("valley", history.size(), 1);
  const std::vector<std::size_t> lengths = detail::decreasing_lengths(history.loss);
  const auto longest = std::max_element(lengths.begin(), lengths.end());
  if (*longest == 1) return detail::suggestion_at(history, "valley", std::size_t{0});
  const auto end = static_cast<std::size_t>(longest - lengths.begin());
  const std::size_t after_start = *longest / 3 + *longest / 6;
  const bool wraps = end + after_start < *longest;
  return detail::suggestion_at(history, "valley",
                               wraps ? history.size() - 1 : end - *longest + after_start);
}

/// The learning rate at which the gradient settles, coming from the right, as fastai's `slide`:
/// two gradients 15 iterations apart move left together while they differ by more than 0.005, and
/// the last rate of the left one is the answer.
///
/// The threshold is a loss, so the answer changes when the loss is scaled. Throws NoSuggestion
/// where there are fewer than 16 iterations. O(n).
inline Suggestion slide(const History& history) {
  constexpr std::size_t apart = 15;
  constexpr double threshold = 0.005;
  detail::require_points("slide", history.size(), apart + 1);
  const std::vector<double> gradient = index_gradient(history.loss);
  std::size_t settled = history.size() - 1 - apart;
  for (std::size_t left = settled + 1;
       left-- > 0 && std::fabs(gradient[left + apart] - gradient[left]) > threshold;) {
    settled = left;
  }
  return detail::suggestion_at(history, "slide", settled);
}

/// A tenth of the learning rate at the smallest loss, as fastai's `minimum`.
///
/// Throws NoSuggestion on an empty history. O(n).
inline Suggestion minimum(const History& history) {
  detail::require_points("minimum", history.size(), 1);
  return detail::suggestion_at(history, "minimum", history.lr[argmin(history.loss)] / 10);
}

/// The learning rate from which the loss falls fastest to the next, per decade of the learning
/// rate, as fastai's `steep`.
///
/// Throws NoSuggestion where there are fewer than two iterations. O(n).
inline Suggestion steep(const History& history) {
  detail::require_points("steep", history.size(), 2);
  std::vector<double> gradient;
  for (std::size_t i = 1; i < history.size(); ++i) {
    gradient.push_back((history.loss[i] - history.loss[i - 1]) /
                       (std::log(history.lr[i]) - std::log(history.lr[i - 1])));
  }
  return detail::suggestion_at(history, "steep", argmin(gradient));
}

}  // namespace lrfinder::suggest
