#pragma once

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>

#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/suggest/descent.hpp>
#include <lrfinder/suggest/numeric.hpp>
#include <lrfinder/suggest/suggestion.hpp>

namespace lrfinder {
namespace detail {

/// The constants of suggest::steepest. `docs/suggestion.md` has the range over which each can be
/// moved, and what they were chosen on.
struct SteepestConstants {
  /// The suggestion is at least the rate at which the descent is nearly done, over this factor.
  static constexpr double max_below_nearly_done = 3;
  /// The suggestion is at most the rate of the lowest loss, over this factor.
  static constexpr double min_below_lowest = 2;
  /// The suggestion is moved down by at most this many decades for momentum or Adam.
  static constexpr double max_delay_decades = 1;
  /// With a descent of fewer standard errors of the smoothed loss there is no suggestion ...
  static constexpr double min_standard_errors = 2;
  /// ... and with fewer than this many there is a caveat.
  static constexpr double sure_standard_errors = 8;
  /// Caveat: no learning rate of the test is within this factor of the suggestion.
  static constexpr double max_to_nearest_rate = 2;
  /// The loss was still falling at the end if it was nearly done less than this many decades
  /// before.
  static constexpr double end_decades = 0.5;
  /// A loss that falls by this share of its plateau shows enough of what training will do.
  static constexpr double deep_descent = 0.3;
  /// So does a loss whose second half of the descent takes less than this many decades.
  static constexpr double drop_decades = 0.4;
  /// Otherwise there is a caveat where the signal-to-noise ratio of the descent is below this ...
  static constexpr double noisy_below = 12;
  /// ... or above this, with a rise of half the depth within so many decades of the lowest loss.
  static constexpr double smooth_above = 45;
  static constexpr double sharp_edge_decades = 0.45;
};

/// By how many iterations the loss shows the effect of a learning rate late. `gradient_age`: mean
/// age of the gradients in an update.
inline double delay_iterations(double gradient_age) {
  return gradient_age > 0 ? std::sqrt(gradient_age) : 0;
}

/// Whether the loss rose again after its lowest, or the test ended because it diverged.
inline bool rose_again(const Descent& descent, StopReason stop_reason) {
  return std::isfinite(descent.rise_decades()) || stop_reason == StopReason::diverged ||
         stop_reason == StopReason::non_finite_loss;
}

/// The caveat of the suggestion `lr`; empty where there is none. `nearest_lr`: the learning rate of
/// the test that is nearest to it.
inline std::string caveat(const Descent& descent, double lr, double nearest_lr,
                          double standard_errors, StopReason stop_reason) {
  using Constants = SteepestConstants;
  std::ostringstream text;
  text.precision(2);
  if (std::fabs(std::log2(lr / nearest_lr)) > std::log2(Constants::max_to_nearest_rate)) {
    text << "no rate within a factor of two was tested: use the exponential schedule, or a lower "
            "end_lr";
  } else if (standard_errors < Constants::sure_standard_errors) {
    text << "the descent is within the noise (" << standard_errors
         << " standard errors of the smoothed loss): raise num_iter or the batch size, or use the "
            "median of several range tests";
  } else if (!rose_again(descent, stop_reason)) {
    const double after = descent.last_log_lr() - descent.nearly_done_log_lr();
    text << (after < Constants::end_decades ? "the loss was still falling at end_lr"
                                            : "the loss did not rise again by end_lr")
         << ": raise end_lr";
  } else if (descent.relative_depth() >= Constants::deep_descent ||
             descent.lowest_log_lr() - descent.half_done_log_lr() < Constants::drop_decades) {
    return {};
  } else if (descent.signal_to_noise() < Constants::noisy_below) {
    text << "the loss falls by only " << 100 * descent.relative_depth()
         << " %, and noisily: the test sees little of what training will do; raise num_iter or the "
            "batch size";
  } else if (descent.signal_to_noise() > Constants::smooth_above &&
             descent.rise_decades() < Constants::sharp_edge_decades) {
    text << "the loss falls by some " << 100 * descent.relative_depth()
         << " % before a sharp edge: the best rate may be as high as "
         << std::pow(10, descent.lowest_log_lr());
  }
  return text.str();
}

}  // namespace detail

/// The range of the learning rate in a cyclical schedule.
struct LearningRateBounds {
  /// The lower bound of a cycle.
  double base_lr = 0;
  /// The upper bound of a cycle, and the peak of a one-cycle schedule.
  double max_lr = 0;
};

namespace suggest {

/// The learning rate to train with, for a constant rate: the middle of the descent of the raw loss.
///
/// On the loss smoothed without lag (see Descent) it is the middle, in decades, between the
/// steepest descent and the rate at which 95 % of the descent are done. It is at least a third of
/// the latter, and at most half of the rate of the lowest loss; the last limit does not apply where
/// the loss neither rose again nor diverged.
///
/// With momentum or Adam the loss shows the effect of a rate late. So the suggestion is the rate of
/// \f$\sqrt a\f$ iterations before, with a = `settings.gradient_age` (3 iterations for a = 9,
/// momentum 0.9), at most a decade lower. A range test records `gradient_age`; in other histories
/// it is 0.
///
/// The caveat is set where no rate within a factor of two was tested, where the descent hardly
/// stands out of the noise, where the loss did not rise again, and where it fell so little that the
/// test sees little of what training will do. `docs/suggestion.md` explains rule, constants and
/// caveats, and how good the suggestions are.
///
/// Throws NoSuggestion, with what to change, where fewer than three losses are finite, where the
/// loss never falls, where the descent is less than two standard errors of the smoothed loss, and
/// where the suggestion would lie below the rates of the test; InvalidHistory where the columns
/// differ in length. O(n log n).
inline Suggestion steepest(const History& history) {
  using Constants = detail::SteepestConstants;
  const Descent descent(history, "steepest");
  const double lowest_allowed =
      descent.nearly_done_log_lr() - std::log10(Constants::max_below_nearly_done);
  const double highest_allowed =
      descent.lowest_log_lr() - (detail::rose_again(descent, history.stop_reason)
                                     ? std::log10(Constants::min_below_lowest)
                                     : 0);
  const double halfway = (descent.steepest_log_lr() + descent.nearly_done_log_lr()) / 2;
  const double shown_at = std::clamp(halfway, lowest_allowed, highest_allowed);
  const double delay = detail::delay_iterations(history.settings.gradient_age) *
                       descent.decades_per_iteration(shown_at);
  const double log_lr = shown_at - std::min(delay, Constants::max_delay_decades);
  if (log_lr < descent.first_log_lr()) {
    throw NoSuggestion(
        "steepest: the loss is lowest so near to the first learning rate that a safe rate lies "
        "below those tested; lower start_lr");
  }
  const double standard_errors = std::min(descent.standard_errors(shown_at),
                                          descent.standard_errors(descent.steepest_log_lr()));
  if (standard_errors < Constants::min_standard_errors) {
    throw NoSuggestion(
        "steepest: no descent stands out of the noise of the loss; raise num_iter or the batch "
        "size, and raise end_lr if the loss did not diverge");
  }
  Suggestion suggestion;
  suggestion.lr = std::pow(10, log_lr);
  suggestion.index = nearest_index(history.lr, suggestion.lr);
  suggestion.loss = history.raw_loss[suggestion.index];
  suggestion.recipe = "steepest";
  suggestion.caveat = detail::caveat(descent, suggestion.lr, history.lr[suggestion.index],
                                     standard_errors, history.stop_reason);
  return suggestion;
}

/// The base and maximum learning rate for cyclical and one-cycle schedules.
///
/// Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3. The
/// base is the rate at which the network begins to learn, the maximum the rate at which learning
/// slows, becomes ragged or stops. He reads them off a plot of the accuracy. Here they are the
/// rates at which 5 % and 95 % of the descent of the raw loss are done, smoothed without lag (see
/// Descent). They are not moved for momentum or Adam.
///
/// Throws NoSuggestion where fewer than three losses are finite or the loss never falls,
/// InvalidHistory where the columns differ in length. O(n log n).
inline LearningRateBounds bounds(const History& history) {
  const Descent descent(history, "bounds");
  return {std::pow(10, descent.onset_log_lr()), std::pow(10, descent.nearly_done_log_lr())};
}

}  // namespace suggest
}  // namespace lrfinder
