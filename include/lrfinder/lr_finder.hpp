#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/curve/error.hpp>
#include <lrfinder/curve/history.hpp>
#include <lrfinder/curve/iteration.hpp>
#include <lrfinder/curve/plot.hpp>
#include <lrfinder/curve/plot_options.hpp>
#include <lrfinder/curve/recorder.hpp>
#include <lrfinder/curve/steepest.hpp>
#include <lrfinder/curve/suggestion.hpp>
#include <lrfinder/training/criterion.hpp>
#include <lrfinder/training/learning_rates.hpp>
#include <lrfinder/training/loader.hpp>
#include <lrfinder/training/model.hpp>
#include <lrfinder/training/objective.hpp>
#include <lrfinder/training/options.hpp>
#include <lrfinder/training/placement.hpp>
#include <lrfinder/training/plan.hpp>
#include <lrfinder/training/range_test.hpp>
#include <lrfinder/training/saved_state.hpp>
#include <lrfinder/training/step.hpp>
#include <lrfinder/training/thread_modes.hpp>
#include <lrfinder/training/training_mode.hpp>
#include <lrfinder/training/validation.hpp>
#include <lrfinder/training/watch.hpp>

namespace lrfinder {

/// Finds the learning rate to train with, by a range test on the user's own model, optimizer,
/// criterion and data.
///
///     lrfinder::LRFinder finder(model, optimizer, criterion);
///     finder.range_test(*train_loader);
///     double lr = finder.suggestion();
///
/// The range test borrows: when it ends, by returning or by an exception, model, optimizer and
/// random state are bit for bit what they were.
///
/// - Model: a module holder (`torch::nn::Sequential`, what TORCH_MODULE makes), a `shared_ptr` to a
///   module, an `AnyModule`, a TorchScript module, or a module by reference.
/// - Optimizer: any `torch::optim::Optimizer`, by reference.
/// - Criterion: a callable, a module holder, or a module by reference. It is called with
///   `(output, target)` or, where it takes that instead, with `(model, batch)`, and returns the
///   loss as a tensor of one element, averaged over the samples of the batch.
///
/// What is passed by reference has to outlive the finder.
template <class Model, class Optimizer, class Criterion>
class LRFinder {
  static_assert(training::is_model<Model>,
                "LRFinder: the model must be a module holder, a std::shared_ptr to a module, a "
                "torch::nn::AnyModule, a torch::jit::Module, or a module by reference");
  static_assert(std::is_base_of_v<torch::optim::Optimizer, Optimizer>,
                "LRFinder: the optimizer must be a torch::optim::Optimizer by reference; "
                "dereference a pointer to one");

  using ModelArgument = std::conditional_t<training::is_module<Model>, Model&, Model>;
  using CriterionArgument =
      std::conditional_t<training::is_module<Criterion>, Criterion&, Criterion>;

 public:
  /// A finder that works where the model is: on the device of its first parameter.
  ///
  /// Throws InvalidOption when the model is empty.
  LRFinder(ModelArgument model, Optimizer& optimizer, CriterionArgument criterion)
      : model_(std::forward<ModelArgument>(model)),
        optimizer_(&optimizer),
        criterion_(std::forward<CriterionArgument>(criterion)) {
    if (training::is_empty(static_cast<Model&>(model_))) {
      throw InvalidOption("LRFinder: the model is empty; construct it before the finder");
    }
  }

  /// A finder that works on `device`: the model goes there for the test, and comes back.
  LRFinder(ModelArgument model, Optimizer& optimizer, CriterionArgument criterion,
           torch::Device device)
      : LRFinder(std::forward<ModelArgument>(model), optimizer,
                 std::forward<CriterionArgument>(criterion)) {
    device_ = device;
  }

  /// Runs the range test and records the training loss, measured before each update.
  ///
  /// `train_loader`: anything that a range-based for loop walks and can walk again: a `torch::data`
  /// loader, a vector of batches, a range of your own. A loader that runs out starts again. A batch
  /// is a `torch::data::Example<>`, a pair or tuple, or a struct of two members: input, target.
  ///
  /// Returns the history, as history() does. Throws InvalidOption, EmptyLoader, InvalidStep or
  /// SnapshotError, and what the user's code throws. After an exception everything is given back,
  /// and history() holds what was recorded before it.
  template <class TrainLoader>
  const History& range_test(TrainLoader&& train_loader, const RangeTestOptions& options = {}) {
    check<TrainLoader>(options);
    borrow(options, /*validation=*/false, [&](auto& objective, training::TrainingMode&, auto run) {
      training::Walk train_batches(train_loader, "training loader");
      train_batches.start();
      training::Step step(objective, *optimizer_, train_batches, options, /*with_metrics=*/true);
      return run(step, [&] { return step.measured(); });
    });
    return history_;
  }

