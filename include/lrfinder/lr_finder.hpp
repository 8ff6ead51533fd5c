#pragma once

#include <algorithm>
#include <memory>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>

#include <torch/torch.h>

#include <lrfinder/data/loader.hpp>
#include <lrfinder/data/objective.hpp>
#include <lrfinder/engine/engine.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/find_options.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/suggestion.hpp>
#include <lrfinder/plan/for_plan.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/plot/plot.hpp>
#include <lrfinder/plot/plot_options.hpp>
#include <lrfinder/range_test_options.hpp>
#include <lrfinder/suggest/steepest.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/torch/optimizer.hpp>
#include <lrfinder/training_options.hpp>

namespace lrfinder {

/// Finds the learning rate to train with, by a range test on the user's own model, optimizer,
/// criterion and data.
///
///     lrfinder::LRFinder finder(model, optimizer, criterion);
///     finder.range_test(*train_loader);
///     double lr = finder.suggestion();
///
/// When a test returns or throws, model, optimizer and random state are restored bit for bit.
///
/// - Model: a module holder (`torch::nn::Sequential`, what TORCH_MODULE makes), a `shared_ptr` to a
///   module, an `AnyModule`, a TorchScript module, or a module by reference.
/// - Optimizer: any `torch::optim::Optimizer`, by reference.
/// - Criterion: a callable, a module holder, or a module by reference. It is called with
///   `(output, target)`, or with `(model, batch)` if it does not take those. It returns the loss
///   as a tensor of one element, averaged over the samples of the batch.
///
/// What is passed by reference must outlive the finder. A finder can be moved. A moved-from finder
/// can only be assigned to or destroyed.
template <class Model, class Optimizer, class Criterion>
class LRFinder {
  static_assert(detail::is_model<Model>,
                "LRFinder: the model must be a module holder, a std::shared_ptr to a module, a "
                "torch::nn::AnyModule, a torch::jit::Module, or a module by reference");
  static_assert(std::is_base_of_v<torch::optim::Optimizer, Optimizer>,
                "LRFinder: the optimizer must be a torch::optim::Optimizer by reference; "
                "dereference a pointer to one");

  using Objective = detail::Objective<Model, Criterion>;
  using ModelArgument = std::conditional_t<detail::is_module<Model>, Model&, Model>;
  using CriterionArgument = std::conditional_t<detail::is_module<Criterion>, Criterion&, Criterion>;

 public:
  /// Makes a finder that trains with these options. By default it trains on the device of the
  /// model, with one batch for each update.
  ///
  /// Throws InvalidOption if the model or the criterion is an empty holder or pointer.
  LRFinder(ModelArgument model, Optimizer& optimizer, CriterionArgument criterion,
           TrainingOptions options = {})
      : objective_(std::make_unique<Objective>(std::forward<ModelArgument>(model),
                                               std::forward<CriterionArgument>(criterion))),
        engine_(optimizer, std::move(options)) {
    require(objective_->model(), "LRFinder: the model is empty; construct it before the finder");
    require(objective_->criterion(), "LRFinder: the criterion is empty; construct it first");
    detail::warn_of_unsaved_members(&optimizer);
    add(objective_->model());
    if constexpr (detail::is_model<Criterion>) add(objective_->criterion());
  }

  /// How the model is trained. The options may be changed between two tests.
  TrainingOptions& options() noexcept { return engine_.options(); }

  /// Runs the range test and records the training loss, measured before each update.
  ///
  /// `train_loader`: anything that a range-based for loop can iterate over repeatedly: a
  /// `torch::data` loader, a vector of batches, a range of your own. A loader that runs out starts
  /// again. A batch is a `torch::data::Example<>`, a pair or tuple, or a struct of two members. The
  /// first element is the input, the second the target.
  ///
  /// Returns history(). Throws InvalidOption, EmptyLoader, InvalidStep or SnapshotError, and any
  /// exception of the user's code. With TrainingOptions::data_parallel it also throws RankFailed,
  /// if another rank has ended the test. After an exception everything is what it was before the
  /// call (or before an unrestored test, see reset()), and history() holds the iterations before
  /// the exception.
  template <class TrainLoader>
  const History& range_test(TrainLoader&& train_loader, const RangeTestOptions& options = {}) {
    auto training = erased<Role::training>(train_loader);
    return engine_.range_test(training, nullptr, options);
  }

  /// Runs the range test and records the loss on a validation loader, measured after each update.
  ///
  /// `val_loader`: of any type that `train_loader` may have. It is read only once if its batches
  /// can be kept on the device; see TrainingOptions::cache_validation. The loss is the mean over
  /// its samples, in eval mode and without gradients. Batches are weighted by dimension 0 of their
  /// input.
  template <class TrainLoader, class ValLoader,
            class = std::enable_if_t<!std::is_convertible_v<ValLoader, const RangeTestOptions&>>>
  const History& range_test(TrainLoader&& train_loader, ValLoader&& val_loader,
                            const RangeTestOptions& options = {}) {
    auto training = erased<Role::training>(train_loader);
    auto validation = erased<Role::second_of_range_test>(val_loader);
    return engine_.range_test(training, &validation, options);
  }

