#pragma once

#include <cstdint>
#include <vector>

#include <lrfinder/curve/schedule.hpp>

namespace lrfinder {

/// What a range test was asked to do, with every default filled in: the options of the test
/// together with what the optimizer said. A history keeps the settings it was recorded with.
struct RangeTestSettings {
  /// First learning rate of each parameter group.
  std::vector<double> start_lr;
  /// Last learning rate of each parameter group.
  std::vector<double> end_lr;
  /// Number of iterations asked for; a test that stops early records fewer.
  std::int64_t num_iter = 0;
  /// How the rate goes from start to end.
  Schedule schedule = Schedule::exponential;
  /// Weight of the new value in the exponential smoothing of the loss; 0: no smoothing.
  double smooth_f = 0;
  /// Multiple of the best smoothed loss at which the test stops; infinity: never.
  double diverge_th = 0;
  /// Batches whose gradients are added up for one iteration.
  std::int64_t accumulation_steps = 1;
  /// Mean age, in iterations, of the gradients that the optimizer averages into an update of the
  /// first parameter group: 9 with momentum 0.9 or Adam; 0 where it averages none, or where that
  /// is not known.
  double gradient_age = 0;
  /// True where the recorded loss is the loss on a validation loader.
  bool validation = false;
};

}  // namespace lrfinder
