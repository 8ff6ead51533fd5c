#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include <lrfinder/distributed/session.hpp>
#include <lrfinder/history/iteration.hpp>
#include <lrfinder/history/trial.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/torch/measurement.hpp>
#include <lrfinder/training/progress_reporter.hpp>
#include <lrfinder/training/run.hpp>

namespace lrfinder::detail {

/// Reports the updates of all trials of a race, as the iterations of one test.
class RaceProgress {
 public:
  /// `num_iter`: the most updates that the race will take.
  RaceProgress(bool progress, std::int64_t num_iter, Session& session)
      : report_(progress, "trials", {}, session) {
    current_.num_iter = num_iter;
    current_.index = -1;
    current_.best_loss = std::numeric_limits<double>::infinity();
  }

  /// Counts updates that are not reported, because another rank took them.
  void skip(std::int64_t updates) { current_.index += updates; }

  void operator()(double lr, double loss) {
    ++current_.index;
    current_.lr = lr;
    current_.loss = loss;
    current_.best_loss = std::fmin(current_.best_loss, loss);
    report_(current_);
  }

 private:
  Iteration current_;
  ProgressReporter report_;
};

/// The step of a plan that is at the same share of its way as an update of a trial.
inline std::int64_t step_of_plan(const TrainingPlan& plan, std::int64_t update,
                                 std::int64_t num_iter) {
  const double share = (static_cast<double>(update) + 0.5) / static_cast<double>(num_iter);
  return static_cast<std::int64_t>(share * static_cast<double>(plan.steps()));
}

/// Trains for `num_iter` updates or up to the first loss that is not finite: at constant rates, one
/// for each parameter group, or by a plan with these peaks. `plan`: null for constant rates.
///
/// `on_update(lr, loss)`: called after each. The loss of the entry is that on the validation loader
/// at the end or, without one, the mean over the last quarter of the updates; infinite where one
/// was not finite. `Run` is TrainingRun.
template <class Run, class OnUpdate>
Trial run_trial(Run& run, const std::vector<double>& rates, std::int64_t num_iter,
                const TrainingPlan* plan, OnUpdate&& on_update) {
  const std::int64_t averaged = std::max<std::int64_t>(1, num_iter / 4);
  Trial entry;
  entry.lr = rates.front();
  run.set_lr(rates);
  while (entry.num_iter < num_iter) {
    if (plan) run.follow(*plan, step_of_plan(*plan, entry.num_iter, num_iter), rates);
    run.step();
    const Measurement measured = read(run.training_loss());
    ++entry.num_iter;
    on_update(entry.lr, measured.loss);
    if (!std::isfinite(measured.loss)) {
      entry.loss = std::numeric_limits<double>::infinity();
      entry.metrics.clear();
      return entry;
    }
    if (entry.num_iter <= num_iter - averaged || run.validates()) continue;
    const double share = 1 / static_cast<double>(averaged);
    entry.loss += share * measured.loss;
    for (const auto& [name, value] : measured.metrics) entry.metrics[name] += share * value;
  }
  if (run.validates()) {
    Measurement measured = read(run.validate());
    entry.loss = measured.loss;
    entry.metrics = std::move(measured.metrics);
  }
  return entry;
}

}  // namespace lrfinder::detail
