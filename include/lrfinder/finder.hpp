#pragma once

#include <optional>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>

#include <torch/torch.h>

#include <lrfinder/data/loader.hpp>
#include <lrfinder/data/objective.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/finder/finder.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/plot/options.hpp>
#include <lrfinder/race/options.hpp>
#include <lrfinder/suggest/race_result.hpp>
#include <lrfinder/suggest/suggestion.hpp>
#include <lrfinder/torch/module.hpp>

namespace lrfinder {

/// Finds the learning rate to train with, by a range test on the user's own model, optimizer,
/// criterion and data.
///
///     lrfinder::LRFinder finder(model, optimizer, criterion);
///     finder.range_test(*train_loader);
///     double lr = finder.suggestion();
///
/// When a test ends, by returning or by an exception, model, optimizer and random state are
/// restored bit for bit.
///
/// - Model: a module holder (`torch::nn::Sequential`, what TORCH_MODULE makes), a `shared_ptr` to a
///   module, an `AnyModule`, a TorchScript module, or a module by reference.
/// - Optimizer: any `torch::optim::Optimizer`, by reference.
/// - Criterion: a callable, a module holder, or a module by reference. It is called with
///   `(output, target)` or, where it takes that instead, with `(model, batch)`, and returns the
///   loss as a tensor of one element, averaged over the samples of the batch.
///
/// What is passed by reference has to outlive the finder. A finder can be moved; a moved-from
/// finder can only be assigned to or destroyed.
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
  /// A finder that trains where the model is: on the device of its first parameter.
  ///
  /// Throws InvalidOption when the model or the criterion is an empty holder or pointer.
  LRFinder(ModelArgument model, Optimizer& optimizer, CriterionArgument criterion)
      : LRFinder(std::optional<torch::Device>(), std::forward<ModelArgument>(model), optimizer,
                 std::forward<CriterionArgument>(criterion)) {}

  /// A finder that trains on `device`: the model is moved there for the test, and back after it.
  LRFinder(ModelArgument model, Optimizer& optimizer, CriterionArgument criterion,
           torch::Device device)
      : LRFinder(std::optional(device), std::forward<ModelArgument>(model), optimizer,
                 std::forward<CriterionArgument>(criterion)) {}

  /// Runs the range test and records the training loss, measured before each update.
  ///
  /// `train_loader`: anything that a range-based for loop iterates over, again and again: a
  /// `torch::data` loader, a vector of batches, a range of your own. A loader that runs out starts
  /// again. A batch is a `torch::data::Example<>`, a pair or tuple, or a struct of two members:
  /// input, target.
  ///
  /// Returns the history, as history() does. Throws InvalidOption, EmptyLoader, InvalidStep or
  /// SnapshotError, and what the user's code throws; with RangeTestOptions::ranks also RankFailed,
  /// where another rank has ended the test. After an exception everything is restored, and
  /// history() holds what was recorded before it.
  template <class TrainLoader>
  const History& range_test(TrainLoader&& train_loader, const RangeTestOptions& options = {}) {
    auto training = typed(train_loader, "training loader");
    return finder_.range_test(training, nullptr, options);
  }

  /// Runs the range test and records the loss on a validation loader, measured after each update.
  ///
  /// `val_loader`: as `train_loader`, but read only once where its batches can be kept on the
  /// device; see RangeTestOptions::cache_validation. The loss is the mean over its samples, in eval
  /// mode and without gradients; batches are weighted by dimension 0 of their input.
  template <class TrainLoader, class ValLoader,
            class = std::enable_if_t<!std::is_convertible_v<ValLoader, const RangeTestOptions&>>>
  const History& range_test(TrainLoader&& train_loader, ValLoader&& val_loader,
                            const RangeTestOptions& options = {}) {
    auto training = typed(train_loader, "training loader");
    auto validation = typed(val_loader, "validation loader");
    return finder_.range_test(training, &validation, options);
  }

