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

/// @file
/// The recipes of other tools. Each gives the result of its tool to the last digit, on odd curves
/// (flat, rising, ending in NaN) as well. They read `history.loss`, the smoothed loss.
/// `suggest::steepest` is the recipe to train with.

namespace lrfinder::detail {

/// The suggestion `lr` of a recipe that reads `history.loss`.
inline Suggestion suggestion_at(const History& history, const std::string& recipe, double lr) {
  Suggestion suggestion;
  suggestion.lr = lr;
  suggestion.index = nearest_index(history.lr, lr);
  suggestion.loss = history.loss[suggestion.index];
  suggestion.recipe = recipe;
  if (!std::all_of(history.loss.begin(), history.loss.end(),
                   [](double loss) { return std::isfinite(loss); })) {
    suggestion.caveat =
        "the curve has losses that are not finite; " + recipe + " may take one for the smallest";
  }
  return suggestion;
}

/// The suggestion of the learning rate of one iteration.
inline Suggestion suggestion_at(const History& history, const std::string& recipe,
                                std::size_t index) {
  Suggestion suggestion = suggestion_at(history, recipe, history.lr[index]);
  suggestion.index = index;
  suggestion.loss = history.loss[index];
  return suggestion;
}

/// Throws NoSuggestion where there are fewer losses than the recipe needs.
inline void require_losses(const std::string& recipe, std::size_t found, std::size_t needed,
                           const std::string& remedy) {
  if (found >= needed) return;
  throw NoSuggestion(recipe + ": the curve has " + std::to_string(found) +
                     " usable losses, but the recipe needs " + std::to_string(needed) + "; " +
                     remedy);
}

/// Throws NoSuggestion where a history has fewer losses than the recipe needs, InvalidHistory where
/// its columns differ in length.
inline void require_losses(const std::string& recipe, const History& history, std::size_t needed) {
  require_column(history, history.loss, "loss");
  require_losses(recipe, history.size(), needed, "raise num_iter");
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

/// The learning rate at the argmin of the change of the loss from iteration to iteration: the
/// textbook recipe. Source: pytorch-lr-finder, `plot(suggest_lr=True)`.
///
/// `skip_start`, `skip_end`: iterations left out at either end; default 0 (pytorch-lr-finder plots
/// with 10 and 5). Throws NoSuggestion where fewer than two are left. A function object, so that it
/// is also a Recipe. O(n).
struct GradientArgmin {
  /// Reads the suggestion off a history.
  Suggestion operator()(const History& history, std::size_t skip_start = 0,
                        std::size_t skip_end = 0) const {
    detail::require_losses("gradient_argmin", history, 2);
    const std::size_t end = history.size() - std::min(skip_end, history.size());
    const std::size_t begin = std::min(skip_start, end);
    detail::require_losses("gradient_argmin", end - begin, 2, "raise num_iter or skip less");
    const std::vector<double> losses(history.loss.begin() + static_cast<std::ptrdiff_t>(begin),
                                     history.loss.begin() + static_cast<std::ptrdiff_t>(end));
    return detail::suggestion_at(history, "gradient_argmin",
                                 begin + argmin(index_gradient(losses)));
  }
};
/// The recipe, to be called or passed on.
inline constexpr GradientArgmin gradient_argmin{};

/// The learning rate at the argmin of the derivative of the loss with respect to the learning
/// rate, with the losses in single precision. On an exponential schedule it tends to the lowest
/// rates of the test. Source: PyTorch Lightning, `suggestion()` since version 2.5.3.
///
/// `skip_begin`, `skip_end`: iterations left out at either end; default 10 and 1. As in Lightning,
/// no iteration is left where `skip_end` is 0. Losses that are not finite are left out too. Throws
/// NoSuggestion where fewer than two are left. A function object, like gradient_argmin. O(n).
struct Lightning {
  /// Reads the suggestion off a history.
  Suggestion operator()(const History& history, std::size_t skip_begin = 10,
                        std::size_t skip_end = 1) const {
    detail::require_losses("lightning", history, 2);
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
    detail::require_losses("lightning", losses.size(), 2, "raise num_iter or skip less");
    Suggestion suggestion =
        detail::suggestion_at(history, "lightning", index[argmin(uneven_gradient(losses, lr))]);
    suggestion.caveat.clear();  // losses that are not finite were left out
    return suggestion;
  }
};
/// The recipe, to be called or passed on.
inline constexpr Lightning lightning{};

/// The learning rate at the argmin of the central difference of the loss, in single precision, up
/// to the smallest loss. Source: Ignite, `FastaiLRFinder.lr_suggestion()`.
///
/// Throws NoSuggestion where the smallest loss is one of the first two. O(n).
inline Suggestion ignite(const History& history) {
  detail::require_losses("ignite", history, 3);
  const std::vector<float> single_precision(history.loss.begin(), history.loss.end());
  const std::size_t lowest = argmin(single_precision);
  detail::require_losses("ignite", lowest + 1, 3,
                         "the loss is lowest at the start: lower start_lr or raise end_lr");
  std::vector<float> gradient;
  for (std::size_t i = 1; i < lowest; ++i) {
    gradient.push_back(static_cast<float>((history.loss[i + 1] - history.loss[i - 1]) / 2));
  }
  return detail::suggestion_at(history, "ignite", argmin(gradient) + 1);
}

/// The learning rate halfway through the longest valley. Source: fastai, `valley`, its default.
///
/// With \f$L\f$ the length of the longest decreasing subsequence of losses and \f$e\f$ the first
/// iteration at which one of that length ends, the suggestion is the rate of iteration
/// \f$e - L + \lfloor L/3 \rfloor + \lfloor L/6 \rfloor\f$; -1 is the last iteration, as in
/// Python. Where no loss is below an earlier one, it is the rate of the first iteration. Throws
/// NoSuggestion on an empty history. O(n log n); fastai's loop is O(n^2).
inline Suggestion valley(const History& history) {
  detail::require_losses("valley", history, 1);
  const std::vector<std::size_t> lengths = detail::decreasing_lengths(history.loss);
  const auto longest = std::max_element(lengths.begin(), lengths.end());
  if (*longest == 1) return detail::suggestion_at(history, "valley", std::size_t{0});
  const auto end = static_cast<std::size_t>(longest - lengths.begin());
  const std::size_t after_start = *longest / 3 + *longest / 6;
  const bool wraps = end + after_start < *longest;
  return detail::suggestion_at(history, "valley",
                               wraps ? history.size() - 1 : end - *longest + after_start);
}

/// The learning rate at which the change of the loss settles. Source: fastai, `slide`.
///
/// The changes at two iterations 15 apart are compared, from the end of the curve to the left,
/// while they differ by more than 0.005. The suggestion is the rate of the last left one of the
/// two. The threshold is in units of the loss, so the suggestion depends on the scale of the loss.
/// Throws NoSuggestion where there are fewer than 16 iterations. O(n).
inline Suggestion slide(const History& history) {
  constexpr std::size_t apart = 15;
  constexpr double threshold = 0.005;
  detail::require_losses("slide", history, apart + 1);
  const std::vector<double> gradient = index_gradient(history.loss);
  std::size_t settled = history.size() - 1 - apart;
  for (std::size_t left = settled + 1;
       left-- > 0 && std::fabs(gradient[left + apart] - gradient[left]) > threshold;) {
    settled = left;
  }
  return detail::suggestion_at(history, "slide", settled);
}

/// A tenth of the learning rate at the smallest loss. Source: fastai, `minimum`.
///
/// Throws NoSuggestion on an empty history. O(n).
inline Suggestion minimum(const History& history) {
  detail::require_losses("minimum", history, 1);
  return detail::suggestion_at(history, "minimum", history.lr[argmin(history.loss)] / 10);
}

/// The learning rate at which the loss falls most to the next iteration, per decade of the learning
/// rate. Source: fastai, `steep`.
///
/// Throws NoSuggestion where there are fewer than two iterations. O(n).
inline Suggestion steep(const History& history) {
  detail::require_losses("steep", history, 2);
  std::vector<double> gradient;
  for (std::size_t i = 1; i < history.size(); ++i) {
    gradient.push_back((history.loss[i] - history.loss[i - 1]) /
                       (std::log(history.lr[i]) - std::log(history.lr[i - 1])));
  }
  return detail::suggestion_at(history, "steep", argmin(gradient));
}

}  // namespace lrfinder::suggest
