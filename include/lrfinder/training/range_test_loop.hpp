#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <lrfinder/history/history.hpp>
#include <lrfinder/history/recorder.hpp>
#include <lrfinder/torch/measurement.hpp>
#include <lrfinder/training/training.hpp>

namespace lrfinder::detail {

/// Runs the range test of Smith 2017 (arXiv:1506.01186, section 3.3): raises the learning rate from
/// iteration to iteration, and records the loss until the schedule ends or the loss diverges.
/// Returns why it ended.
///
/// The host may be some iterations ahead of the device. Each iteration is recorded when its loss is
/// read, in the order of the test. Iterations after the end of the test are dropped.
/// `iterations_in_flight`: how many iterations may be under way on the device, at least 1.
/// `goes_on`: called after each iteration; if it returns false, the test ends.
inline StopReason run_range_test(Training& training, const RangeTestSettings& range,
                                 std::int64_t iterations_in_flight, Recorder& recorder,
                                 const std::function<bool(const Iteration&)>& goes_on) {
  std::deque<std::pair<std::vector<double>, DeviceMeasurement>> in_flight;  // with their rates
  // Records the oldest iterations, until `count` are left. Returns why the test ends, if it does.
  const auto record_all_but = [&](std::int64_t count) -> std::optional<StopReason> {
    while (static_cast<std::int64_t>(in_flight.size()) > count) {
      auto [rates, measured] = std::move(in_flight.front());
      in_flight.pop_front();
      if (!recorder.record(rates, measured.receive())) return StopReason::non_finite_loss;
      if (!recorder.is_paired()) training.stop_pairing();
      if (!goes_on(recorder.current())) return StopReason::stopped_by_caller;
      if (recorder.has_diverged()) return StopReason::diverged;
    }
    return std::nullopt;
  };
  for (std::int64_t iteration = 0; iteration < range.num_iter; ++iteration) {
    try {
      std::vector<double> rates;  // of every parameter group
      for (std::size_t group = 0; group < range.start_lr.size(); ++group) {
        rates.push_back(scheduled_lr(range.schedule, range.start_lr[group], range.end_lr[group],
                                     iteration, range.num_iter));
      }
      training.set_lr(rates);
      training.step();
      DeviceMeasurement measured = training.measure();
      measured.send();
      in_flight.emplace_back(std::move(rates), std::move(measured));
    } catch (...) {
      // If a loss that the host has not read yet ends the test, the exception came after its end.
      if (const auto reason = record_all_but(0)) return *reason;
      throw;
    }
    if (const auto reason = record_all_but(iterations_in_flight - 1)) return *reason;
  }
  return record_all_but(0).value_or(StopReason::completed);
}

}  // namespace lrfinder::detail
