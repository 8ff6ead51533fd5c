#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/suggestion.hpp>
#include <lrfinder/suggest/numeric.hpp>
#include <lrfinder/suggest/steepest.hpp>

namespace lrfinder {

/// The median curve of several range tests of one model, with different seeds or batches. It is a
/// history, so every recipe can read it and every plot can draw it.
///
/// The raw loss is the median of the paired losses (see History::paired_loss). After a test has
/// ended, its losses count as infinite. So the median curve ends when half of the tests have ended.
/// Raw and smoothed losses have separate medians. The settings are those of the
/// first test. `grad_norm` and `metrics` are empty.
///
/// Throws InvalidHistory if `histories` is empty, or if two tests have different rates at the same
/// iteration (by more than a factor of 1 + 1e-9). O(n k) for k histories of n iterations.
inline History median(const std::vector<History>& histories) {
  if (histories.empty()) throw InvalidHistory("median: no histories; give at least one");
  const auto& longest =
      *std::max_element(histories.begin(), histories.end(),
                        [](const auto& a, const auto& b) { return a.size() < b.size(); });

  History result;
  result.settings = histories.front().settings;
  result.stop_reason = longest.stop_reason;
  for (const auto& history : histories) result.wall_seconds += history.wall_seconds;

  std::vector<std::vector<double>> paired, smoothed;
  for (const History& history : histories) {
    paired.push_back(history.paired_loss());
    smoothed.push_back(history.loss);
  }
  const auto losses_at = [](std::size_t i, const std::vector<std::vector<double>>& columns) {
    std::vector<double> losses;
    for (const auto& of_test : columns) {
      const bool counts = i < of_test.size() && std::isfinite(of_test[i]);
      losses.push_back(counts ? of_test[i] : std::numeric_limits<double>::infinity());
    }
    return losses;
  };
  for (std::size_t i = 0; i < longest.size(); ++i) {
    for (const History& history : histories) {
      if (i < history.size() && std::fabs(history.lr[i] - longest.lr[i]) > 1e-9 * longest.lr[i]) {
        throw InvalidHistory(
            detail::concat("median: the learning rates differ at iteration ", i, " (",
                           detail::to_text(history.lr[i]), " and ", detail::to_text(longest.lr[i]),
                           "); repeat the range test with the same start_lr, end_lr and num_iter"));
      }
    }
    const double middle = detail::quantile(losses_at(i, paired), 0.5);
    if (std::isinf(middle)) {
      result.stop_reason = StopReason::diverged;
      break;
    }
    result.lr.push_back(longest.lr[i]);
    result.raw_loss.push_back(middle);
    result.loss.push_back(detail::quantile(losses_at(i, smoothed), 0.5));
  }
  result.group_lr = longest.group_lr;
  for (auto& column : result.group_lr) column.resize(result.size());
  return result;
}

namespace suggest {

/// The suggestion of a recipe on the median of several range tests. The interval from `low` to
/// `high` holds this suggestion and those on the single tests. The caveat says if some tests give
/// no suggestion, and if `high` is more than ten times `low`.
///
/// Throws NoSuggestion if the median has no suggestion, and what lrfinder::median throws.
inline Suggestion repeated(const std::vector<History>& histories,
                           const Recipe& recipe = suggest::steepest) {
  Suggestion suggestion = recipe(median(histories));
  suggestion.low = suggestion.high = suggestion.lr;
  std::size_t answers = 0;
  for (const auto& history : histories) {
    try {
      const double lr = recipe(history).lr;
      suggestion.low = std::min(suggestion.low, lr);
      suggestion.high = std::max(suggestion.high, lr);
      ++answers;
    } catch (const NoSuggestion&) {  // the caveat mentions it
    }
  }
  const auto add_caveat = [&](const std::string& words) {
    suggestion.caveat += (suggestion.caveat.empty() ? "" : "; ") + words;
  };
  if (answers < histories.size()) {
    add_caveat(detail::concat("only ", answers, " of ", histories.size(),
                              " range tests give a suggestion by themselves"));
  }
  if (suggestion.high > 10 * suggestion.low) {
    add_caveat("the single range tests differ by more than a factor of ten");
  }
  return suggestion;
}

}  // namespace suggest
}  // namespace lrfinder
