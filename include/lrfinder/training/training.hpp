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
#include <lrfinder/detail/text.hpp>
#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/torch/autocast.hpp>
#include <lrfinder/torch/measurement.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/training/evaluation.hpp>
#include <lrfinder/training/kept_batches.hpp>
#include <lrfinder/training/step.hpp>
#include <lrfinder/training/training_settings.hpp>
#include <lrfinder/training/untrained_losses.hpp>

namespace lrfinder::detail {

/// A training that is under way. Range tests and trials are loops that call it.
///
///     training.set_lr(rates);
///     training.step();
///     const Measurement measured = training.measure().read();
class Training : public Step {
 public:
  /// Goes to the first batch. `validation` may be null. `untrained`: measures the untrained losses;
  /// none if they are not measured. The references must outlive the training.
  ///
  /// Throws EmptyLoader if there is no batch.
  Training(torch::optim::Optimizer& optimizer, TrainingBatches& batches,
           std::unique_ptr<Validation> validation, std::optional<UntrainedLosses> untrained,
           const TrainingSettings& settings, Session& session)
      : Step(batches, optimizer, settings, session, std::move(untrained)),
        validation_(std::move(validation)) {
    if (validation_) validation_->start();
  }

  /// Returns what is recorded for the last update: with a validation loader the validation loss
  /// after the update, otherwise the training loss before it.
  DeviceMeasurement measure() {
    if (!validation_) return training_loss();
    DeviceMeasurement measured = validation_->run();
    add_update(measured);
    return measured;
  }

  /// Whether there is a validation loader.
  bool validates() const noexcept { return validation_ != nullptr; }

  /// Returns the mean loss and the metrics over the validation loader.
  DeviceMeasurement validation_loss() { return validation_->run(); }

 private:
  std::unique_ptr<Validation> validation_;
};

/// Makes trainings from the user's objects, loaders and settings. Each training starts from the
/// same state.
class TrainingSetup {
 public:
  /// `val_loader` may be null. The references must outlive the object.
  TrainingSetup(const TrainedObjects& trained, AnyLoader& train_loader, AnyLoader* val_loader,
                TrainingSettings settings, Session& session)
      : trained_(trained),
        val_loader_(val_loader),
        settings_(std::move(settings)),
        session_(session),
        batches_(train_loader, settings_.placement.device, settings_.max_training_bytes) {
    train_loader.drop_pass();  // workers that draw random numbers would change the saved state
    if (val_loader) {
      val_loader->drop_pass();
      val_batches_.emplace(*val_loader, settings_.placement.device, settings_.max_val_batches(),
                           settings_.max_validation_bytes);
    }
  }

  const TrainedObjects& trained() const noexcept { return trained_; }
  const TrainingSettings& settings() const noexcept { return settings_; }

  /// How many batches were left out in all trainings together, each counted once, because their
  /// loss is not finite before any update.
  std::size_t skipped_batches() const { return batches_.left_out(); }

  /// Saves the state, and calls `use` with a training that starts from it. `fingerprint`: the
  /// settings on which all ranks have to agree. `use_untrained`: whether the training measures the
  /// untrained losses of its batches. Returns the saved state, which the caller restores. If an
  /// exception ends the training, train() restores it.
  [[nodiscard]] std::unique_ptr<SavedState> train(const Fingerprint& fingerprint,
                                                  const std::function<void(Training&)>& use,
                                                  bool use_untrained = false) {
    const ThreadState thread_state(settings_.placement.device);
    auto saved = std::make_unique<SavedState>(trained_, settings_.placement, settings_.options);
    try {
      if (settings_.placement.moves) {
        for (ModuleHandle module : trained_.modules) module.to(settings_.placement.device);
      }
      saved->model_flags().train();
      session_.start(fingerprint, trained_);
      std::unique_ptr<Validation> validation;
      if (val_batches_) {
        validation = std::make_unique<Validation>(*val_batches_, trained_, saved->model_flags(),
                                                  settings_, session_);
      }
      Training training(*trained_.optimizers.front(), batches_, std::move(validation),
                        use_untrained ? untrained_losses() : std::nullopt, settings_, session_);
      use(training);
    } catch (...) {
      restore_after_exception(*saved);
      throw;
    }
    return saved;
  }

  /// Saves the state on its present device, for ranks that train from the state of rank 0.
  std::unique_ptr<SavedState> save_in_place() const {
    DevicePlacement in_place = settings_.placement;
    in_place.moves = false;
    return std::make_unique<SavedState>(trained_, in_place, settings_.options);
  }

  /// Adds a hash of the first training batch, and hashes of the first two validation batches.
  ///
  /// The training batch is the first one of every training from the present random state. The
  /// second would depend on the random numbers that the first update draws. If batches are kept,
  /// the first one is kept here. So no training loads it again: a loader with random numbers of its
  /// own would return another one.
  ///
  /// Throws EmptyLoader if there is no training batch.
  void add_first_batches(Fingerprint& fingerprint) {
    batches_.start();
    fingerprint.add("a hash of the first training batch", batches_.next()->tensors().hash());
    batches_.stop();
    if (!val_loader_) return;
    std::vector<std::size_t> hashes;
    val_loader_->iterate(settings_.placement.device)->for_each([&](const auto& batch) {
      hashes.push_back(batch->tensors().hash());
      return hashes.size() < 2;
    });
    fingerprint.add("a hash of the first validation batches", hashes);
  }

 private:
  // None, with a warning, if the weights cannot be copied. Several ranks must not differ in it.
  std::optional<UntrainedLosses> untrained_losses() const {
    try {
      return std::make_optional<UntrainedLosses>(trained_, settings_);
    } catch (const Error& reason) {
      if (!session_.is_single_process() || settings_.options.skip_bad_batches()) {
        throw InvalidOption(
            concat("LRFinder: the losses of the batches at the starting weights cannot be "
                   "measured, because ",
                   reason.what(),
                   "; set RangeTestOptions().paired(false), and "
                   "TrainingOptions().skip_bad_batches(false)"));
      }
      TORCH_WARN(
          "LRFinder: the losses of the batches at the starting weights are not measured, so "
          "suggestions rest on the raw losses: ",
          reason.what());
      return std::nullopt;
    }
  }

  const TrainedObjects& trained_;
  AnyLoader* val_loader_;
  TrainingSettings settings_;
  Session& session_;
  TrainingBatches batches_;                       // for all trainings
  std::optional<ValidationBatches> val_batches_;  // for all trainings
};

}  // namespace lrfinder::detail