  /// Finds the learning rate by trials: trains at a few constant rates around the suggestion, each
  /// from the same state, random numbers and batches. The better half goes on to longer trials, and
  /// the longest decide, by the mean of their last training losses. A rate a little below the best
  /// wins where it does as well but for one hundredth.
  ///
  /// Needs a range test before, and trains as that did: with its accumulation, clipping and so on.
  /// Restores everything after every trial and after an exception; after a range test with
  /// `restore(false)` the race starts from the state before that test. Costs at most as many
  /// updates as the budget says, by default 6 times the range test.
  ///
  /// The winner is the best rate for a training as long as the last rung: with the defaults 1.6
  /// times the range test. A longer training at a constant rate needs a lower rate. A training
  /// whose rate decays needs a higher one, which a short trial underrates (Wu et al. 2018,
  /// arXiv:1803.02021).
  ///
  /// Returns the winner and what each rate reached. Throws InvalidOption before anything is
  /// touched; NoSuggestion before a range test, and where no rate lowers the loss; and what
  /// range_test throws.
  template <class TrainLoader>
  RaceResult race(TrainLoader&& train_loader, const RaceOptions& options = {}) {
    auto training = typed(train_loader, "training loader");
    return finder_.race(training, nullptr, options);
  }

  /// Runs a race that is decided by the loss on a validation loader, measured before the first
  /// trial and at the end of each, as in range_test.
  template <class TrainLoader, class ValLoader,
            class = std::enable_if_t<!std::is_convertible_v<ValLoader, const RaceOptions&>>>
  RaceResult race(TrainLoader&& train_loader, ValLoader&& val_loader,
                  const RaceOptions& options = {}) {
    auto training = typed(train_loader, "training loader");
    auto validation = typed(val_loader, "validation loader");
    return finder_.race(training, &validation, options);
  }

  /// Finds the learning rate for a training, in one call: a range test shows where to look, with
  /// its range widened where that cuts the descent off; then trials find the best rate, each from
  /// the same state, random numbers and batches. They follow the plan of the training, compressed
  /// to their lengths: short ones find the region, longer ones the rate, between those tried. It is
  /// carried to the length of the training, because the best rate falls with the length.
  ///
  ///     auto plan = lrfinder::TrainingPlan().steps(10000).decay(lrfinder::Decay::cosine);
  ///     auto found = finder.find(*train_loader, lrfinder::FindOptions().plan(plan));
  ///     lrfinder::PlanLR scheduler(optimizer, plan, found);
  ///
  /// Everything is restored after every trial and after an exception. Batches are loaded once, see
  /// RangeTestOptions::cache_training. history() is the curve of the range test, with what was
  /// found: plot() draws both, and a saved history keeps them.
  ///
  /// Returns the rate (the peak of the plan), the interval from `low` to `high` in which rates cost
  /// at most about 5 % more time, all trials, and the updates that were spent. Throws InvalidOption
  /// before anything is touched; NoSuggestion where no rate trains, with what was tried; and what
  /// range_test throws.
  template <class TrainLoader>
  Suggestion find(TrainLoader&& train_loader, const FindOptions& options = {}) {
    auto training = typed(train_loader, "training loader");
    return finder_.find(training, nullptr, options);
  }

  /// Finds the learning rate by the loss on a validation loader, measured at the end of each trial.
  template <class TrainLoader, class ValLoader,
            class = std::enable_if_t<!std::is_convertible_v<ValLoader, const FindOptions&>>>
  Suggestion find(TrainLoader&& train_loader, ValLoader&& val_loader,
                  const FindOptions& options = {}) {
    auto training = typed(train_loader, "training loader");
    auto validation = typed(val_loader, "validation loader");
    return finder_.find(training, &validation, options);
  }

  /// What the last range test recorded; empty before the first.
  const History& history() const noexcept { return finder_.history(); }

  /// The learning rate to train with, read off the last history by suggest::steepest().
  ///
  /// Throws NoSuggestion before a range test, and where the curve carries no answer.
  Suggestion suggestion() const { return finder_.suggestion(); }

  /// The peak of the learning rate for a training by a plan, read off the last history by
  /// suggest::for_plan(). find() knows better.
  ///
  /// Throws as suggestion(), and InvalidOption for a plan without steps.
  Suggestion suggestion(const TrainingPlan& plan) const { return finder_.suggestion(plan); }

  /// The learning rate that a recipe of your choice reads off the last history: one from the
  /// namespace lrfinder::suggest, or a callable of your own.
  Suggestion suggestion(const Recipe& recipe) const { return recipe(finder_.recorded_history()); }

