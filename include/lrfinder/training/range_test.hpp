#pragma once

#include <cstdint>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/curve/history.hpp>
#include <lrfinder/curve/recorder.hpp>
#include <lrfinder/curve/settings.hpp>
#include <lrfinder/training/learning_rates.hpp>

namespace lrfinder::training {

/// The range test of Smith 2017 (arXiv:1506.01186, section 3.3): raises the learning rate from
/// iteration to iteration, and records the loss until the schedule ends or the loss leaves.
///
/// `step()` takes one update; `measure()` returns the Measurement to record, with the training loss
/// from before the update or the loss on a validation loader after it; `watch(iteration)` returns
/// whether the test goes on.
template <class Step, class Measure, class Watch>
StopReason range_test(const RangeTestSettings& settings, torch::optim::Optimizer& optimizer,
                      Step&& step, Measure&& measure, Watch&& watch, Recorder& recorder) {
  for (std::int64_t iteration = 0; iteration < settings.num_iter; ++iteration) {
    const std::vector<double> rates = scheduled_rates(settings, iteration);
    set_rates(optimizer, rates);
    step();
    if (!recorder.record(rates, measure())) return StopReason::non_finite_loss;
    if (!watch(recorder.current())) return StopReason::stopped_by_caller;
    if (recorder.has_diverged()) return StopReason::diverged;
  }
  return StopReason::completed;
}

}  // namespace lrfinder::training
