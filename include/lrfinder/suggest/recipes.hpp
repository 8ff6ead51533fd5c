#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/suggestion.hpp>
#include <lrfinder/suggest/numeric.hpp>
#include <lrfinder/suggest/steepest.hpp>

/// @file
/// The recipes of other tools, and the table of all recipes. The recipes of other tools read the
/// smoothed loss. They give exactly the results of these tools, also on unusual curves (flat,
/// rising, ending in NaN). To train, use the rate of `suggest::steepest`.

namespace lrfinder {

/// The result of one recipe on a curve.
struct SuggestionRow {
  /// Name of the recipe.
  std::string recipe;
  /// The suggestion. Empty if the recipe threw NoSuggestion.
  std::optional<Suggestion> suggestion;
  /// The message of NoSuggestion. Empty if there is a suggestion.
  std::string reason;
};

/// The results of several recipes, as suggest::all returns them.
using SuggestionTable = std::vector<SuggestionRow>;

/// Prints a line for each recipe: its name and learning rate, and the caveat in parentheses. If
/// there is no suggestion, the parentheses hold the reason.
inline std::ostream& operator<<(std::ostream& out, const SuggestionTable& table) {
  for (const auto& [recipe, suggestion, reason] : table) {
    const std::string& remark = suggestion ? suggestion->caveat : reason;
    out << recipe + std::string(std::max<std::size_t>(17, recipe.size() + 1) - recipe.size(), ' ') +
               (suggestion ? detail::rounded(suggestion->lr) : "none") +
               (remark.empty() ? "" : "  (" + remark + ")") + '\n';
  }
  return out;
}

}  // namespace lrfinder

namespace lrfinder::detail {

/// Suggests the learning rate of one iteration, for a recipe that reads `history.loss`.
inline Suggestion suggestion_at(const History& history, const std::string& recipe,
                                std::size_t index) {
  const bool all_finite = std::all_of(history.loss.begin(), history.loss.end(),
                                      [](double loss) { return std::isfinite(loss); });
  return {history.lr[index], index, history.loss[index], recipe,
          all_finite ? ""
                     : "the curve has losses that are not finite; " + recipe +
                           " may take one for the smallest"};
}

/// Throws NoSuggestion if a recipe has found fewer losses than it needs.
inline void require_losses(const std::string& recipe, std::size_t found, std::size_t needed,
                           const std::string& remedy) {
  if (found >= needed) return;
  throw NoSuggestion(concat(recipe, ": the curve has ", found,
                            " usable losses, but the recipe needs ", needed, "; ", remedy));
}

/// Throws NoSuggestion if a history has fewer losses than the recipe needs. Throws InvalidHistory
/// if the columns of the history differ in length.
inline void require_losses(const std::string& recipe, const History& history, std::size_t needed) {
  require_column(history.lr, history.loss, "loss");
  require_losses(recipe, history.size(), needed, "raise num_iter");
}

}  // namespace lrfinder::detail

