#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/suggest/descent.hpp>
#include <lrfinder/suggest/numeric.hpp>
#include <lrfinder/suggest/steepest.hpp>
#include <lrfinder/suggest/suggestion.hpp>

namespace lrfinder {
namespace detail {

/// How the best rate of a training depends on its plan. `docs/suggestion.md` says on which
/// trainings the constants were chosen, and how good they are on others.
struct PlanConstants {
  /// The best rate falls with the length of a training to the power of minus this, for plans that
  /// decay to 0, and by so much more for a constant rate.
  static constexpr double length_exponent = 0.17;
  static constexpr double constant_exponent = 0.13;
  /// The best rate of a training as long as the range test lies so many decades below the rate of
  /// the lowest loss, for plans that decay to 0, and so many more for a constant rate.
  static constexpr double below_lowest = 0.1;
  static constexpr double constant_below_lowest = 0.35;
  /// Caveat: the loss needs more decades than this to rise again.
  static constexpr double slow_rise_decades = 0.9;
  /// Caveat: the training is longer than so many range tests.
  static constexpr double most_longer = 2;
};

/// The power of minus which the best rate falls with the length of a training.
inline double length_exponent(const TrainingPlan& plan) {
  return PlanConstants::length_exponent + PlanConstants::constant_exponent * plan.final_share();
}

}  // namespace detail

namespace suggest {

/// The peak of the learning rate for a training by a plan, read off one curve.
///
/// The rate lies below that of the lowest loss (see Descent), and the lower the longer the training
/// is: by (steps of the plan / iterations of the test) to the power of 0.17 for a plan that decays
/// to 0, of 0.30 for a constant rate, and between the two for what lies between. One curve shows
/// little of a long training: trials show more, see LRFinder::find().
///
/// The caveat is set as by steepest(), where the loss rises again so slowly that the lowest loss
/// says little, and where the training is more than twice as long as the test. `docs/find.md` says
/// how good the suggestions are.
///
/// Throws InvalidOption for a plan without steps; NoSuggestion where fewer than three losses are
/// finite, where the loss never falls, and where the descent is less than two standard errors of
/// the smoothed loss; InvalidHistory where the columns differ in length. O(n log n).
inline Suggestion for_plan(const History& history, const TrainingPlan& plan) {
  using Constants = detail::PlanConstants;
  const double constant = plan.final_share();
  const Descent descent(history, "for_plan");
  const double iterations = history.settings.num_iter > 0
                                ? static_cast<double>(history.settings.num_iter)
                                : static_cast<double>(history.size());
  const double longer = std::max(1.0, static_cast<double>(plan.steps()) / iterations);
  const double log_lr = descent.lowest_log_lr() - Constants::below_lowest -
                        constant * Constants::constant_below_lowest -
                        detail::length_exponent(plan) * std::log10(longer);
  const double standard_errors =
      std::min(descent.standard_errors(log_lr), descent.standard_errors(descent.steepest_log_lr()));
  if (standard_errors < detail::SteepestConstants::min_standard_errors) {
    throw NoSuggestion(
        "for_plan: no descent stands out of the noise of the loss; raise num_iter or the batch "
        "size, or use find()");
  }
  Suggestion suggestion;
  suggestion.lr = std::pow(10, log_lr);
  suggestion.index = nearest_index(history.lr, suggestion.lr);
  suggestion.loss = history.raw_loss[suggestion.index];
  suggestion.recipe = "for_plan";
  suggestion.caveat = detail::caveat(descent, suggestion.lr, history.lr[suggestion.index],
                                     standard_errors, history.stop_reason);
  if (suggestion.caveat.empty() && descent.rise_decades() > Constants::slow_rise_decades) {
    suggestion.caveat =
        "the loss rises again so slowly that the best rate may be several times higher: use find()";
  }
  if (suggestion.caveat.empty() && longer > Constants::most_longer) {
    suggestion.caveat = "the training is " + detail::rounded(longer, 2) +
                        " times as long as the range test, which tells little of it: use find()";
  }
  return suggestion;
}

}  // namespace suggest
}  // namespace lrfinder
