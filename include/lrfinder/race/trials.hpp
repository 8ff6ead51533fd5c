#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/history/trial.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/race/trial.hpp>
#include <lrfinder/training/run.hpp>

namespace lrfinder::detail {

/// Runs trials on a training: each starts from the same state, and restores it.
class Trials {
 public:
  /// `fingerprint`: what all ranks have to agree on. `rates`: gives the learning rates of all
  /// parameter groups for that of the first. `plan`: null for constant rates. The references live
  /// as long as this.
  Trials(Training& training, Fingerprint fingerprint,
         std::function<std::vector<double>(double)> rates, const TrainingPlan* plan,
         RaceProgress& report)
      : training_(training),
        fingerprint_(std::move(fingerprint)),
        rates_(std::move(rates)),
        plan_(plan),
        report_(report) {
    if (plan) fingerprint_.add("the plan", to_string(*plan));
  }

  /// Trains at a rate of the first parameter group, for so many updates.
  Trial operator()(double lr, std::int64_t num_iter) {
    const std::vector<double> rates = rates_(lr);
    Trial result;
    Fingerprint fingerprint = fingerprint_;
    fingerprint.add("the learning rate of a trial", rates);
    fingerprint.add("the number of updates of a trial", num_iter);
    training_
        .run(fingerprint,
             [&](TrainingRun& run) { result = run_trial(run, rates, num_iter, plan_, report_); })
        ->restore();
    return result;
  }

 private:
  Training& training_;
  Fingerprint fingerprint_;
  std::function<std::vector<double>(double)> rates_;
  const TrainingPlan* plan_;
  RaceProgress& report_;
};

}  // namespace lrfinder::detail
