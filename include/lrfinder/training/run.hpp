#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/data/batch_cache.hpp>
#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/snapshot/modes.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/torch/measurement.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/torch/optimizer.hpp>
#include <lrfinder/training/evaluation.hpp>
#include <lrfinder/training/kept_batches.hpp>
#include <lrfinder/training/settings.hpp>
#include <lrfinder/training/step.hpp>

namespace lrfinder::detail {

/// An iterator over a training loader, whose batches are kept where the settings ask for it.
inline std::unique_ptr<AnyBatchIterator> iterate_kept(AnyLoader& loader, KeptBatches& kept,
                                                      const TrainingSettings& settings) {
  auto batches = loader.iterate(settings.placement.device);
  if (settings.max_kept_bytes == 0) return batches;
  return std::make_unique<KeptBatchIterator>(kept, std::move(batches));
}

/// One run of a training: a range test, or a trial of a race, is a loop over it.
///
///     run.set_lr(rates);
///     run.step();
///     const Measurement measured = read(run.measure());
class TrainingRun {
 public:
  /// Goes to the first batch of each loader; `val_loader` may be null. The references live as long
  /// as this.
  ///
  /// Throws EmptyLoader when there is none.
  TrainingRun(torch::optim::Optimizer& optimizer, AnyLoader& train_loader, AnyLoader* val_loader,
              KeptBatches& kept, BatchCache& val_cache, TrainingMode& mode,
              const TrainingSettings& settings, Session& session)
      : optimizer_(optimizer),
        batches_(iterate_kept(train_loader, kept, settings)),
        step_(*batches_, optimizer, settings, session) {
    batches_->start();
    if (val_loader) validation_.emplace(*val_loader, val_cache, mode, settings, session);
  }

  /// Sets the learning rate of every parameter group.
  void set_lr(const std::vector<double>& rates) { set_rates(optimizer_, rates); }

  /// Sets the rates of a step of a plan, and the momentum where it cycles that.
  void follow(const TrainingPlan& plan, std::int64_t step, const std::vector<double>& peaks) {
    const double fraction = plan.fraction(step);
    std::vector<double> rates;
    for (const double peak : peaks) rates.push_back(fraction * peak);
    set_lr(rates);
    const auto momentum = plan.momentum(step);
    if (!momentum) return;
    for (auto& group : optimizer_.param_groups()) set_momentum(group.options(), *momentum);
  }

  /// Takes one update of the optimizer.
  void step() { step_(); }

  /// What is recorded of the last update: the loss on the validation loader after it or, without
  /// one, the training loss before it.
  DeviceMeasurement measure() {
    if (!validation_) return training_loss();
    DeviceMeasurement measured = (*validation_)();
    step_.add_update(measured);
    return measured;
  }

  /// The training loss before the last update; to be called once an update.
  DeviceMeasurement training_loss() { return step_.take_measured(); }

  /// Whether there is a validation loader.
  bool validates() const noexcept { return validation_.has_value(); }

  /// The mean loss over the validation loader, and the metrics.
  DeviceMeasurement validate() { return (*validation_)(); }

 private:
  torch::optim::Optimizer& optimizer_;
  std::unique_ptr<AnyBatchIterator> batches_;
  Step step_;
  std::optional<Validation> validation_;
};

/// The user's training, from which runs are made: each starts from the same state.
class Training {
 public:
  /// `val_loader` may be null. The references live as long as this.
  Training(const TrainingState& state, AnyLoader& train_loader, AnyLoader* val_loader,
           const TrainingSettings& settings, Session& session)
      : state_(state),
        train_loader_(train_loader),
        val_loader_(val_loader),
        settings_(settings),
        session_(session),
        kept_(settings.placement.device, settings.max_kept_bytes),
        val_cache_(settings.max_cached_bytes) {}

  const TrainingState& state() const noexcept { return state_; }
  const TrainingSettings& settings() const noexcept { return settings_; }

  /// Saves the state, and calls `use` with a run on it. `fingerprint`: what all ranks have to agree
  /// on. Restores the state when an exception ends the run; otherwise the caller restores what is
  /// returned.
  std::unique_ptr<SavedState> run(const Fingerprint& fingerprint,
                                  const std::function<void(TrainingRun&)>& use) {
    const ThreadModes thread_modes(settings_.placement.device);
    auto saved = std::make_unique<SavedState>(state_, settings_.placement, settings_.snapshot);
    try {
      if (settings_.placement.moves) {
        for (ModuleHandle module : state_.modules) module.to(settings_.placement.device);
      }
      saved->model_mode().train();
      session_.start(fingerprint, state_);
      TrainingRun run(*state_.optimizers.front(), train_loader_, val_loader_, kept_, val_cache_,
                      saved->model_mode(), settings_, session_);
      use(run);
      val_cache_.is_unchanged();  // warns
    } catch (...) {
      restore_after_exception(*saved);
      throw;
    }
    return saved;
  }

  /// Adds hashes of the first batches of each loader.
  ///
  /// Of the training loader it is the one with which a run from the present random state begins.
  /// Where batches are kept, so is this one: a run does not load it again, as a loader with random
  /// numbers of its own would make it another. The second one depends on what the first update
  /// draws.
  ///
  /// Throws EmptyLoader when there is no training batch.
  void add_first_batches(Fingerprint& fingerprint) {
    const auto batches = iterate_kept(train_loader_, kept_, settings_);
    batches->start();
    fingerprint.add("a hash of the first training batch", batches->next()->hash());
    if (!val_loader_) return;
    std::vector<std::size_t> hashes;
    val_loader_->iterate(settings_.placement.device)->for_each([&](const auto& batch) {
      hashes.push_back(batch->hash());
      return hashes.size() < 2;
    });
    fingerprint.add("a hash of the first validation batches", hashes);
  }

 private:
  const TrainingState& state_;
  AnyLoader& train_loader_;
  AnyLoader* val_loader_;
  const TrainingSettings& settings_;
  Session& session_;
  KeptBatches kept_;      // one for all runs
  BatchCache val_cache_;  // one for all runs
};

}  // namespace lrfinder::detail
