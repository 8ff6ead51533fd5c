#pragma once

#include <cmath>

#include <lrfinder/history/history.hpp>
#include <lrfinder/suggest/descent.hpp>

namespace lrfinder {

/// The range within which a cyclical schedule moves the learning rate.
struct LearningRateBounds {
  /// The lower bound of a cycle.
  double base_lr = 0;
  /// The upper bound of a cycle, and the peak of a one-cycle schedule.
  double max_lr = 0;
};

namespace suggest {

/// The base and maximum learning rate for cyclical and one-cycle schedules.
///
/// After Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3: the base
/// is the rate at which the network begins to learn, the maximum the one at which learning
/// slows, turns ragged or is lost. He reads both off a plot of the accuracy; here they are, on the
/// raw loss smoothed without lag (see Descent), the rates at which 5 % and 95 % of the descent are
/// done. They are not moved for momentum or Adam, as suggest::steepest() is: Smith reads them where
/// they show.
///
/// Throws NoSuggestion where fewer than three losses are finite or the loss never falls.
/// O(n log n).
inline LearningRateBounds bounds(const History& history) {
  const Descent descent(history, "bounds");
  return {std::pow(10, descent.onset_log_lr()), std::pow(10, descent.nearly_done_log_lr())};
}

}  // namespace suggest
}  // namespace lrfinder
