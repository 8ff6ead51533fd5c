#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iostream>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <lrfinder/detail/system.hpp>
#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/progress.hpp>
#include <lrfinder/history/suggestion.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/torch/measurement.hpp>
#include <lrfinder/training/group_rates.hpp>
#include <lrfinder/training/training.hpp>

namespace lrfinder {
namespace detail {

/// Returns the step of a plan for an update of a trial: both are at the same share of the whole.
inline std::int64_t step_of_plan(const TrainingPlan& plan, std::int64_t update,
                                 std::int64_t updates) {
  const double share = (static_cast<double>(update) + 0.5) / static_cast<double>(updates);
  return static_cast<std::int64_t>(share * static_cast<double>(plan.steps()));
}

/// Trains by a plan that is compressed to `updates` updates, up to the first loss that is not
/// finite. `peaks`: one for each parameter group. `after_update(loss)`: called after each update.
///
/// The loss of the trial is the validation loss at the end or, without a validation loader, the
/// mean training loss of the last quarter of the updates. It is infinite if a loss was not finite.
/// At rates of 0 nothing is trained: the batches are only evaluated, which counts as no update.
/// `AnyTraining`: Training, or a class with its functions.
///
/// At rates of 0, throws BadBatch if the loss of a batch is not finite.
template <class AnyTraining, class AfterUpdate>
Trial run_trial(AnyTraining& training, const TrainingPlan& plan, const std::vector<double>& peaks,
                std::int64_t updates, AfterUpdate&& after_update) {
  const std::int64_t averaged = std::max<std::int64_t>(1, updates / 4);
  Trial trial;
  trial.lr = peaks.front();
  if (trial.lr == 0) {
    for (std::int64_t update = 0; update < updates; ++update) {
      const double loss = training.evaluate_without_update();
      if (update >= updates - averaged) trial.loss += loss / static_cast<double>(averaged);
      after_update(loss);
    }
    if (training.validates()) trial.loss = training.validation_loss().read().raw_loss;
    return trial;
  }
  while (trial.updates < updates) {
    training.follow(plan, step_of_plan(plan, trial.updates, updates), peaks);
    training.step();
    const Measurement measured = training.training_loss().read();
    ++trial.updates;
    after_update(measured.raw_loss);
    if (!std::isfinite(measured.raw_loss)) {
      trial.loss = std::numeric_limits<double>::infinity();
      trial.metrics.clear();
      return trial;
    }
    if (trial.updates <= updates - averaged || training.validates()) continue;
    const double share = 1 / static_cast<double>(averaged);
    trial.loss += share * measured.raw_loss;
    for (const auto& [name, value] : measured.metrics) trial.metrics[name] += share * value;
  }
  if (training.validates()) {
    Measurement measured = training.validation_loss().read();
    trial.loss = measured.raw_loss;
    trial.metrics = std::move(measured.metrics);
  }
  return trial;
}

}  // namespace detail

/// Trains single trials of a search. Each trial starts from the same state, and restores it.
class TrialTrainer {
 public:
  /// `curve`: the history with the ratios of the rates of all groups. `present`: the present rates.
  /// `budget`: the most updates of all trials together. `progress`: whether a line on stderr shows
  /// the progress. The references must outlive the trainer.
  TrialTrainer(detail::TrainingSetup& setup, const History& curve, std::vector<double> present,
               const TrainingPlan& plan, std::int64_t budget, bool progress)
      : setup_(setup), curve_(curve), present_(std::move(present)), plan_(plan) {
    done_.num_iter = budget;
    done_.index = -1;
    done_.best_loss = std::numeric_limits<double>::infinity();
    if (progress) progress_.emplace(std::cerr, is_terminal(stderr), "trials");
  }

  /// Trains one trial. `lr`: the rate of the first parameter group; 0 only evaluates the batches.
  /// `after_update`: called after each update.
  Trial train(double lr, std::int64_t updates, const std::function<void()>& after_update = {}) {
    const std::vector<double> peaks = detail::group_rates(curve_, lr, present_);
    detail::Fingerprint fingerprint = fingerprint_of(setup_.settings());
    fingerprint.add("the plan", describe(plan_))
        .add("the learning rate of a trial", peaks)
        .add("the number of updates of a trial", updates);
    Trial trial;
    const auto run = [&](detail::Training& training) {
      trial = detail::run_trial(training, plan_, peaks, updates, [&](double loss) {
        if (lr > 0) show(lr, loss);
        if (after_update) after_update();
      });
    };
    setup_.train(fingerprint, run)->restore();
    return trial;
  }

  /// Counts updates of another process for the progress.
  void skip(std::int64_t updates) { done_.index += updates; }

 private:
  // Shows one update. Counts the updates of all trials together, like the iterations of one test.
  void show(double lr, double loss) {
    ++done_.index;
    done_.lr = lr;
    done_.loss = loss;
    done_.best_loss = std::fmin(done_.best_loss, loss);
    if (progress_) (*progress_)(done_);
  }

  detail::TrainingSetup& setup_;
  const History& curve_;
  std::vector<double> present_;
  const TrainingPlan& plan_;
  Iteration done_;
  std::optional<Progress> progress_;
};

/// Runs the trials that a search asks for. This class runs them in this process, in turn.
/// `parallel_trials()` in `<lrfinder/parallel_trials.hpp>` makes a runner of a derived class.
class TrialRunner {
 public:
  TrialRunner() = default;
  TrialRunner(const TrialRunner&) = delete;
  TrialRunner& operator=(const TrialRunner&) = delete;
  virtual ~TrialRunner() = default;

  /// Trains at each of these rates of the first parameter group, for `updates` updates each.
  /// `likely_next`: rates at which the search may ask for trials of the same length next.
  virtual std::vector<Trial> run(TrialTrainer& trainer, const std::vector<double>& rates,
                                 std::int64_t updates, const std::vector<double>& /*likely_next*/) {
    std::vector<Trial> trials;
    for (const double lr : rates) trials.push_back(trainer.train(lr, updates));
    return trials;
  }

  /// Calls `search`, which runs a whole search. During this call, the search calls the functions
  /// below in their order.
  virtual void host(const std::function<void()>& search) { search(); }
  /// Begins a search. `fingerprint`: the settings on which processes have to agree.
  virtual void begin(detail::TrainingSetup&, const detail::Fingerprint&) {}
  /// Called with the history of each range test. A runner may replace the history.
  virtual void share(History&) {}
  /// Ends a search. Not called after an exception.
  virtual void end() {}

  /// How many processes train side by side.
  virtual std::int64_t processes() const { return 1; }
  /// Whether this process calls callbacks and shows progress.
  virtual bool reports() const { return true; }
};

}  // namespace lrfinder
