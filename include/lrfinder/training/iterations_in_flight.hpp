#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/curve/history.hpp>
#include <lrfinder/curve/recorder.hpp>
#include <lrfinder/training/means.hpp>
#include <lrfinder/training/options.hpp>
#include <lrfinder/training/watch.hpp>

namespace lrfinder::training {

/// How many iterations may be under way at a time: what the options ask for or, where nobody looks
/// at the single iteration, as many as keep an accelerator busy.
inline std::int64_t most_in_flight(const RangeTestOptions& options, torch::Device device) {
  if (options.ranks()) return 1;  // their roll call waits in any case
  if (options.iterations_in_flight()) return *options.iterations_in_flight();
  const bool watched = options.on_iteration().is_set() || !options.restore();
  constexpr std::int64_t busy = 16;
  return device.is_cpu() || watched ? 1 : busy;
}

/// The iterations that the device still computes, while the host is ahead. Each is recorded when
/// its figures are read, in the order of the test; what comes after the end of the test is dropped,
/// as if it had not been.
class IterationsInFlight {
 public:
  /// `most`: at least 1, which waits for every iteration. The references live as long as this.
  IterationsInFlight(std::int64_t most, Recorder& recorder, const Watch& watch)
      : most_(static_cast<std::size_t>(most)), recorder_(recorder), watch_(watch) {}

  /// Adds an iteration at the given rates, and records those that are due. Returns why the test
  /// ends, where it does.
  std::optional<StopReason> add(std::vector<double> rates, DeviceMeasurement measured) {
    pending_.push_back({std::move(rates), PendingMeasurement(std::move(measured))});
    return record_down_to(most_ - 1);
  }

  /// Records all that are under way. Returns why the test ended, where it did.
  std::optional<StopReason> land() { return record_down_to(0); }

 private:
  struct Pending {
    std::vector<double> rates;
    PendingMeasurement measured;
  };

  // When the test ends here, or the watch throws, nothing is left to record.
  std::optional<StopReason> record_down_to(std::size_t count) {
    std::optional<StopReason> reason;
    try {
      while (!reason && pending_.size() > count) {
        reason = record(pending_.front());
        pending_.pop_front();
      }
    } catch (...) {
      pending_.clear();
      throw;
    }
    if (reason) pending_.clear();
    return reason;
  }

  std::optional<StopReason> record(Pending& oldest) {
    if (!recorder_.record(oldest.rates, oldest.measured.wait())) {
      return StopReason::non_finite_loss;
    }
    if (!watch_(recorder_.current())) return StopReason::stopped_by_caller;
    if (recorder_.has_diverged()) return StopReason::diverged;
    return std::nullopt;
  }

  std::size_t most_;
  Recorder& recorder_;
  const Watch& watch_;
  std::deque<Pending> pending_;
};

}  // namespace lrfinder::training