  /// Sets the suggested learning rate on the optimizer: on its first parameter group, and on the
  /// others with the ratio that they had at that point of the test. Returns the suggestion.
  Suggestion apply_suggestion() { return apply_suggestion(suggestion()); }

  /// Sets a suggestion from history() on the optimizer, as above.
  Suggestion apply_suggestion(Suggestion suggestion) {
    finder_.set_lr(suggestion);
    return suggestion;
  }

  /// Draws the last history into a file, in the format of its ending: .svg, .png, .pdf, .html, .txt
  /// or .gp; see lrfinder::plot(), which also draws several histories into one picture.
  void plot(const std::string& path, const PlotOptions& options = {}) const {
    finder_.plot(path, options);
  }

  /// Draws the last history as text, as wide as the terminal.
  void plot(std::ostream& out, const PlotOptions& options = {}) const {
    finder_.plot(out, options);
  }

  /// Draws the last history with a suggestion marked on it. Of what find() has returned it draws
  /// the trials, too, and shades the interval from `low` to `high`.
  void plot(const Suggestion& found, const std::string& path, PlotOptions options = {}) const {
    finder_.plot(path, options.recipes({}).mark(found));
  }

  /// The same as text, as wide as the terminal.
  void plot(const Suggestion& found, std::ostream& out, PlotOptions options = {}) const {
    finder_.plot(out, options.recipes({}).mark(found));
  }

  /// Names what else the criterion trains or changes, to be restored with the rest: modules (as the
  /// model is passed), optimizers and tensors, for example the discriminator of a GAN and its
  /// optimizer. All have to outlive the finder.
  ///
  /// Throws InvalidOption when a module is empty.
  template <class... Others>
  LRFinder& also_restore(Others&... others) {
    (require(others, "also_restore: a module is empty; construct it before"), ...);
    (add(others), ...);
    return *this;
  }

  /// Restores the state before the first range test that ran with `restore(false)`. Does nothing
  /// after tests that restored everything themselves, so that it can never undo real training.
  ///
  /// Throws SnapshotError where something could not be restored.
  void reset() { finder_.reset(); }

 private:
  LRFinder(std::optional<torch::Device> device, ModelArgument model, Optimizer& optimizer,
           CriterionArgument criterion)
      : objective_(std::forward<ModelArgument>(model), std::forward<CriterionArgument>(criterion)),
        finder_(optimizer, device) {
    require(objective_.model(), "LRFinder: the model is empty; construct it before the finder");
    require(objective_.criterion(), "LRFinder: the criterion is empty; construct it before");
    add(objective_.model());
    if constexpr (detail::is_model<Criterion>) add(objective_.criterion());
  }

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
    if constexpr (detail::is_model<Other>) {
      finder_.add(detail::ModuleHandle(detail::module_of(other)));
    } else {
      finder_.add(other);
    }
  }

  // The loader, with the model and the criterion that its batches go through.
  template <class Loader>
  auto typed(Loader& loader, const char* name) {
    static_assert(detail::is_loader<Loader>,
                  "LRFinder: a loader must be something that a range-based for loop iterates over; "
                  "dereference the pointer that torch::data::make_data_loader returns");
    if constexpr (detail::is_loader<Loader>) {
      static_assert(
          detail::is_criterion_for<Model, Criterion, detail::traits::batch_t<Loader>>,
          "LRFinder: the criterion must be callable as criterion(output, target), where output "
          "is what the model's forward() returns for the input of a batch, or as "
          "criterion(model, batch), and return a torch::Tensor. A batch is a "
          "torch::data::Example<>, a pair or tuple, or a struct of two members; other batches "
          "need the form criterion(model, batch)");
      return detail::TypedLoader<Objective, Loader>(objective_, loader, name);
    }
  }

  Objective objective_;
  detail::Finder finder_;
};

/// Modules and the optimizer are held by reference, all else is held as it is.
template <class Model, class Optimizer, class Criterion>
LRFinder(Model&&, Optimizer&, Criterion&&)
    -> LRFinder<std::decay_t<Model>, Optimizer, std::decay_t<Criterion>>;

/// The same with a device.
template <class Model, class Optimizer, class Criterion>
LRFinder(Model&&, Optimizer&, Criterion&&, torch::Device)
    -> LRFinder<std::decay_t<Model>, Optimizer, std::decay_t<Criterion>>;

}  // namespace lrfinder
