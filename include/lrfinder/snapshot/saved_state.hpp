#pragma once

#include <exception>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/error.hpp>
#include <lrfinder/snapshot/random_state.hpp>
#include <lrfinder/snapshot/saved_attributes.hpp>
#include <lrfinder/snapshot/saved_optimizer.hpp>
#include <lrfinder/snapshot/saved_registry.hpp>
#include <lrfinder/snapshot/saved_tensors.hpp>
#include <lrfinder/snapshot/store.hpp>
#include <lrfinder/torch/compatibility.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/training_options.hpp>

namespace lrfinder::detail {

/// The saved training flag of every submodule of a model. Switches between training and evaluation,
/// and restores the flags.
///
/// If the user set a submodule of a model in training mode to eval mode, the submodule stays in
/// eval mode during the test. If the whole model is in eval mode, the test trains the whole model.
class TrainingFlags {
 public:
  explicit TrainingFlags(const ModuleHandle& model) {
    for (const ModuleHandle& module : model.self_and_submodules()) {
      flags_.emplace_back(module, module.is_training());
    }
  }

  /// Switches to training mode, with the flags that the user has set.
  void train() {
    auto& [model, was_training] = flags_.front();
    if (!was_training) return model.train(true);
    for (auto& [module, on] : flags_) set(module, on);
  }

  /// Switches all submodules to eval mode.
  void evaluate() { flags_.front().first.train(false); }

  /// Restores each flag, even if another one fails: a module may override train().
  void restore(RestoreErrors& errors) {
    for (auto& flag : flags_) {
      errors.unless("the training flag of a module", [&] { set(flag.first, flag.second); });
    }
  }

 private:
  static void set(ModuleHandle& module, bool on) {
    if (module.is_training() != on) module.train(on);
  }

  // Parents come before their children, because train() of a parent also sets its children.
  std::vector<std::pair<ModuleHandle, bool>> flags_;
};

/// The saved state of everything that a training changes: parameters, buffers and gradients, the
/// attributes of TorchScript modules, what is registered with C++ modules, the state and options of
/// the optimizers, the training flags of all submodules, variables of the user, and the random
/// state.
class SavedState {
 public:
  /// Saves the state, as the options say. If this throws, nothing has changed.
  SavedState(const TrainedObjects& state, const DevicePlacement& placement,
             const TrainingOptions& options)
      : random_(placement.device),
        store_(options),
        tensors_(store_, options.snapshot(), placement) {
    for (torch::optim::Optimizer* optimizer : state.optimizers) {
      optimizers_.emplace_back(*optimizer, tensors_, store_, placement);
    }
    for (const ModuleHandle& module : state.modules) {
      module.each_parameter([&](const torch::Tensor& parameter) { tensors_.save(parameter); });
      module.each_buffer([&](const torch::Tensor& buffer) { tensors_.save(buffer); });
      attributes_.emplace_back(module, tensors_);
      flags_.emplace_back(module);
      registries_.emplace_back(module);
    }
    for (torch::Tensor* variable : state.variables) {
      tensors_.save(*variable);
      variables_.emplace_back(variable, *variable);
    }
    tensors_.set_gradients_aside();
    for (SavedOptimizer& optimizer : optimizers_) optimizer.set_state_aside();
    for (SavedAttributes& attributes : attributes_) attributes.set_aside();
  }

  /// The training flags of the model.
  TrainingFlags& model_flags() { return flags_.front(); }

  /// Restores everything. If a part fails, restores the others and then throws SnapshotError. A
  /// part fails, for example, if its copy is damaged, a user-defined optimizer cannot be loaded, or
  /// the train() of a module throws. Must be called only once.
  void restore() {
    for (SavedOptimizer& optimizer : optimizers_) optimizer.restore(errors_);
    for (SavedAttributes& attributes : attributes_) attributes.restore(errors_);
    for (auto& [variable, tensor] : variables_) *variable = tensor;
    for (SavedRegistry& registry : registries_) registry.restore(errors_);
    for (TrainingFlags& flags : flags_) flags.restore(errors_);
    errors_.unless("the random state", [&] { random_.restore(); });
    tensors_.restore(errors_);
    warn_of_added_names();
    if (!errors_.any()) return;
    throw SnapshotError("LRFinder: " + errors_.description() +
                        ". These stay as the test left them. All else was restored");
  }

 private:
  void warn_of_added_names() const noexcept {
    try {
      std::string added;
      for (const SavedRegistry& registry : registries_) added += registry.added();
      if (!added.empty()) {
        TORCH_WARN("LRFinder: what the test has added to the model stays:", added);
      }
    } catch (...) {  // no memory for the message
    }
  }

  RestoreErrors errors_;
  RandomState random_;
  SnapshotStore store_;
  SavedTensors tensors_;
  std::list<SavedOptimizer> optimizers_;  // a list copies none of them
  std::vector<SavedAttributes> attributes_;
  std::vector<TrainingFlags> flags_;
  std::vector<SavedRegistry> registries_;
  std::vector<std::pair<torch::Tensor*, torch::Tensor>> variables_;  // and what they were
};

/// Restores everything while an exception is being handled. If this fails, throws a SnapshotError
/// that quotes the exception and carries it nested.
inline void restore_after_exception(SavedState& saved) {
  std::string failure;
  try {
    return saved.restore();
  } catch (const SnapshotError& error) {
    failure = error.what();
  }
  failure += ". The test had been ended by this exception: ";
  std::throw_with_nested(SnapshotError(failure + message_of(std::current_exception())));
}

}  // namespace lrfinder::detail
