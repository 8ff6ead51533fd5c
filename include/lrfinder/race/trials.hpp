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

/// Trains at each of these rates of the first parameter group, for so many updates.
using RunTrials =
    std::function<std::vector<Trial>(const std::vector<double>& rates, std::int64_t num_iter)>;

/// Runs trials on a training, one after the other: each starts from the same state, and restores
/// it.
class Trials {
 public:
  /// Called after each update.
  using OnUpdate = std::function<void(double lr, double loss)>;

  /// `fingerprint`: what all ranks have to agree on. `rates`: gives the learning rates of all
  /// parameter groups for that of the first. `plan`: null for constant rates. The references live
  /// as long as this.
  Trials(Training& training, Fingerprint fingerprint,
         std::function<std::vector<double>(double)> rates, const TrainingPlan* plan,
         OnUpdate on_update)
      : training_(training),
        fingerprint_(std::move(fingerprint)),
        rates_(std::move(rates)),
        plan_(plan),
        on_update_(std::move(on_update)) {
    if (plan) fingerprint_.add("the plan", to_string(*plan));
  }

  /// Trains at each of these rates of the first parameter group, for so many updates.
  std::vector<Trial> operator()(const std::vector<double>& rates, std::int64_t num_iter) {
    std::vector<Trial> results;
    for (const double lr : rates) results.push_back(run(lr, num_iter, on_update_));
    return results;
  }

  /// Trains at one rate.
  Trial run(double lr, std::int64_t num_iter, const OnUpdate& on_update) {
    const std::vector<double> rates = rates_(lr);
    Trial result;
    Fingerprint fingerprint = fingerprint_;
    fingerprint.add("the learning rate of a trial", rates);
    fingerprint.add("the number of updates of a trial", num_iter);
    training_
        .run(fingerprint,
             [&](TrainingRun& run) { result = run_trial(run, rates, num_iter, plan_, on_update); })
        ->restore();
    return result;
  }

 private:
  Training& training_;
  Fingerprint fingerprint_;
  std::function<std::vector<double>(double)> rates_;
  const TrainingPlan* plan_;
  OnUpdate on_update_;
};

}  // namespace lrfinder::detail
