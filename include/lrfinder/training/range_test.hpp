#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include <lrfinder/history/history.hpp>
#include <lrfinder/history/iteration.hpp>
#include <lrfinder/history/recorder.hpp>
#include <lrfinder/history/schedule.hpp>
#include <lrfinder/torch/measurement.hpp>
#include <lrfinder/training/progress_reporter.hpp>
#include <lrfinder/training/run.hpp>
#include <lrfinder/training/settings.hpp>

namespace lrfinder::detail {

/// The learning rate of every parameter group in one iteration.
inline std::vector<double> scheduled_rates(const RangeTestSettings& settings,
                                           std::int64_t iteration) {
  std::vector<double> rates(settings.start_lr.size());
  for (std::size_t group = 0; group < rates.size(); ++group) {
    rates[group] = scheduled_lr(settings.schedule, settings.start_lr[group], settings.end_lr[group],
                                iteration, settings.num_iter);
  }
  return rates;
}

/// The range test of Smith 2017 (arXiv:1506.01186, section 3.3): raises the learning rate from
/// iteration to iteration, and records the loss until the schedule ends or the loss diverges.
///
/// The host may be ahead of the device by some iterations. Each is recorded when its loss is read,
/// in the order of the test; those after the end of the test are dropped, as if they had not been.
class RangeTest {
 public:
  /// The references live as long as this. `Run` is TrainingRun.
  RangeTest(const ResolvedRangeTest& test, Recorder& recorder, const ProgressReporter& report)
      : test_(test), recorder_(recorder), report_(report) {}

  /// Runs the test. Returns why it ended.
  template <class Run>
  StopReason operator()(Run& run) {
    for (std::int64_t iteration = 0; iteration < test_.range.num_iter; ++iteration) {
      try {
        const std::vector<double> rates = scheduled_rates(test_.range, iteration);
        run.set_lr(rates);
        run.step();
        pending_.push_back({rates, PendingMeasurement(run.measure())});
      } catch (...) {
        // Does not count when the test had ended before, which the host had not seen yet.
        if (const auto reason = record_all_but(0)) return *reason;
        throw;
      }
      if (const auto reason = record_all_but(test_.max_pending - 1)) return *reason;
    }
    return record_all_but(0).value_or(StopReason::completed);
  }

 private:
  struct Pending {
    std::vector<double> rates;
    PendingMeasurement measured;
  };

  // Records the oldest iterations. Returns why the test ends, where it does.
  std::optional<StopReason> record_all_but(std::int64_t count) {
    while (static_cast<std::int64_t>(pending_.size()) > count) {
      Pending oldest = std::move(pending_.front());
      pending_.pop_front();
      if (!recorder_.record(oldest.rates, oldest.measured.wait())) {
        return StopReason::non_finite_loss;
      }
      if (!report_(recorder_.current())) return StopReason::stopped_by_caller;
      if (recorder_.has_diverged()) return StopReason::diverged;
    }
    return std::nullopt;
  }

  const ResolvedRangeTest& test_;
  Recorder& recorder_;
  const ProgressReporter& report_;
  std::deque<Pending> pending_;
};

}  // namespace lrfinder::detail
