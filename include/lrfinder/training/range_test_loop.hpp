#pragma once

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

/// The range test of Smith 2017 (arXiv:1506.01186, section 3.3): raises the learning rate from
/// iteration to iteration, and records the loss until the schedule ends or the loss diverges.
///
/// The host may be some iterations ahead of the device. Each iteration is recorded when its loss is
/// read, in the order of the test. Iterations after the end of the test are dropped.
class RangeTestLoop {
 public:
  /// `iterations_in_flight`: how many iterations may be under way on the device, at least 1.
  /// `goes_on`: called after each iteration; if it returns false, the test ends. All references
  /// must outlive the loop.
  RangeTestLoop(const RangeTestSettings& range, std::int64_t iterations_in_flight,
                Recorder& recorder, const std::function<bool(const Iteration&)>& goes_on)
      : range_(range),
        iterations_in_flight_(iterations_in_flight),
        recorder_(recorder),
        goes_on_(goes_on) {}

  /// Runs the test. Returns why it ended. `AnyTraining`: Training, or a class with its functions.
  template <class AnyTraining>
  StopReason run(AnyTraining& training) {
    for (std::int64_t iteration = 0; iteration < range_.num_iter; ++iteration) {
      try {
        const std::vector<double> rates = rates_of(iteration);
        training.set_lr(rates);
        training.step();
        DeviceMeasurement measured = training.measure();
        measured.send();
        in_flight_.push_back({rates, std::move(measured)});
      } catch (...) {
        // If a loss that the host has not read yet ends the test, the exception came after its end.
        if (const auto reason = record_all_but(0, training)) return *reason;
        throw;
      }
      if (const auto reason = record_all_but(iterations_in_flight_ - 1, training)) return *reason;
    }
    return record_all_but(0, training).value_or(StopReason::completed);
  }

 private:
  struct InFlight {
    std::vector<double> rates;
    DeviceMeasurement measured;
  };

  // The learning rate of every parameter group.
  std::vector<double> rates_of(std::int64_t iteration) const {
    std::vector<double> rates;
    for (std::size_t group = 0; group < range_.start_lr.size(); ++group) {
      rates.push_back(scheduled_lr(range_.schedule, range_.start_lr[group], range_.end_lr[group],
                                   iteration, range_.num_iter));
    }
    return rates;
  }

  // Records the oldest iterations, until `count` are left. Returns why the test ends, if it does.
  template <class AnyTraining>
  std::optional<StopReason> record_all_but(std::int64_t count, AnyTraining& training) {
    while (static_cast<std::int64_t>(in_flight_.size()) > count) {
      InFlight oldest = std::move(in_flight_.front());
      in_flight_.pop_front();
      if (!recorder_.record(oldest.rates, oldest.measured.receive())) {
        return StopReason::non_finite_loss;
      }
      if (!recorder_.is_paired()) training.stop_pairing();
      if (!goes_on_(recorder_.current())) return StopReason::stopped_by_caller;
      if (recorder_.has_diverged()) return StopReason::diverged;
    }
    return std::nullopt;
  }

  const RangeTestSettings& range_;
  std::int64_t iterations_in_flight_;
  Recorder& recorder_;
  const std::function<bool(const Iteration&)>& goes_on_;
  std::deque<InFlight> in_flight_;
};

}  // namespace lrfinder::detail
