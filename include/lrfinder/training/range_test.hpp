#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/history/history.hpp>
#include <lrfinder/history/recorder.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/torch/optimizer.hpp>
#include <lrfinder/training/measurement.hpp>
#include <lrfinder/training/progress_reporter.hpp>

namespace lrfinder::detail {

/// How many iterations may be under way at a time: what the options ask for or, where nobody looks
/// at the single iteration, as many as keep an accelerator busy.
inline std::int64_t max_pending_iterations(const RangeTestOptions& options, torch::Device device) {
  if (options.ranks()) return 1;  // their roll call waits in any case
  if (options.iterations_in_flight()) return *options.iterations_in_flight();
  const bool watched = options.on_iteration().is_set() || !options.restore();
  constexpr std::int64_t busy = 16;
  return device.is_cpu() || watched ? 1 : busy;
}

/// The iterations that the device still computes, while the host is ahead. Each is recorded when
/// its figures are read, in the order of the test; what comes after the end of the test is dropped,
/// as if it had not been.
class PendingIterations {
 public:
  /// `most`: at least 1, which waits for every iteration. The references live as long as this.
  PendingIterations(std::int64_t most, Recorder& recorder, const ProgressReporter& watch)
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
  const ProgressReporter& watch_;
  std::deque<Pending> pending_;
};

/// The range test of Smith 2017 (arXiv:1506.01186, section 3.3): raises the learning rate from
/// iteration to iteration, and records the loss until the schedule ends or the loss leaves.
///
/// `step()` takes one update; `measure()` returns the DeviceMeasurement to record, with the
/// training loss from before the update or the loss on a validation loader after it. Nothing here
/// waits for the device but `iterations`, where too many are under way.
template <class Step, class Measure>
StopReason range_test(const RangeTestSettings& settings, torch::optim::Optimizer& optimizer,
                      Step&& step, Measure&& measure, PendingIterations& iterations) {
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

}  // namespace lrfinder::detail
