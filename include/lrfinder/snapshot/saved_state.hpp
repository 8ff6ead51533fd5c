#pragma once

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/error.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/snapshot/file_store.hpp>
#include <lrfinder/snapshot/modes.hpp>
#include <lrfinder/snapshot/restore_errors.hpp>
#include <lrfinder/snapshot/saved_attributes.hpp>
#include <lrfinder/snapshot/saved_optimizer.hpp>
#include <lrfinder/snapshot/saved_tensors.hpp>
#include <lrfinder/snapshot/store.hpp>
#include <lrfinder/torch/device.hpp>
#include <lrfinder/torch/module.hpp>

namespace lrfinder::detail {

/// What a training changes.
struct TrainingState {
  std::vector<ModuleHandle> modules;                 // the model first
  std::vector<torch::optim::Optimizer*> optimizers;  // the one that updates the model first
  std::vector<torch::Tensor> tensors;
};

/// Where the copies of a snapshot are kept.
struct SnapshotOptions {
  Snapshot kind = Snapshot::device;
  /// Folder of the file of Snapshot::disk; empty for the system's.
  std::string dir;
};

/// Everything that a training changes, as it was: parameters, buffers and gradients, the attributes
/// of TorchScript modules, the state and options of the optimizer, the training flags of all
/// submodules, the random state.
class SavedState {
 public:
  /// Saves it. When it throws, nothing has changed.
  SavedState(const TrainingState& state, const Placement& placement, const SnapshotOptions& options)
      : random_(placement.device),
        store_(make_store(options)),
        tensors_(*store_, treatment_of_gradients(options), placement) {
    for (torch::optim::Optimizer* optimizer : state.optimizers) {
      optimizers_.emplace_back(*optimizer, tensors_, *store_, placement);
    }
    for (const ModuleHandle& module : state.modules) {
      module.each_parameter([&](const torch::Tensor& parameter) { tensors_.save(parameter); });
      module.each_buffer([&](const torch::Tensor& buffer) { tensors_.save(buffer); });
      attributes_.emplace_back(module, tensors_);
      modes_.emplace_back(module);
      names_.emplace_back(module);
    }
    for (const torch::Tensor& tensor : state.tensors) tensors_.save(tensor);
    tensors_.set_gradients_aside();
    for (SavedOptimizer& optimizer : optimizers_) optimizer.set_state_aside();
    for (SavedAttributes& attributes : attributes_) attributes.set_aside();
  }

  /// The training flags of the model.
  TrainingMode& model_mode() { return modes_.front(); }

  /// Restores everything: each part whatever happens to the others. To be called once. Throws
  /// SnapshotError in the end where something could not be restored: a copy was damaged, a user's
  /// optimizer could not be loaded, a module's train() throws.
  void restore() {
    for (SavedOptimizer& optimizer : optimizers_) optimizer.restore(errors_);
    for (SavedAttributes& attributes : attributes_) attributes.restore(errors_);
    for (TrainingMode& mode : modes_) mode.restore(errors_);
    errors_.unless("the random state", [&] { random_.restore(); });
    tensors_.restore(errors_);
    for (const RegisteredNames& names : names_) names.warn_of_more();
    if (!errors_.any()) return;
    const std::string kept = store_->keep();
    throw SnapshotError("LRFinder: " + errors_.description() +
                        ". That stays as the test left it, all else is as it was" +
                        (kept.empty() ? "" : "; the snapshot file " + kept + " has been kept"));
  }

 private:
  // Where the copies must not take the memory of the device, the gradients must not do it either.
  static Gradients treatment_of_gradients(const SnapshotOptions& options) {
    return options.kind == Snapshot::device ? Gradients::set_aside : Gradients::copied;
  }

  // The store that the options ask for.
  static std::unique_ptr<SnapshotStore> make_store(const SnapshotOptions& options) {
    if (options.kind == Snapshot::disk) {
      return std::make_unique<FileStore>(options.dir);
    }
    return std::make_unique<MemoryStore>(/*on_host=*/options.kind == Snapshot::host);
  }

  RestoreErrors errors_;
  RandomState random_;
  std::unique_ptr<SnapshotStore> store_;
  SavedTensors tensors_;
  std::vector<SavedOptimizer> optimizers_;
  std::vector<SavedAttributes> attributes_;
  std::vector<TrainingMode> modes_;
  std::vector<RegisteredNames> names_;
};

/// Restores everything while an exception is being handled. Where that fails, the SnapshotError
/// says so, quotes the exception, and carries it nested.
inline void restore_after_exception(SavedState& saved) {
  const std::exception_ptr cause = std::current_exception();
  try {
    saved.restore();
  } catch (const SnapshotError& failure) {
    std::string message = failure.what();
    message += ". The test had been ended by this exception: " + message_of(cause);
    try {
      std::rethrow_exception(cause);
    } catch (...) {
      std::throw_with_nested(SnapshotError(message));
    }
  }
}

}  // namespace lrfinder::detail