  /// Finds the learning rate for a training, in one call. First, a range test shows where to look.
  /// If its range cuts the descent off, a wider test follows. Then trials find the best rate. All
  /// trials start from the same state, with the same random numbers and batches. They follow the
  /// plan of the training, compressed to their lengths. Short trials find the region. Longer ones
  /// find the rate, which may lie between the rates tried. The best rate falls with the length of a
  /// training, so the rate of the trials is lowered for the length of the plan.
  ///
  ///     auto plan = lrfinder::TrainingPlan().steps(10000).decay(lrfinder::Decay::cosine);
  ///     auto found = finder.find(*train_loader, plan);
  ///     lrfinder::PlanLR scheduler(optimizer, plan, found);
  ///
  /// Everything is restored after every trial and after an exception. Batches are loaded once; see
  /// TrainingOptions::cache_training. history() is the curve of the range test with the result of
  /// the search. plot() draws both, and a saved history keeps both.
  ///
  /// Returns the rate (the peak of the plan), all trials, the number of updates, and an interval
  /// from `low` to `high`. Rates in the interval cost at most about 5 % more time. Throws
  /// InvalidOption before the model is touched, NoSuggestion with the rates tried if no rate
  /// trains, and what range_test throws.
  template <class TrainLoader>
  Suggestion find(TrainLoader&& train_loader, const FindOptions& options = {}) {
    auto training = erased<Role::training>(train_loader);
    return engine_.find(training, nullptr, options);
  }

  /// Finds the learning rate by the loss on a validation loader, measured at the end of each trial.
  template <class TrainLoader, class ValLoader,
            class = std::enable_if_t<!std::is_convertible_v<ValLoader, const FindOptions&>>>
  Suggestion find(TrainLoader&& train_loader, ValLoader&& val_loader,
                  const FindOptions& options = {}) {
    auto training = erased<Role::training>(train_loader);
    auto validation = erased<Role::second_of_find>(val_loader);
    return engine_.find(training, &validation, options);
  }

  /// The history of the last range test; empty before the first test.
  const History& history() const noexcept { return engine_.history(); }

  /// The learning rate to train with, read off the last history by suggest::steepest().
  ///
  /// Throws NoSuggestion before a range test, or if the curve gives no answer. After a test that
  /// failed, the message says why it failed.
  [[nodiscard]] Suggestion suggestion() const { return suggestion(suggest::steepest); }

  /// The peak of the learning rate for a training with this plan, read off the last history by
  /// suggest::for_plan(). find() is more accurate.
  ///
  /// Throws the same as suggestion(), and InvalidOption for a plan without steps.
  [[nodiscard]] Suggestion suggestion(const TrainingPlan& plan) const {
    return suggestion([&](const History& history) { return suggest::for_plan(history, plan); });
  }

  /// The learning rate that `recipe` reads off the last history. `recipe`: a function of the
  /// namespace lrfinder::suggest, or a callable of your own.
  [[nodiscard]] Suggestion suggestion(const Recipe& recipe) const {
    return engine_.suggestion(recipe);
  }

  /// Sets the suggested learning rate in the first parameter group of the optimizer whose rate is
  /// not 0. The other groups get the ratio to it that they had at this rate in the test, or keep
  /// their rate if the test did not change it. Returns the suggestion.
  Suggestion apply_suggestion() { return apply_suggestion(suggestion()); }

  /// Sets a suggestion from history() in the optimizer, in the same way.
  Suggestion apply_suggestion(Suggestion suggestion) {
    engine_.set_lr(suggestion);
    return suggestion;
  }

  /// Draws the last history, and what a search has found, into a file. The ending of `path` sets
  /// the format: .svg, .png, .pdf, .html, .txt or .gp. lrfinder::plot() can also draw several
  /// histories into one picture. PlotOptions::mark() marks a rate of your choice.
  void plot(const std::string& path, const PlotOptions& options = {}) const {
    lrfinder::plot(engine_.recorded_history(), path, options);
  }

  /// Draws the same picture as text, as wide as the terminal.
  void plot(std::ostream& out, const PlotOptions& options = {}) const {
    lrfinder::plot(engine_.recorded_history(), out, options);
  }

