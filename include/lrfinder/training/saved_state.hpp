#pragma once

#include <vector>

#include <torch/torch.h>

#include <lrfinder/training/model.hpp>
#include <lrfinder/training/optimizer_state.hpp>
#include <lrfinder/training/placement.hpp>
#include <lrfinder/training/random_state.hpp>
#include <lrfinder/training/saved_tensors.hpp>
#include <lrfinder/training/training_mode.hpp>

namespace lrfinder::training {

/// Everything that a range test borrows, as it was: parameters, buffers and gradients, the state
/// and options of the optimizer, the training flags of all submodules, the random state.
class SavedState {
 public:
  /// Saves the modules (the model, and the criterion where it is a module) and the optimizer.
  /// The model comes first.
  ///
  /// When it throws, nothing has changed.
  SavedState(const std::vector<ModuleHandle>& modules, torch::optim::Optimizer& optimizer,
             const Placement& placement)
      : random_(placement.device), tensors_(placement), optimizer_(optimizer, tensors_, placement) {
    for (const ModuleHandle& module : modules) {
      module.each_parameter([&](const torch::Tensor& parameter) { tensors_.save(parameter); });
      module.each_buffer([&](const torch::Tensor& buffer) { tensors_.save(buffer); });
      modes_.emplace_back(module);
    }
    tensors_.set_gradients_aside();
    optimizer_.set_state_aside();
  }

  /// The training flags of the model.
  TrainingMode& model_mode() { return modes_.front(); }

  /// Gives everything back. To be called once.
  void restore() {
    optimizer_.restore();
    tensors_.restore();
    for (TrainingMode& mode : modes_) mode.restore();
    random_.restore();
  }

 private:
  RandomState random_;
  SavedTensors tensors_;
  SavedOptimizer optimizer_;
  std::vector<TrainingMode> modes_;
};

}  // namespace lrfinder::training
