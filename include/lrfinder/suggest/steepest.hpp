#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/suggestion.hpp>
#include <lrfinder/suggest/descent.hpp>

namespace lrfinder {
namespace detail {

// `docs/suggestion.md` says how each constant here was chosen, and how far it can be changed.

/// A descent of fewer standard errors of the smoothed loss gives no suggestion.
inline constexpr double min_standard_errors = 2;

/// Whether a range test ended by divergence.
inline bool diverged(const History& history) {
  return history.stop_reason == StopReason::diverged ||
         history.stop_reason == StopReason::non_finite_loss;
}

/// Whether the loss rose again after its lowest value, or the test ended by divergence.
inline bool rose_again(const Descent& descent, const History& history) {
  return std::isfinite(descent.rise_decades()) || diverged(history);
}

/// The caveat of a suggestion; empty if there is none. `nearest_lr`: the tested rate next to `lr`.
inline std::string caveat(const Descent& descent, double lr, double nearest_lr,
                          double standard_errors, const History& history) {
  constexpr double sure_standard_errors = 8;
  // If the test ends within so many decades of the end of the descent, the loss was still falling.
  constexpr double end_decades = 0.5;
  // A descent predicts training well if it is deeper than this share of the plateau, or if its
  // second half takes fewer decades than `drop_decades`. Any other descent needs a high
  // signal-to-noise ratio. A very high ratio gets a caveat too if the loss rises by half the depth
  // within `sharp_edge_decades` of its lowest value.
  constexpr double deep_descent = 0.3, drop_decades = 0.4;
  constexpr double noisy_below = 12, smooth_above = 45, sharp_edge_decades = 0.45;

  if (std::fabs(std::log2(lr / nearest_lr)) > 1) {
    return "no rate within a factor of two was tested: use the exponential schedule, or a lower "
           "end_lr";
  }
  if (standard_errors < sure_standard_errors) {
    return "the descent is within the noise (" + rounded(standard_errors, 2) +
           " standard errors of the smoothed loss): raise num_iter or the batch size, or use the "
           "median of several range tests";
  }
  if (!rose_again(descent, history)) {
    const double after = descent.last_log_lr() - descent.nearly_done_log_lr();
    return after < end_decades ? "the loss was still falling at end_lr: raise end_lr"
                               : "the loss did not rise again by end_lr: raise end_lr";
  }
  if (descent.relative_depth() >= deep_descent ||
      descent.lowest_log_lr() - descent.half_done_log_lr() < drop_decades) {
    return "";
  }
  const std::string percent = rounded(100 * descent.relative_depth(), 2);
  if (descent.signal_to_noise() < noisy_below) {
    return "the loss falls by only " + percent +
           " %, and noisily: the test sees little of what training will do; raise num_iter or the "
           "batch size";
  }
  if (descent.signal_to_noise() > smooth_above && descent.rise_decades() < sharp_edge_decades) {
    return "the loss falls by some " + percent +
           " % before a sharp edge: the best rate may be as high as " +
           rounded(std::pow(10, descent.lowest_log_lr()), 2);
  }
  return "";
}

/// With momentum or Adam the curve shows the effect of a rate late. So a training needs a lower
/// rate than the curve shows, by this many decades.
inline double decades_for_momentum(const History& history) {
  return 0.2 * std::sqrt(std::max(0.0, history.settings.gradient_age));
}

/// The rate that trains well in the median if a test ends by divergence, as a distance below the
/// rate of that end, in decades. `late`: TrainingPlan::mean_late_factor() of a training that is ten
/// times as long as the test.
inline double decades_below_divergence(const History& history, double late) {
  return 1.4 + 0.45 * late + decades_for_momentum(history);
}

/// The suggestion of a recipe that reads a descent, with its caveat. `shown_at`: a rate at
/// which the noise is judged, besides the steepest. `below_divergence`: in decades, as for
/// decades_below_divergence(). It is used if the noise hides the descent of paired losses, but not
/// their divergence.
///
/// Throws NoSuggestion if the noise hides the descent, and there is no such divergence, or if the
/// rate would be below the tested ones. `remedy`: what its message advises, besides raising
/// num_iter or the batch size.
inline Suggestion suggestion_by(const std::string& recipe, const History& history,
                                const Descent& descent, double log_lr, double shown_at,
                                double below_divergence, const std::string& remedy) {
  const double standard_errors = std::min(descent.standard_errors(shown_at),
                                          descent.standard_errors(descent.steepest_log_lr()));
  if (standard_errors < min_standard_errors) {
    const double lr = history.lr.back() / std::pow(10, below_divergence);
    if (history.untrained_loss.empty() || !diverged(history) || lr < history.lr.front()) {
      throw NoSuggestion(recipe +
                         ": no descent stands out of the noise of the loss; raise num_iter or the "
                         "batch size, " +
                         remedy);
    }
    const std::size_t index = nearest_index(history.lr, lr);
    return {lr, index, history.raw_loss[index], recipe,
            "the noise hides the descent, so this rate only keeps a usual distance from the one at "
            "which the loss diverged: use find()"};
  }
  if (log_lr < descent.first_log_lr()) {
    throw NoSuggestion(
        recipe +
        ": the loss is lowest near the first learning rate, so a safe rate would be below the "
        "tested rates; lower start_lr");
  }
  const double lr = std::pow(10, log_lr);
  const std::size_t index = nearest_index(history.lr, lr);
  return {lr, index, history.raw_loss[index], recipe,
          caveat(descent, lr, history.lr[index], standard_errors, history)};
}

}  // namespace detail

/// The range of the learning rate in a cyclical schedule.
struct LearningRateBounds {
  /// The lower bound of a cycle.
  double base_lr = 0;
  /// The upper bound of a cycle, or the peak of a one-cycle schedule.
  double max_lr = 0;
};

namespace suggest {

/// The learning rate to train with at a constant rate: the middle of the descent of the paired
/// loss.
///
/// The loss is smoothed without lag (see Descent). The suggestion is the middle, in decades,
/// between the rate of the steepest descent and the rate at which 95 % of the descent are done. It
/// is at least a third of the latter rate. It is at most half of the rate of the lowest loss,
/// unless the loss neither rose again nor diverged.
///
/// With momentum or Adam, the loss shows the effect of a rate later. So the suggestion is the rate
/// of `sqrt(a)` iterations before, but at most a decade lower. Here a =
/// `settings.gradient_age`; with momentum 0.9, a is 9, which makes 3 iterations. A range test
/// records `gradient_age`. In other histories it is 0.
///
/// `docs/suggestion.md` explains rule, constants and caveats, and how good the suggestions are.
///
/// Throws NoSuggestion, with what to change, if fewer than three losses are finite, if the loss
/// never falls, if the descent is less than two standard errors of the smoothed loss (unless paired
/// losses diverged: then the rate keeps a usual distance from the divergence), or if the
/// suggestion would be below the tested rates. Throws InvalidHistory if the columns differ in
/// length. O(n log n).
inline Suggestion steepest(const History& history) {
  constexpr double max_below_nearly_done = 3, min_below_lowest = 2;  // factors
  constexpr double max_delay_decades = 1;
  const Descent descent(history, "steepest");
  const double lowest_allowed = descent.nearly_done_log_lr() - std::log10(max_below_nearly_done);
  const bool is_limited = detail::rose_again(descent, history);
  const double highest_allowed =
      descent.lowest_log_lr() - (is_limited ? std::log10(min_below_lowest) : 0);
  const double halfway = (descent.steepest_log_lr() + descent.nearly_done_log_lr()) / 2;
  const double shown_at = std::clamp(halfway, lowest_allowed, highest_allowed);
  const double delay = std::sqrt(std::max(0.0, history.settings.gradient_age)) *
                       descent.decades_per_iteration(shown_at);
  const double log_lr = shown_at - std::min(delay, max_delay_decades);
  return detail::suggestion_by("steepest", history, descent, log_lr, shown_at,
                               detail::decades_below_divergence(history, /*late=*/1),
                               "and raise end_lr if the loss did not diverge");
}

/// The base and maximum learning rate for cyclical and one-cycle schedules.
///
/// Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3. Smith
/// reads the bounds off a plot of the accuracy: the rates at which learning begins, and at which it
/// slows, becomes ragged or stops. Here the bounds are the rates at which 5 % and 95 % of the
/// descent of the paired loss are done (see Descent). Momentum and Adam do not change them.
///
/// Throws NoSuggestion if fewer than three losses are finite or the loss never falls. Throws
/// InvalidHistory if the columns differ in length. O(n log n).
inline LearningRateBounds bounds(const History& history) {
  const Descent descent(history, "bounds");
  return {std::pow(10, descent.onset_log_lr()), std::pow(10, descent.nearly_done_log_lr())};
}

}  // namespace suggest
}  // namespace lrfinder
