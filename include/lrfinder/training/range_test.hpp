#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/curve/history.hpp>
#include <lrfinder/curve/settings.hpp>
#include <lrfinder/training/iterations_in_flight.hpp>
#include <lrfinder/training/learning_rates.hpp>

namespace lrfinder::training {

/// The range test of Smith 2017 (arXiv:1506.01186, section 3.3): raises the learning rate from
/// iteration to iteration, and records the loss until the schedule ends or the loss leaves.
///
/// `step()` takes one update; `measure()` returns the DeviceMeasurement to record, with the
/// training loss from before the update or the loss on a validation loader after it. Nothing here
/// waits for the device but `iterations`, where too many are under way.
template <class Step, class Measure>
StopReason range_test(const RangeTestSettings& settings, torch::optim::Optimizer& optimizer,
                      Step&& step, Measure&& measure, IterationsInFlight& iterations) {
  try {
    for (std::int64_t iteration = 0; iteration < settings.num_iter; ++iteration) {
      std::vector<double> rates = scheduled_rates(settings, iteration);
      set_rates(optimizer, rates);
      step();
      if (const auto reason = iterations.add(std::move(rates), measure())) return *reason;
    }
  } catch (...) {
    // What failed does not count where the test had ended before, unnoticed.
    if (const auto reason = iterations.land()) return *reason;
    throw;
  }
  return iterations.land().value_or(StopReason::completed);
}

}  // namespace lrfinder::training