  /// Names other objects that the criterion trains or changes, so that they are restored, too. They
  /// are modules (passed like the model), optimizers or tensors, for example the discriminator of a
  /// GAN and its optimizer. All of them must outlive the finder. To name one twice changes nothing.
  ///
  /// A tensor is taken as a variable: if the criterion assigns another tensor to it, such as the
  /// next hidden state, it gets back the tensor that it held before the test. So pass the variable
  /// itself, not a copy of it, and not an element of a temporary or of a container that moves it.
  ///
  /// Throws InvalidOption if a module is empty.
  template <class... Others>
  LRFinder& also_restore(Others&... others) {
    (require(others, "also_restore: a module is empty; construct it first"), ...);
    (add(others), ...);
    return *this;
  }

  /// Restores the state before the range test that ran with `restore(false)`. If several such tests
  /// followed each other, it is the state before the first of them; training in between begins a
  /// new row. Does nothing after tests that restored everything themselves.
  ///
  /// This undoes whatever happened since, real training included. No other function undoes
  /// training: find() begins with the same restore, and an exception in a later test ends with it,
  /// but only if the model is as the unrestored test left it.
  ///
  /// Throws SnapshotError if something could not be restored.
  void reset() { engine_.reset(); }

 private:
  template <class Value>
  static void require(Value& value, const char* message) {
    if constexpr (detail::is_model<Value>) {
      if (detail::is_empty(value)) throw InvalidOption(message);
    }
  }

  template <class Other>
  void add(Other& other) {
    static_assert(detail::is_model<Other> || std::is_same_v<Other, torch::Tensor> ||
                      std::is_base_of_v<torch::optim::Optimizer, Other>,
                  "also_restore: takes modules, optimizers and tensors");
    // One that is named twice is saved once: a second copy of its state would dangle.
    const auto add_once = [&](auto& all) {
      if (std::find(all.begin(), all.end(), &other) == all.end()) all.push_back(&other);
    };
    if constexpr (detail::is_model<Other>) {
      engine_.trained().modules.emplace_back(detail::module_of(other));
    } else if constexpr (std::is_same_v<Other, torch::Tensor>) {
      add_once(engine_.trained().variables);
    } else {
      detail::warn_of_unsaved_members(&other);
      add_once(engine_.trained().optimizers);
    }
  }

  // What an argument of the type of a loader is.
  enum class Role { training, second_of_range_test, second_of_find };

  // Combines a loader with the model and the criterion. Of all assertions at most one fails, and
  // nothing after it.
  template <Role role, class Loader>
  detail::AnyLoader erased(Loader& loader) {
    constexpr bool is_loader = detail::is_loader<Loader>;
    static_assert(is_loader || role != Role::training,
                  "LRFinder: the loader must be something that a range-based for loop iterates "
                  "over; dereference the pointer that torch::data::make_data_loader returns");
    static_assert(is_loader || role != Role::second_of_range_test,
                  "LRFinder: the second argument of range_test() must be a validation loader "
                  "(dereference a pointer to one) or options, for example "
                  "RangeTestOptions().num_iter(100)");
    static_assert(is_loader || role != Role::second_of_find,
                  "LRFinder: the second argument of find() must be a validation loader "
                  "(dereference a pointer to one), a plan, for example "
                  "TrainingPlan().steps(10000), or FindOptions");
    if constexpr (is_loader) {
      using Batch = detail::traits::batch_t<Loader>;
      constexpr bool fits = detail::is_criterion_for<Model, Criterion, Batch>;
      constexpr bool has_output = detail::has_output_for<Model, Batch>;
      static_assert(fits || has_output || !detail::is_plain_module<Model>,
                    "LRFinder: a torch::nn::Module has no forward(); pass the model as what it is, "
                    "for example as std::shared_ptr<Net>");
      static_assert(fits || has_output || detail::is_plain_module<Model>,
                    "LRFinder: the model must have a public forward() that takes the input of a "
                    "batch. Or pass a criterion that is callable as criterion(model, batch). A "
                    "batch with an input is a torch::data::Example<>, a pair or tuple, or a struct "
                    "of two members");
      static_assert(fits || !has_output,
                    "LRFinder: the criterion must be callable as criterion(output, target) or as "
                    "criterion(model, batch), and return a torch::Tensor. For a function with "
                    "default arguments pass a lambda: [](torch::Tensor output, torch::Tensor "
                    "target) { return torch::nn::functional::cross_entropy(output, target); }");
      if constexpr (fits) {
        return detail::erased(*objective_, loader,
                              role == Role::training ? "training loader" : "validation loader");
      }
    }
    return {};
  }

  std::unique_ptr<Objective> objective_;  // a lambda in it cannot be assigned to
  detail::Engine engine_;
};

/// The finder holds modules and the optimizer by reference, and everything else by value.
template <class Model, class Optimizer, class Criterion>
LRFinder(Model&&, Optimizer&, Criterion&&, TrainingOptions = {})
    -> LRFinder<std::decay_t<Model>, Optimizer, std::decay_t<Criterion>>;

}  // namespace lrfinder
