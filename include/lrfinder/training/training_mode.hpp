#pragma once

#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/training/module_handle.hpp>

namespace lrfinder::training {

/// The training flag of every submodule of a model, to switch between training and evaluation and
/// to put back.
///
/// A submodule that the user set to eval inside a model in training mode stays in eval while the
/// test trains; a model that comes in eval mode as a whole is trained.
class TrainingMode {
 public:
  explicit TrainingMode(ModuleHandle model)
      : model_(std::move(model)), was_training_(model_.is_training()) {
    for (auto& module : model_.self_and_submodules()) {
      const bool on = module.is_training();
      flags_.push_back({std::move(module), on});
    }
  }

  /// Training mode, as the user has set it up.
  void train() {
    if (was_training_) {
      restore();
    } else {
      model_.train(true);
    }
  }

  /// Eval mode for all.
  void evaluate() { model_.train(false); }

  /// The flags as they were. Parents come first, because setting theirs sets their children's.
  void restore() {
    for (auto& [module, on] : flags_) {
      if (module.is_training() != on) module.train(on);
    }
  }

 private:
  struct Flag {
    ModuleHandle module;
    bool on;
  };
  ModuleHandle model_;
  bool was_training_;
  std::vector<Flag> flags_;
};

}  // namespace lrfinder::training
