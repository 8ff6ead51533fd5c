#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include <lrfinder/detail/system.hpp>
#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/progress.hpp>
#include <lrfinder/history/suggestion.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/suggest/numeric.hpp>
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

/// How many of the last updates of a trial make its training loss: the last quarter.
inline std::int64_t averaged_updates(std::int64_t updates) {
  return std::max<std::int64_t>(1, updates / 4);
}

/// What is known of the batches of a trial before it is trained.
struct UntrainedBatches {
  /// The loss without training, measured as that of a trial.
  double loss = 0;
  /// The loss of each update's batches.
  std::vector<double> losses;
  /// How much each of the last updates counts in the training loss of a trial.
  std::vector<double> weights;

  /// The size of a usual loss: the absolute value of the mean, or the standard deviation if that is
  /// larger.
  double usual_loss() const {
    const auto count = static_cast<double>(losses.size());
    const double mean = std::accumulate(losses.begin(), losses.end(), 0.0) / count;
    double squares = 0;
    for (const double one : losses) squares += (one - mean) * (one - mean);
    return std::max(std::fabs(mean), std::sqrt(squares / count));
  }
};

/// Evaluates the batches of a trial of `updates` updates without training on them.
/// `after_update()`: called after each update's batches.
///
/// A batch whose untrained loss is more than three times the median of those above 0 counts less,
/// so that a rare large loss does not hide the others. This holds if no loss is negative.
///
/// Throws BadBatch if the loss of a batch is not finite.
template <class AnyTraining, class AfterUpdate>
UntrainedBatches evaluate_untrained(AnyTraining& training, std::int64_t updates,
                                    AfterUpdate&& after_update) {
  constexpr double usual_losses = 3;  // in medians
  UntrainedBatches untrained;
  for (std::int64_t update = 0; update < updates; ++update) {
    untrained.losses.push_back(training.evaluate_without_update());
    after_update();
  }
  const std::vector<double> losses(untrained.losses.end() - averaged_updates(updates),
                                   untrained.losses.end());
  untrained.weights.assign(losses.size(), 1);
  if (*std::min_element(losses.begin(), losses.end()) >= 0) {
    std::vector<double> positive;  // an empty batch has a loss of 0, and tells nothing
    for (const double loss : losses) {
      if (loss > 0) positive.push_back(loss);
    }
    const double most = positive.empty() ? 0 : usual_losses * quantile(positive, 0.5);
    for (std::size_t i = 0; i < losses.size(); ++i) {
      if (losses[i] > most) untrained.weights[i] = most / losses[i];
    }
  }
  const double sum = std::accumulate(untrained.weights.begin(), untrained.weights.end(), 0.0);
  for (double& weight : untrained.weights) weight /= sum;
  untrained.loss = training.validates() ? training.validation_loss().read().raw_loss
                                        : std::inner_product(losses.begin(), losses.end(),
                                                             untrained.weights.begin(), 0.0);
  return untrained;
}

/// Trains by a plan that is compressed to `updates` updates, up to the first loss that is not
/// finite. `peaks`: one for each parameter group. `after_update(loss)`: called after each update.
///
/// The loss of the trial is the validation loss at the end or, without a validation loader, the
/// mean training loss of the last updates, each with its weight. Metrics are plain means. It is
/// infinite if a loss was not finite. `AnyTraining`: Training, or a class with its functions.
template <class AnyTraining, class AfterUpdate>
Trial run_trial(AnyTraining& training, const TrainingPlan& plan, const std::vector<double>& peaks,
                const UntrainedBatches& untrained, AfterUpdate&& after_update) {
  const std::vector<double>& weights = untrained.weights;
  constexpr double unsteady_rise = 2;
  const double usual_loss = untrained.usual_loss();
  const auto updates = static_cast<std::int64_t>(untrained.losses.size());
  const auto first = updates - static_cast<std::int64_t>(weights.size());
  Trial trial;
  trial.lr = first_rate(peaks);
  while (trial.updates < updates) {
    training.follow(plan, step_of_plan(plan, trial.updates, updates), peaks);
    training.step();
    const Measurement measured = training.training_loss().read();
    const double without = untrained.losses[static_cast<std::size_t>(trial.updates++)];
    after_update(measured.raw_loss);
    if (measured.raw_loss - without > unsteady_rise * usual_loss) trial.unsteady = true;
    if (!std::isfinite(measured.raw_loss)) {
      trial.loss = std::numeric_limits<double>::infinity();
      trial.metrics.clear();
      trial.loss_parts.clear();
      return trial;
    }
    if (trial.updates <= first) continue;
    const double weight = weights[static_cast<std::size_t>(trial.updates - first - 1)];
    trial.loss_parts.push_back(weight * measured.raw_loss);
    if (training.validates()) continue;
    trial.loss += trial.loss_parts.back();
    for (const auto& [name, value] : measured.metrics) {
      trial.metrics[name] += value / static_cast<double>(weights.size());
    }
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
  /// `after_update`: called after each update; not empty.
  Trial train(
      double lr, std::int64_t updates, const std::function<void()>& after_update = [] {}) {
    const std::vector<double> peaks = detail::group_rates(curve_, lr, present_);
    detail::Fingerprint fingerprint = fingerprint_of(setup_.settings());
    fingerprint.add("the plan", describe(plan_))
        .add("the learning rate of a trial", peaks)
        .add("the number of updates of a trial", updates);
    const auto known = untrained_.find(updates);
    if (known == untrained_.end()) {
      const auto evaluate = [&](detail::Training& training) {
        untrained_[updates] = detail::evaluate_untrained(training, updates, after_update);
      };
      setup_.train(fingerprint, evaluate)->restore();
    }
    const detail::UntrainedBatches& untrained = untrained_.at(updates);
    if (lr == 0) return {lr, 0, untrained.loss};
    Trial trial;
    const auto run = [&](detail::Training& training) {
      trial = detail::run_trial(training, plan_, peaks, untrained, [&](double loss) {
        show(lr, loss);
        after_update();
      });
    };
    setup_.train(fingerprint, run)->restore();
    done_.best_loss = std::fmin(done_.best_loss, trial.loss);
    return trial;
  }

  /// Counts updates of another process for the progress.
  void skip(std::int64_t updates) { done_.index += updates; }

 private:
  // Shows one update. Counts the updates of all trials together, like the iterations of one test.
  // The best loss is that of a trial.
  void show(double lr, double loss) {
    ++done_.index;
    done_.lr = lr;
    done_.loss = loss;
    if (progress_) (*progress_)(done_);
  }

  detail::TrainingSetup& setup_;
  const History& curve_;
  std::vector<double> present_;
  const TrainingPlan& plan_;
  std::map<std::int64_t, detail::UntrainedBatches> untrained_;  // by the updates of a trial
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

  /// Trains at each of these rates of the first parameter group, for `updates` updates each. At
  /// rate 0 a trial only evaluates its batches. `likely_next`: rates at which the search may ask
  /// for trials of the same length next.
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
