#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/curve/error.hpp>
#include <lrfinder/training/autocast.hpp>
#include <lrfinder/training/criterion.hpp>
#include <lrfinder/training/gradient_scaler.hpp>
#include <lrfinder/training/loader.hpp>
#include <lrfinder/training/model.hpp>
#include <lrfinder/training/objective.hpp>
#include <lrfinder/training/options.hpp>
#include <lrfinder/training/placement.hpp>
#include <lrfinder/training/saved_state.hpp>
#include <lrfinder/training/thread_modes.hpp>

namespace lrfinder::training {

/// What the user trains with, and lends: a model, an optimizer, a criterion, and what else the
/// criterion changes.
template <class Model, class Criterion>
class Setup {
 public:
  using Objective = training::Objective<Model, Criterion>;

  /// Throws InvalidOption when the model is empty.
  Setup(Kept<Model> model, torch::optim::Optimizer& optimizer, Kept<Criterion> criterion,
        std::optional<torch::Device> device)
      : model_(std::move(model)),
        optimizer_(&optimizer),
        criterion_(std::move(criterion)),
        device_(device) {
    if (is_empty(static_cast<Model&>(model_))) {
      throw InvalidOption("LRFinder: the model is empty; construct it before the finder");
    }
  }

  torch::optim::Optimizer& optimizer() const noexcept { return *optimizer_; }

  /// Adds a module, an optimizer or a tensor to what is lent.
  template <class Other>
  void add(Other& other) {
    static_assert(is_model<Other> || std::is_same_v<Other, torch::Tensor> ||
                      std::is_base_of_v<torch::optim::Optimizer, Other>,
                  "also_restore: takes modules, optimizers and tensors");
    if constexpr (is_model<Other>) {
      others_.modules.emplace_back(module_of(other));
    } else if constexpr (std::is_same_v<Other, torch::Tensor>) {
      others_.tensors.push_back(other);
    } else {
      others_.optimizers.push_back(&other);
    }
  }

  /// Checks, as far as types tell, that a loader and the criterion go together.
  template <class Loader>
  static void check(const RangeTestOptions& options) {
    constexpr bool walks = is_loader<std::remove_reference_t<Loader>>;
    static_assert(walks,
                  "range_test: a loader must be something that a range-based for loop walks; "
                  "dereference the pointer that torch::data::make_data_loader returns");
    if constexpr (walks) {
      using Batch = traits::batch_t<std::remove_reference_t<Loader>>;
      static_assert(
          is_criterion_for<Model, Criterion, Batch>,
          "range_test: the criterion must be callable as criterion(output, target), where output "
          "is what the model's forward() returns for the input of a batch, or as "
          "criterion(model, batch), and return a torch::Tensor. A batch is a "
          "torch::data::Example<>, a pair or tuple, or a struct of two members; other batches "
          "need the form criterion(model, batch)");
      if (!options.metrics().empty() && !Objective::template has_metrics<Batch>()) {
        throw InvalidOption(
            "RangeTestOptions: metric() needs a criterion of the form (output, target) and a model "
            "and batches whose output and target are tensors");
      }
    }
  }

  /// Saves everything and lends it to `use(objective, mode, borrowed)`. Gives it back when that
  /// throws; otherwise the caller restores what is returned.
  template <class Use>
  std::unique_ptr<SavedState> lend(const RangeTestOptions& options, Use&& use) {
    if (c10::InferenceMode::is_enabled()) {
      throw InvalidOption(
          "range_test: called under c10::InferenceMode, where nothing can be trained; end the "
          "guard's scope before");
    }
    Model& model = model_;
    Criterion& criterion = criterion_;
    const Borrowed borrowed = all();
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
      Objective objective(model, criterion, placement.device, options);
      use(objective, saved->model_mode(), borrowed);
    } catch (...) {
      restore_after_exception(*saved);
      throw;
    }
    return saved;
  }

 private:
  Borrowed all() {
    Model& model = model_;
    Borrowed borrowed;
    borrowed.modules.reserve(others_.modules.size() + 2);
    borrowed.modules.emplace_back(module_of(model));
    if constexpr (is_model<Criterion>) {
      Criterion& criterion = criterion_;
      borrowed.modules.emplace_back(module_of(criterion));
    }
    for (const ModuleHandle& module : others_.modules) borrowed.modules.push_back(module);
    borrowed.optimizers = others_.optimizers;
    borrowed.optimizers.push_back(optimizer_);
    borrowed.tensors = others_.tensors;
    return borrowed;
  }

  Kept<Model> model_;
  torch::optim::Optimizer* optimizer_;
  Kept<Criterion> criterion_;
  std::optional<torch::Device> device_;
  Borrowed others_;
};

}  // namespace lrfinder::training
