#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/suggest/numeric.hpp>
#include <lrfinder/suggest/steepest.hpp>
#include <lrfinder/suggest/suggestion.hpp>

namespace lrfinder {

/// The median of several range tests, iteration by iteration. As a history it can be read by every
/// recipe and drawn by every plot.
struct MedianHistory : History {
  /// Lower quartile of the raw losses of each iteration; infinite where three quarters of the tests
  /// have ended.
  std::vector<double> lower_quartile;
  /// Upper quartile of the raw losses of each iteration; infinite where a quarter of the tests have
  /// ended.
  std::vector<double> upper_quartile;
};

/// The median curve of several range tests of one model, with other seeds or other batches.
///
/// A test that has ended counts as an infinite loss from then on, so the median curve ends where
/// half of the tests have ended. Raw and smoothed losses have separate medians. The settings are
/// those of the first test; `grad_norm` and `metrics` are empty.
///
/// `histories`: at least one, with the same learning rates (relative tolerance 1e-9) as far as they
/// go. Throws InvalidHistory where there is none, or where the learning rates differ. O(n k) for k
/// histories of n iterations.
inline MedianHistory median(const std::vector<History>& histories) {
  if (histories.empty()) throw InvalidHistory("median: no histories; give at least one");
  const auto& longest =
      *std::max_element(histories.begin(), histories.end(),
                        [](const auto& a, const auto& b) { return a.size() < b.size(); });

  MedianHistory result;
  result.settings = histories.front().settings;
  result.stop_reason = longest.stop_reason;
  for (const auto& history : histories) result.wall_seconds += history.wall_seconds;

  for (std::size_t i = 0; i < longest.size(); ++i) {
    std::vector<double> raw, smoothed;
    const auto loss_at = [i](const std::vector<double>& column) {
      const bool is_finite = i < column.size() && std::isfinite(column[i]);
      return is_finite ? column[i] : std::numeric_limits<double>::infinity();
    };
    for (const History& history : histories) {
      if (i < history.size() && std::fabs(history.lr[i] - longest.lr[i]) > 1e-9 * longest.lr[i]) {
        throw InvalidHistory(
            "median: the learning rates differ at iteration " + std::to_string(i) + " (" +
            detail::to_text(history.lr[i]) + " and " + detail::to_text(longest.lr[i]) +
            "); repeat the range test with the same start_lr, end_lr and num_iter");
      }
      raw.push_back(loss_at(history.raw_loss));
      smoothed.push_back(loss_at(history.loss));
    }
    const double middle = quantile(raw, 0.5);
    if (std::isinf(middle)) {
      result.stop_reason = StopReason::diverged;
      break;
    }
    result.lr.push_back(longest.lr[i]);
    result.raw_loss.push_back(middle);
    result.loss.push_back(quantile(smoothed, 0.5));
    result.lower_quartile.push_back(quantile(raw, 0.25));
    result.upper_quartile.push_back(quantile(raw, 0.75));
  }
  for (const auto& column : longest.group_lr) {
    result.group_lr.emplace_back(column.begin(),
                                 column.begin() + static_cast<std::ptrdiff_t>(result.size()));
  }
  return result;
}

namespace suggest {

/// The suggestion of a recipe on the median of several range tests. Its uncertainty, `lr_low` to
/// `lr_high`, is the range of the suggestions on the single tests.
///
/// The caveat mentions tests without a suggestion, which do not count for the range, and a range of
/// more than a factor of ten. Throws NoSuggestion where the median has no suggestion, and what
/// lrfinder::median throws.
inline Suggestion repeated(const std::vector<History>& histories,
                           const Recipe& recipe = suggest::steepest) {
  Suggestion suggestion = recipe(median(histories));
  suggestion.lr_low = suggestion.lr_high = suggestion.lr;
  std::size_t answers = 0;
  for (const auto& history : histories) {
    try {
      const double lr = recipe(history).lr;
      suggestion.lr_low = std::min(suggestion.lr_low, lr);
      suggestion.lr_high = std::max(suggestion.lr_high, lr);
      ++answers;
    } catch (const NoSuggestion&) {
      continue;
    }
  }
  const auto add_caveat = [&](const std::string& words) {
    suggestion.caveat += (suggestion.caveat.empty() ? "" : "; ") + words;
  };
  if (answers < histories.size()) {
    add_caveat("only " + std::to_string(answers) + " of " + std::to_string(histories.size()) +
               " range tests give a suggestion by themselves");
  }
  if (suggestion.lr_high > 10 * suggestion.lr_low) {
    add_caveat("the single range tests differ by more than a factor of ten");
  }
  return suggestion;
}

}  // namespace suggest
}  // namespace lrfinder