namespace lrfinder::suggest {

/// The textbook recipe: the learning rate at the argmin of the change of the loss per iteration.
/// Source: pytorch-lr-finder, `plot(suggest_lr=True)`.
///
/// `skip_start`, `skip_end`: number of iterations left out at the start and at the end (10 and 5 in
/// the plots of pytorch-lr-finder). Throws NoSuggestion if fewer than two iterations are left. This
/// is a lambda, so that it can be used as a Recipe too. O(n).
inline constexpr auto gradient_argmin = [](const History& history, std::size_t skip_start = 0,
                                           std::size_t skip_end = 0) {
  detail::require_losses("gradient_argmin", history, 2);
  const std::size_t end = history.size() - std::min(skip_end, history.size());
  const std::size_t begin = std::min(skip_start, end);
  detail::require_losses("gradient_argmin", end - begin, 2, "raise num_iter or skip less");
  const std::vector<double> losses(history.loss.begin() + static_cast<std::ptrdiff_t>(begin),
                                   history.loss.begin() + static_cast<std::ptrdiff_t>(end));
  return detail::suggestion_at(history, "gradient_argmin",
                               begin + detail::argmin(detail::index_gradient(losses)));
};

/// The learning rate at the argmin of the derivative of the loss with respect to the learning rate.
/// The losses are in single precision. With an exponential schedule, the result is often one of the
/// lowest rates of the test. Source: PyTorch Lightning, `suggestion()` since version 2.5.3.
///
/// `skip_begin`, `skip_end`: number of iterations left out at the start and at the end. As in
/// Lightning, a `skip_end` of 0 leaves out all. Losses that are not finite are left out too. Throws
/// NoSuggestion if fewer than two losses are left. This lambda can be used as a Recipe too. O(n).
inline constexpr auto lightning = [](const History& history, std::size_t skip_begin = 10,
                                     std::size_t skip_end = 1) {
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
  const std::size_t i = index[detail::argmin(detail::uneven_gradient(losses, lr))];
  return Suggestion{history.lr[i], i, history.loss[i], "lightning"};
};

/// The learning rate at the argmin of the central difference of the loss, in single precision. The
/// losses after the smallest one are left out. Source: Ignite, `FastaiLRFinder.lr_suggestion()`.
///
/// Throws NoSuggestion if the smallest loss is one of the first two. O(n).
inline Suggestion ignite(const History& history) {
  detail::require_losses("ignite", history, 3);
  const std::vector<float> single_precision(history.loss.begin(), history.loss.end());
  const std::size_t lowest = detail::argmin(single_precision);
  detail::require_losses("ignite", lowest + 1, 3,
                         "the loss is lowest at the start: lower start_lr or raise end_lr");
  std::vector<float> gradient;
  for (std::size_t i = 1; i < lowest; ++i) {
    gradient.push_back(static_cast<float>((history.loss[i + 1] - history.loss[i - 1]) / 2));
  }
  return detail::suggestion_at(history, "ignite", detail::argmin(gradient) + 1);
}

/// The learning rate halfway through the longest valley. Source: fastai, `valley`, its default.
///
/// Let `L` be the length of the longest decreasing subsequence of losses, and `e` the first
/// iteration at which a subsequence of this length ends. The suggestion is the rate of iteration
/// `e - L + floor(L/3) + floor(L/6)`; iteration -1 is the last one, as in
/// Python. If no loss is below an earlier one, the suggestion is the rate of the first iteration.
/// Throws NoSuggestion on an empty history. O(n log n); fastai's loop is O(n^2).
inline Suggestion valley(const History& history) {
  detail::require_losses("valley", history, 1);
  // Patience sorting (Fredman 1975): the largest last loss of the subsequences of length 1, 2, ...
  std::vector<double> largest_last;
  std::size_t end = 0;
  for (std::size_t i = 0; i < history.size(); ++i) {
    const double loss = history.loss[i];
    if (std::isnan(loss)) continue;  // never part of a longer subsequence
    const auto place =
        std::lower_bound(largest_last.begin(), largest_last.end(), loss, std::greater<>());
    if (place != largest_last.end()) {
      *place = loss;
    } else {
      largest_last.push_back(loss);
      end = i;
    }
  }
  const std::size_t length = largest_last.size();
  if (length <= 1) return detail::suggestion_at(history, "valley", 0);
  const std::size_t after_start = length / 3 + length / 6;
  const bool wraps = end + after_start < length;
  return detail::suggestion_at(history, "valley",
                               wraps ? history.size() - 1 : end - length + after_start);
}

/// The learning rate at which the change of the loss settles. Source: fastai, `slide`.
///
/// The recipe compares the changes at two iterations that are 15 apart. It begins at the end of the
/// curve and moves to the left for as long as the two changes differ by more than 0.005. The
/// suggestion is the rate of the left iteration of the last such pair. Throws NoSuggestion if there
/// are fewer than 16 iterations. O(n).
inline Suggestion slide(const History& history) {
  constexpr std::size_t apart = 15;
  constexpr double threshold = 0.005;
  detail::require_losses("slide", history, apart + 1);
  const std::vector<double> gradient = detail::index_gradient(history.loss);
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
  const double lr = history.lr[detail::argmin(history.loss)] / 10;
  const std::size_t nearest = detail::nearest_index(history.lr, lr);
  Suggestion suggestion = detail::suggestion_at(history, "minimum", nearest);
  suggestion.lr = lr;
  return suggestion;
}

/// The learning rate at which the steepest step between two iterations starts. Steepest means: the
/// loss falls most per decade of the rate. Source: fastai, `steep`.
///
/// Throws NoSuggestion if there are fewer than two iterations. O(n).
inline Suggestion steep(const History& history) {
  detail::require_losses("steep", history, 2);
  std::vector<double> gradient;
  for (std::size_t i = 1; i < history.size(); ++i) {
    gradient.push_back((history.loss[i] - history.loss[i - 1]) /
                       (std::log(history.lr[i]) - std::log(history.lr[i - 1])));
  }
  return detail::suggestion_at(history, "steep", detail::argmin(gradient));
}

/// The results of all recipes on a curve, each with its default arguments. suggest::steepest comes
/// first. If a recipe throws NoSuggestion, its row holds the message. O(n log n).
inline SuggestionTable all(const History& history) {
  static const std::pair<const char*, Recipe> recipes[] = {
      {"steepest", steepest},   {"gradient_argmin", gradient_argmin},
      {"lightning", lightning}, {"ignite", ignite},
      {"valley", valley},       {"slide", slide},
      {"minimum", minimum},     {"steep", steep},
  };
  SuggestionTable table;
  for (const auto& [name, recipe] : recipes) {
    try {
      table.push_back({name, recipe(history), ""});
    } catch (const NoSuggestion& no_suggestion) {
      table.push_back({name, std::nullopt, no_suggestion.what()});
    }
  }
  return table;
}

}  // namespace lrfinder::suggest
