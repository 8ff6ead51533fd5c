#pragma once

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>

#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/suggest/descent.hpp>
#include <lrfinder/suggest/recipes.hpp>
#include <lrfinder/suggest/suggestion.hpp>

namespace lrfinder::detail {

/// How many iterations late the loss shows what a rate does, by the age of the gradients in an
/// update.
inline double iterations_late(double gradient_age) {
  return gradient_age > 0 ? std::sqrt(gradient_age) : 0;
}

/// Whether the test saw the loss leave its lowest again, by rising or by its end.
inline bool left_lowest(const Descent& descent, StopReason stop_reason) {
  return std::isfinite(descent.rise_decades()) || stop_reason == StopReason::diverged ||
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
    words << (descent.last_log_lr() - descent.nearly_done_log_lr() < 0.5
                  ? "the loss was still falling at end_lr"
                  : "the loss did not rise again by end_lr")
          << ": raise end_lr";
  } else if (descent.relative_depth() >= 0.3 ||
             descent.lowest_log_lr() - descent.half_done_log_lr() < 0.4) {
    return {};  // the test saw much of what training will do, or a descent in one drop
  } else if (descent.signal_to_noise() < 12) {
    words
        << "the loss falls by only " << 100 * descent.relative_depth()
        << " %, and noisily: the test sees little of what training will do; raise num_iter or the "
           "batch size";
  } else if (descent.signal_to_noise() > 45 && descent.rise_decades() < 0.45) {
    words << "the loss falls by some " << 100 * descent.relative_depth()
          << " % before a sharp edge: the best rate may be as high as "
          << std::pow(10, descent.lowest_log_lr());
  }
  return words.str();
}

}  // namespace lrfinder::detail

namespace lrfinder::suggest {

/// The learning rate to train with: the steepest descent of the raw loss, made safe.
///
/// On the curve smoothed without lag (see Descent), it lies halfway, in decades, between the
/// steepest descent and the rate at which 95 % of the descent are done; but at least at a third of
/// the latter, and at most at half of the rate at which the loss is lowest. (Where the loss never
/// left its lowest, that is no edge to keep away from, and the last limit falls away.) The steepest
/// descent alone comes too early: where the descent is long, training gains from higher rates. The
/// lowest loss alone comes too late: there the range test began to diverge.
///
/// An optimizer that averages gradients (momentum, Adam) shows what a rate does some iterations
/// late. With a = `settings.gradient_age` the answer therefore is the rate of \f$\sqrt a\f$
/// iterations before (0.8 to 1.3 times that), three with momentum 0.9, but at most a decade lower
/// (0.8 to 1.5). A range_test records that age; in a history from elsewhere it is 0, for not
/// known.
///
/// The constants: kernel 0.27 decades (0.22 to 0.28), 95 % (90 to 98 %), a third (1/2.5 to 1/3.5),
/// a half (1/1.3 to 1/2.2). Moved alone over these ranges, each leaves the median regret on the 102
/// tasks in tests/data/curves between 0.012 and 0.014 and the 90th percentile between 0.07 and
/// 0.10; a wider kernel loses a descent that hides in the noise.
///
/// A caveat is set where no rate within a factor of two was tested (linear schedules); where the
/// descent is less than 8 standard errors of the smoothed loss (6 to 9 do); where the loss did not
/// rise again; and where the loss falls by less than 30 % of its plateau (28 to 32 %), so that the
/// test sees little of what training will do, and either the noise is above 1/12 of the descent
/// (12 to 14), or it is below 1/45 (30 to 50) and half of the descent is lost within 0.45 decades
/// of the lowest (0.4 to 0.6): a smooth descent to a sharp edge, which is where the best rate can
/// be several times higher. Neither is set where the second half of the descent takes less than
/// 0.4 decades (0.3 to 0.42): the loss falls at once and then diverges, and no higher rate has
/// more to give.
///
/// Throws NoSuggestion, with what to change, where fewer than three losses are finite, where the
/// loss never falls, where the descent is less than two standard errors, and where the answer
/// would lie below the rates tested. O(n log n).
inline Suggestion steepest(const History& history) {
  const Descent descent(history, "steepest");
  const double halfway = (descent.steepest_log_lr() + descent.nearly_done_log_lr()) / 2;
  const double margin = detail::left_lowest(descent, history.stop_reason) ? std::log10(2.0) : 0;
  const double shown_at = std::clamp(halfway, descent.nearly_done_log_lr() - std::log10(3.0),
                                     descent.lowest_log_lr() - margin);
  const double late = detail::iterations_late(history.settings.gradient_age);
  const double log_lr = shown_at - std::min(late * descent.step(shown_at), 1.0);
  if (log_lr < descent.first_log_lr()) {
    throw NoSuggestion(
        "steepest: the loss is lowest so near to the first learning rate that a safe rate lies "
        "below those tested; lower start_lr");
  }
  const double standard_errors = std::min(descent.standard_errors(shown_at),
                                          descent.standard_errors(descent.steepest_log_lr()));
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