  /// Runs the range test and records the loss on a validation loader, measured after each update.
  ///
  /// `val_loader`: as `train_loader`, walked once for every iteration. The loss is the mean over
  /// the samples that it yields, in eval mode and without gradients; batches are weighted by
  /// dimension 0 of their input.
  template <class TrainLoader, class ValLoader,
            class = std::enable_if_t<!std::is_convertible_v<ValLoader, const RangeTestOptions&>>>
  const History& range_test(TrainLoader&& train_loader, ValLoader&& val_loader,
                            const RangeTestOptions& options = {}) {
    check<TrainLoader>(options);
    check<ValLoader>(options);
    training::require_two_walks(train_loader, val_loader);
    borrow(options, /*validation=*/true,
           [&](auto& objective, training::TrainingMode& mode, auto run) {
             training::Walk train_batches(train_loader, "training loader");
             training::Walk val_batches(val_loader, "validation loader");
             train_batches.start();
             val_batches.start();
             training::Step step(objective, *optimizer_, train_batches, options,
                                 /*with_metrics=*/false);
             training::Validation validation(objective, val_batches, mode, options);
             return run(step, [&] {
               Measurement measured = validation();
               step.add_figures(measured);
               return measured;
             });
           });
    return history_;
  }

  /// What the last range test recorded; empty before the first.
  const History& history() const noexcept { return history_; }

  /// The learning rate to train with, read off the last history by suggest::steepest().
  ///
  /// Throws NoSuggestion before a range test, and where the curve carries no answer.
  Suggestion suggestion() const { return suggestion(suggest::steepest); }

  /// The learning rate that a recipe of your choice reads off the last history: one from the
  /// namespace lrfinder::suggest, or a callable of your own.
  Suggestion suggestion(const Recipe& recipe) const { return recipe(recorded_history()); }

  /// Sets the suggested learning rate on the optimizer: on its first parameter group, and on the
  /// others with the ratio that they had at that point of the test. Returns the suggestion.
  Suggestion apply_suggestion() { return apply_suggestion(suggestion()); }

  /// Sets a suggestion from history() on the optimizer, as above.
  Suggestion apply_suggestion(Suggestion suggestion) {
    std::vector<double> rates{suggestion.lr};
    for (std::size_t group = 1; group < history_.group_lr.size(); ++group) {
      rates.push_back(suggestion.lr * history_.group_lr[group].at(suggestion.index) /
                      history_.lr.at(suggestion.index));
    }
    training::set_rates(*optimizer_, rates);
    return suggestion;
  }

  /// Draws the last history into a file, by its ending: .svg, .png, .pdf, .html, .txt or .gp; see
  /// lrfinder::plot(), which also draws several histories into one picture.
  void plot(const std::string& path, const PlotOptions& options = {}) const {
    lrfinder::plot(recorded_history(), path, options);
  }

  /// Draws the last history with letters, as wide as the terminal.
  void plot(std::ostream& out, const PlotOptions& options = {}) const {
    lrfinder::plot(recorded_history(), out, options);
  }

  /// Names what else the criterion trains or changes, to be given back with the rest: modules (as
  /// the model is given), optimizers and tensors, for example the discriminator of a GAN and its
  /// optimizer. All have to outlive the finder.
  template <class... Others>
  LRFinder& also_restore(Others&... others) {
    (borrow_too(others), ...);
    return *this;
  }

  /// Undoes a range test that ran with `restore(false)`: everything is as it was before it. Does
  /// nothing when everything has been given back already, so that it can never undo training.
  void reset() {
    if (auto saved = std::exchange(saved_, nullptr)) saved->restore();
  }

