#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <torch/torch.h>

#include <lrfinder/error.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/snapshot/modes.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/torch/autocast.hpp>
#include <lrfinder/torch/device.hpp>
#include <lrfinder/torch/gradient_scaler.hpp>
#include <lrfinder/torch/module.hpp>

namespace lrfinder::detail {

/// What the user trains with, and lends: a model, an optimizer, a criterion, and what else the
/// criterion changes.
class Setup {
 public:
  /// `device`: where the model goes for a test; none where it stays.
  Setup(torch::optim::Optimizer& optimizer, std::optional<torch::Device> device)
      : optimizer_(&optimizer), device_(device) {}

  torch::optim::Optimizer& optimizer() const noexcept { return *optimizer_; }

  /// Adds a module to what is lent; the model comes first.
  void add(ModuleHandle module) { borrowed_.modules.push_back(std::move(module)); }
  void add(torch::optim::Optimizer& optimizer) { borrowed_.optimizers.push_back(&optimizer); }
  void add(const torch::Tensor& tensor) { borrowed_.tensors.push_back(tensor); }

  /// What is lent, ready for training.
  struct Lent {
    torch::Device device;
    /// The mode of the model.
    TrainingMode& mode;
    const TrainingState& borrowed;
  };

  /// Saves everything and lends it to `use`. Gives it back when that throws; otherwise the caller
  /// restores what is returned.
  std::unique_ptr<SavedState> lend(const RangeTestOptions& options,
                                   const std::function<void(const Lent&)>& use) const {
    if (c10::InferenceMode::is_enabled()) {
      throw InvalidOption(
          "range_test: called under c10::InferenceMode, where nothing can be trained; end the "
          "guard's scope before");
    }
    TrainingState borrowed = borrowed_;
    borrowed.optimizers.push_back(optimizer_);
    const Placement placement(borrowed.modules.front(), *optimizer_, device_);
    if (options.autocast()) require_autocast(placement.device, *options.autocast());
    GradientScaler{options.gradient_scaler()};  // checks its options
    const ThreadModes thread_modes(placement.device);
    auto saved = std::make_unique<SavedState>(borrowed, placement, options);
    try {
      if (placement.moves) {
        for (ModuleHandle module : borrowed.modules) module.to(placement.device);
      }
      saved->model_mode().train();
      use({placement.device, saved->model_mode(), borrowed});
    } catch (...) {
      restore_after_exception(*saved);
      throw;
    }
    return saved;
  }

 private:
  torch::optim::Optimizer* optimizer_;
  std::optional<torch::Device> device_;
  TrainingState borrowed_;
};

}  // namespace lrfinder::detail
