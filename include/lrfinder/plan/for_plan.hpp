#pragma once

#include <algorithm>
#include <cmath>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/suggestion.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/suggest/descent.hpp>
#include <lrfinder/suggest/steepest.hpp>

namespace lrfinder {
namespace detail {

// `docs/suggestion.md` lists the trainings on which these constants were chosen, and how good they
// are on others. They depend on TrainingPlan::mean_late_factor(), which is 0 for a decay to 0, and
// 1 for a constant rate.

/// The exponent e in best_lr ~ length^-e.
inline double length_exponent(const TrainingPlan& plan) {
  return 0.22 + 0.18 * plan.mean_late_factor();
}

}  // namespace detail

namespace suggest {

/// The peak of the learning rate for a training with a plan, read off one curve.
///
/// The peak lies near the rate of the lowest loss (see Descent), a fifth of the way to the rate at
/// which the test diverged, if it did. It is 0.2 decades higher for a decay to 0, and lower by
/// `0.2 sqrt(a)` decades for momentum and Adam, with a = `settings.gradient_age`. It falls with the
/// length of the training: peak ~ (steps of the plan / iterations of the test)^-e. The exponent e
/// is 0.22 for a decay to 0, 0.4 for a constant rate, and between the two for other plans. The peak
/// is at most the last rate of the test, and at most half of it if the test diverged.
///
/// One curve tells little about a training that is more than twice as long as the test. Trials tell
/// more: see LRFinder::find(). `docs/find_measured.md` says how good the suggestions are.
///
/// Throws InvalidOption for a plan without steps; NoSuggestion if fewer than three losses are
/// finite, if the loss never falls, if the descent is less than two standard errors of the smoothed
/// loss (unless paired losses diverged: then the rate keeps a usual distance from the divergence),
/// or if the suggestion would be below the tested rates; InvalidHistory if the columns differ in
/// length. O(n log n).
inline Suggestion for_plan(const History& history, const TrainingPlan& plan) {
  constexpr double to_divergence = 0.2, below_divergence_at_least = 0.3;
  constexpr double slow_rise_decades = 0.9, most_longer = 2;
  const double late = plan.mean_late_factor();
  const Descent descent(history, "for_plan");
  const double iterations = history.settings.num_iter > 0
                                ? static_cast<double>(history.settings.num_iter)
                                : static_cast<double>(history.size());
  const double longer = std::max(1.0, static_cast<double>(plan.steps()) / iterations);
  const double lower_if_longer = detail::length_exponent(plan) * std::log10(longer);
  const bool diverged = detail::diverged(history);
  double log_lr = descent.lowest_log_lr();
  if (diverged) log_lr += to_divergence * (descent.last_log_lr() - log_lr);
  log_lr += 0.2 * (1 - late) - detail::decades_for_momentum(history) - lower_if_longer;
  log_lr = std::min(log_lr, descent.last_log_lr() - (diverged ? below_divergence_at_least : 0));
  const double below_divergence = detail::decades_below_divergence(history, late) +
                                  lower_if_longer - detail::length_exponent(plan);
  Suggestion suggestion =
      detail::suggestion_by("for_plan", history, descent, log_lr, descent.steepest_log_lr(),
                            below_divergence, "or use find()");
  const double rise = descent.rise_decades();
  if (suggestion.caveat.empty() && std::isfinite(rise) && rise > slow_rise_decades) {
    suggestion.caveat =
        "the loss rises again so slowly that the best rate may be several times higher: use find()";
  }
  if (suggestion.caveat.empty() && longer > most_longer) {
    suggestion.caveat = "the training is " + detail::rounded(longer, 2) +
                        " times as long as the range test, which tells little of it: use find()";
  }
  return suggestion;
}

}  // namespace suggest
}  // namespace lrfinder