 private:
  // Checks, as far as types tell, that the loader and the criterion go together.
  template <class Loader>
  static void check(const RangeTestOptions& options) {
    constexpr bool walks = training::is_loader<std::remove_reference_t<Loader>>;
    static_assert(walks,
                  "range_test: a loader must be something that a range-based for loop walks; "
                  "dereference the pointer that torch::data::make_data_loader returns");
    if constexpr (walks) {
      using Batch = training::traits::batch_t<std::remove_reference_t<Loader>>;
      static_assert(
          training::is_criterion_for<Model, Criterion, Batch>,
          "range_test: the criterion must be callable as criterion(output, target), where output "
          "is what the model's forward() returns for the input of a batch, or as "
          "criterion(model, batch), and return a torch::Tensor. A batch is a "
          "torch::data::Example<>, a pair or tuple, or a struct of two members; other batches "
          "need the form criterion(model, batch)");
      if (!options.metrics().empty() &&
          !training::Objective<Model, Criterion>::template has_metrics<Batch>()) {
        throw InvalidOption(
            "RangeTestOptions: metric() needs a criterion of the form (output, target) and a model "
            "and batches whose output and target are tensors");
      }
    }
  }

  // Saves everything, lets `body` run the test, and gives everything back.
  template <class Body>
  void borrow(const RangeTestOptions& options, bool validation, Body&& body) {
    RangeTestSettings settings = training::plan(options, *optimizer_);
    settings.validation = validation;
    if (c10::InferenceMode::is_enabled()) {
      throw InvalidOption(
          "range_test: called under c10::InferenceMode, where nothing can be trained; end the "
          "guard's scope before");
    }
    Model& model = model_;
    Criterion& criterion = criterion_;
    const training::ModuleHandle model_handle(training::module_of(model));
    training::Borrowed borrowed = others_;
    borrowed.modules.insert(borrowed.modules.begin(), model_handle);
    borrowed.optimizers.insert(borrowed.optimizers.begin(), optimizer_);
    if constexpr (training::is_model<Criterion>) {
      borrowed.modules.emplace_back(training::module_of(criterion));
    }
    const training::Placement placement(model_handle, *optimizer_, device_);
    if (options.autocast()) training::require_autocast(placement.device, *options.autocast());
    training::GradientScaler{options.gradient_scaler()};  // checks its options
    const training::ThreadModes thread_modes(placement.device);
    auto saved = std::make_unique<training::SavedState>(borrowed, placement, options);
    saved_ = nullptr;
    Recorder recorder(settings);
    try {
      if (placement.moves) {
        for (training::ModuleHandle& module : borrowed.modules) module.to(placement.device);
      }
      saved->model_mode().train();
      training::Objective<Model, Criterion> objective(model, criterion, placement.device, options);
      const StopReason reason =
          body(objective, saved->model_mode(), [&](auto& step, auto&& measure) {
            const training::Watch watch(options);
            return training::range_test(settings, *optimizer_, step, measure, watch, recorder);
          });
      history_ = recorder.finish(reason);
    } catch (...) {
      history_ = recorder.finish(StopReason::failed);
      training::restore_after_exception(*saved);
      throw;
    }
    if (options.restore()) {
      saved->restore();
    } else {
      saved_ = std::move(saved);
    }
  }

  template <class Other>
  void borrow_too(Other& other) {
    static_assert(training::is_model<Other> || std::is_same_v<Other, torch::Tensor> ||
                      std::is_base_of_v<torch::optim::Optimizer, Other>,
                  "also_restore: takes modules, optimizers and tensors");
    if constexpr (training::is_model<Other>) {
      others_.modules.emplace_back(training::module_of(other));
    } else if constexpr (std::is_same_v<Other, torch::Tensor>) {
      others_.tensors.push_back(other);
    } else {
      others_.optimizers.push_back(&other);
    }
  }

  const History& recorded_history() const {
    if (history_.empty()) {
      throw NoSuggestion(
          history_.stop_reason == StopReason::non_finite_loss
              ? "LRFinder: the first loss of the range test was already not finite; look at the "
                "data and the criterion, or lower start_lr"
              : "LRFinder: no iteration has been recorded; call range_test() first");
    }
    return history_;
  }

  training::Kept<Model> model_;
  Optimizer* optimizer_;
  training::Kept<Criterion> criterion_;
  std::optional<torch::Device> device_;
  training::Borrowed others_;
  History history_;
  std::unique_ptr<training::SavedState> saved_;
};

template <class Model, class Optimizer, class Criterion>
LRFinder(Model&&, Optimizer&, Criterion&&)
    -> LRFinder<std::decay_t<Model>, Optimizer, std::decay_t<Criterion>>;

template <class Model, class Optimizer, class Criterion>
LRFinder(Model&&, Optimizer&, Criterion&&, torch::Device)
    -> LRFinder<std::decay_t<Model>, Optimizer, std::decay_t<Criterion>>;

}  // namespace lrfinder
