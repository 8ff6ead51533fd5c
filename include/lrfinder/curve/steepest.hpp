#pragma once

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>

#include <lrfinder/curve/descent.hpp>
#include <lrfinder/curve/error.hpp>
#include <lrfinder/curve/history.hpp>
#include <lrfinder/curve/recipes.hpp>
#include <lrfinder/curve/suggestion.hpp>

namespace lrfinder::suggest {

namespace detail {

/// Whether the test saw the loss leave its lowest again, by rising or by its end.
inline bool left_lowest(const Descent& descent, StopReason stop_reason) {
  return std::isfinite(descent.rise()) || stop_reason == StopReason::diverged ||
         stop_reason == StopReason::non_finite_loss;
}

/// Why a rate read off a descent should be taken with care; empty where it need not be.
/// `nearest_lr`: the rate tested that is nearest to `lr`.
inline std::string caveat(const Descent& descent, double lr, double nearest_lr,
                          double standard_errors, StopReason stop_reason) {
  std::ostringstream words;
  words.precision(2);
  if (std::fabs(std::log2(lr / nearest_lr)) > 1) {
    words << "no rate within a factor of two was tested: take the exponential schedule, or a lower "
             "end_lr";
  } else if (standard_errors < 8) {
    words << "the descent is within the noise (" << standard_errors
          << " standard errors of the smoothed loss): raise num_iter or the batch size, or take "
             "the median of several range tests";
  } else if (!left_lowest(descent, stop_reason)) {
    words << "the loss was still falling at end_lr, or had only just stopped: raise end_lr";
  } else if (descent.signal_to_noise() > 45 && descent.rise() < 0.45 &&
             descent.lowest() - descent.steepest() < 1) {
    words << "the loss falls smoothly to a sharp edge: the best rate may be as high as "
          << std::pow(10, descent.lowest());
  }
  return words.str();
}

}  // namespace detail

/// The learning rate to train with: the steepest descent of the raw loss, made safe.
///
/// On the curve smoothed without lag (see Descent), it lies halfway, in decades, between the
/// steepest descent and the rate at which 95 % of the descent are done; but at most at a half and
/// at least at a fifth of the rate at which the loss is lowest. (Where the loss never left its
/// lowest, that is no edge to keep away from, and the first limit falls away.) The steepest descent
/// alone comes too early: where the descent is long, training gains from higher rates. The lowest
/// loss alone comes too late: there the range test began to diverge.
///
/// The constants, and how far each can be moved alone before the regret on the 102 tasks in
/// tests/data/curves changes by more than its scatter: kernel 0.27 decades (0.24 to 0.28), 95 % (90
/// to 98 %), a half (1/1.4 to 1/2.2), a fifth (1/4 to 1/8).
///
/// A caveat is set where no rate within a factor of two was tested (linear schedules); where the
/// descent is less than 8 standard errors of the smoothed loss (6 to 10 do); where the loss did not
/// rise again; and where it falls smoothly to a sharp edge, which is where the best rate can be
/// several times higher: noise below 1/45 of the descent, half of the descent lost within 0.45
/// decades of the lowest, and less than a decade between the steepest and the lowest.
///
/// Throws NoSuggestion, with what to change, where fewer than three losses are finite, where the
/// loss never falls, where the descent is less than two standard errors, and where the answer
/// would lie below the rates tested. O(n log n).
inline Suggestion steepest(const History& history) {
  const Descent descent(history, "steepest");
  const double halfway = (descent.steepest() + descent.nearly_done()) / 2;
  const double margin = detail::left_lowest(descent, history.stop_reason) ? std::log10(2.0) : 0;
  const double log_lr =
      std::clamp(halfway, descent.lowest() - std::log10(5.0), descent.lowest() - margin);
  if (log_lr < descent.first()) {
    throw NoSuggestion(
        "steepest: the loss is lowest so near to the first learning rate that a safe rate lies "
        "below those tested; lower start_lr");
  }
  const double standard_errors =
      std::min(descent.standard_errors(log_lr), descent.standard_errors(descent.steepest()));
  if (standard_errors < 2) {
    throw NoSuggestion(
        "steepest: no descent stands out of the noise of the loss; raise num_iter or the batch "
        "size, and raise end_lr if the loss did not diverge");
  }
  Suggestion suggestion;
  suggestion.lr = std::pow(10, log_lr);
  suggestion.index = detail::nearest_iteration(history, suggestion.lr);
  suggestion.loss = history.raw_loss[suggestion.index];
  suggestion.recipe = "steepest";
  suggestion.caveat = detail::caveat(descent, suggestion.lr, history.lr[suggestion.index],
                                     standard_errors, history.stop_reason);
  return suggestion;
}

}  // namespace lrfinder::suggest
