#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
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
#include <lrfinder/curve/race_result.hpp>
#include <lrfinder/curve/recipes.hpp>
#include <lrfinder/curve/recorder.hpp>
#include <lrfinder/curve/steepest.hpp>
#include <lrfinder/curve/suggestion.hpp>
#include <lrfinder/training/agreement.hpp>
#include <lrfinder/training/heat.hpp>
#include <lrfinder/training/iterations_in_flight.hpp>
#include <lrfinder/training/learning_rates.hpp>
#include <lrfinder/training/loader.hpp>
#include <lrfinder/training/means.hpp>
#include <lrfinder/training/model.hpp>
#include <lrfinder/training/options.hpp>
#include <lrfinder/training/plan.hpp>
#include <lrfinder/training/race.hpp>
#include <lrfinder/training/race_options.hpp>
#include <lrfinder/training/race_settings.hpp>
#include <lrfinder/training/range_test.hpp>
#include <lrfinder/training/saved_state.hpp>
#include <lrfinder/training/setup.hpp>
#include <lrfinder/training/step.hpp>
#include <lrfinder/training/team.hpp>
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

  using Setup = training::Setup<Model, Criterion>;
  template <class Loader>
  using ValidationCache =
      typename training::Validation<Model, Criterion, std::remove_reference_t<Loader>>::Cache;
  using ModelArgument = std::conditional_t<training::is_module<Model>, Model&, Model>;
  using CriterionArgument =
      std::conditional_t<training::is_module<Criterion>, Criterion&, Criterion>;

 public:
  /// A finder that works where the model is: on the device of its first parameter.
  ///
  /// Throws InvalidOption when the model is empty.
  LRFinder(ModelArgument model, Optimizer& optimizer, CriterionArgument criterion)
      : setup_(std::forward<ModelArgument>(model), optimizer,
               std::forward<CriterionArgument>(criterion), std::nullopt) {}

  /// A finder that works on `device`: the model goes there for the test, and comes back.
  LRFinder(ModelArgument model, Optimizer& optimizer, CriterionArgument criterion,
           torch::Device device)
      : setup_(std::forward<ModelArgument>(model), optimizer,
               std::forward<CriterionArgument>(criterion), device) {}

  /// Runs the range test and records the training loss, measured before each update.
  ///
  /// `train_loader`: anything that a range-based for loop walks and can walk again: a `torch::data`
  /// loader, a vector of batches, a range of your own. A loader that runs out starts again. A batch
  /// is a `torch::data::Example<>`, a pair or tuple, or a struct of two members: input, target.
  ///
  /// Returns the history, as history() does. Throws InvalidOption, EmptyLoader, InvalidStep or
  /// SnapshotError, and what the user's code throws; with RangeTestOptions::ranks also RankFailed,
  /// where another rank has ended the test. After an exception everything is given back, and
  /// history() holds what was recorded before it.
  template <class TrainLoader>
  const History& range_test(TrainLoader&& train_loader, const RangeTestOptions& options = {}) {
    training::Team team(options.ranks());
    team.run([&] {
      Setup::template check<TrainLoader>(options);
      const auto test = [&](auto& objective, training::TrainingMode&, auto run) {
        training::Walk train_batches(train_loader, "training loader");
        train_batches.start();
        training::Step step(objective, setup_.optimizer(), train_batches, options, team,
                            /*with_metrics=*/true);
        return run(step, [&] { return step.measured(); });
      };
      record(options, team, /*validation=*/false, test);
    });
    return history_;
  }

  /// Runs the range test and records the loss on a validation loader, measured after each update.
  ///
  /// `val_loader`: as `train_loader`, but walked only once where its batches can be kept on the
  /// device; see RangeTestOptions::cache_validation. The loss is the mean over the samples that it
  /// yields, in eval mode and without gradients; batches are weighted by dimension 0 of their
  /// input.
  template <class TrainLoader, class ValLoader,
            class = std::enable_if_t<!std::is_convertible_v<ValLoader, const RangeTestOptions&>>>
  const History& range_test(TrainLoader&& train_loader, ValLoader&& val_loader,
                            const RangeTestOptions& options = {}) {
    training::Team team(options.ranks());
    team.run([&] {
      Setup::template check<TrainLoader>(options);
      Setup::template check<ValLoader>(options);
      training::require_two_walks(train_loader, val_loader);
      const auto test = [&](auto& objective, training::TrainingMode& mode, auto run) {
        training::Walk train_batches(train_loader, "training loader");
        train_batches.start();
        training::Step step(objective, setup_.optimizer(), train_batches, options, team,
                            /*with_metrics=*/false);
        ValidationCache<ValLoader> cache(training::most_cached_bytes(options, objective.device()));
        training::Validation validation(objective, val_loader, cache, mode, options, team);
        return run(step, [&] {
          training::DeviceMeasurement measured = validation();
          step.add_figures(measured);
          return measured;
        });
      };
      record(options, team, /*validation=*/true, test);
    });
    return history_;
  }

  /// Finds the learning rate by trying: trains at each of a few constant rates around the
  /// suggestion, from the same state, random numbers and batches. The better half goes on to a
  /// longer heat, and the last is decided by the mean of the last training losses. A rate a little
  /// below the best wins where it does as well but for one hundredth.
  ///
  /// Needs a range test before, and trains as that did: with its accumulation, clipping and so on.
  /// A range test that ran with `restore(false)` is undone first. Every heat gives everything back,
  /// when it ends and when an exception ends it. Costs at most as many updates as the options'
  /// budget says, by default 6 times the range test.
  ///
  /// What wins is the best rate for a training as long as the last rung, which is short: with the
  /// defaults 1.6 times the range test. Where the rate stays constant, longer trainings want lower
  /// rates. Where it will be lowered, short trainings underrate high ones, which pay off late (Wu
  /// et al. 2018, arXiv:1803.02021). So make the last rung as long as you can afford:
  /// `RaceOptions().budget(20)`.
  ///
  /// Returns the winner, with the table of what each rate reached. Throws InvalidOption before
  /// anything is touched; NoSuggestion before a range test, and where no rate lowers the loss; and
  /// what range_test throws.
  template <class TrainLoader>
  RaceResult race(TrainLoader&& train_loader, const RaceOptions& options = {}) {
    training::Team team(options_.ranks());
    return team.run([&] {
      Setup::template check<TrainLoader>(options_);
      const auto train = [&](auto& objective, training::TrainingMode&, training::Heat& heat) {
        training::Walk train_batches(train_loader, "training loader");
        train_batches.start();
        training::Step step(objective, setup_.optimizer(), train_batches, options_, team,
                            /*with_metrics=*/true);
        return heat.train(step, [&] { return training::read(step.measured()); });
      };
      return race_heats(options, team, /*validation=*/false, train);
    });
  }

  /// Runs a race that is decided by the loss on a validation loader, which is measured once before
  /// and at the end of every heat, as in range_test.
  template <class TrainLoader, class ValLoader,
            class = std::enable_if_t<!std::is_convertible_v<ValLoader, const RaceOptions&>>>
  RaceResult race(TrainLoader&& train_loader, ValLoader&& val_loader,
                  const RaceOptions& options = {}) {
    training::Team team(options_.ranks());
    return team.run([&] {
      Setup::template check<TrainLoader>(options_);
      Setup::template check<ValLoader>(options_);
      training::require_two_walks(train_loader, val_loader);
      std::optional<ValidationCache<ValLoader>> cache;  // one for all heats
      const auto train = [&](auto& objective, training::TrainingMode& mode, training::Heat& heat) {
        training::Walk train_batches(train_loader, "training loader");
        train_batches.start();
        training::Step step(objective, setup_.optimizer(), train_batches, options_, team,
                            /*with_metrics=*/false);
        if (!cache) cache.emplace(training::most_cached_bytes(options_, objective.device()));
        training::Validation validation(objective, val_loader, *cache, mode, options_, team);
        const Measurement trained = heat.train(step, [&] {
          return Measurement{step.loss(), {}, {}};
        });
        return std::isfinite(trained.loss) ? training::read(validation()) : trained;
      };
      return race_heats(options, team, /*validation=*/true, train);
    });
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
    training::set_rates(setup_.optimizer(), group_rates(suggestion.lr, suggestion.index));
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
    (setup_.add(others), ...);
    return *this;
  }

  /// Undoes a range test that ran with `restore(false)`: everything is as it was before it. Does
  /// nothing when everything has been given back already, so that it can never undo training.
  void reset() {
    if (auto saved = std::exchange(saved_, nullptr)) saved->restore();
  }

 private:
  // Runs a range test and records it. `body` prepares the step, and runs the test with it.
  template <class Body>
  void record(const RangeTestOptions& options, training::Team& team, bool validation, Body&& body) {
    RangeTestSettings settings = training::plan(options, setup_.optimizer());
    settings.validation = validation;
    const auto use = [&](auto& objective, training::TrainingMode& mode, const auto& borrowed) {
      team.start(training::terms_of_test(settings, options, setup_.optimizer()), borrowed,
                 setup_.optimizer(), options);
      saved_ = nullptr;
      options_ = options;
      Recorder recorder(settings);
      try {
        const StopReason reason = body(objective, mode, [&](auto& step, auto&& measure) {
          const training::Watch watch(options, team);
          training::IterationsInFlight iterations(
              training::most_in_flight(options, objective.device()), recorder, watch);
          return training::range_test(settings, setup_.optimizer(), step, measure, iterations);
        });
        team.end();
        history_ = recorder.finish(reason);
      } catch (...) {
        history_ = recorder.finish(StopReason::failed);
        throw;
      }
    };
    auto saved = setup_.lend(options, use);
    if (options.restore()) {
      saved->restore();
    } else {
      saved_ = std::move(saved);
    }
  }

  // Runs a race. `body` trains a heat and returns what was measured at its end.
  template <class Body>
  RaceResult race_heats(const RaceOptions& options, training::Team& team, bool validation,
                        Body&& body) {
    training::RaceSettings settings = training::plan_race(options, recorded_history());
    reset();
    training::RaceProgress progress(options, settings.num_iter, team.leads());
    const auto run_heat = [&](double lr, std::int64_t num_iter) {
      const auto rates = group_rates(lr, suggest::detail::nearest_iteration(history_, lr));
      training::Heat heat(rates, num_iter, setup_.optimizer(), progress);
      Measurement reached;
      const auto use = [&](auto& objective, training::TrainingMode& mode, const auto& borrowed) {
        team.start(
            training::terms_of_heat(rates, num_iter, validation, options_, setup_.optimizer()),
            borrowed, setup_.optimizer(), options_);
        reached = body(objective, mode, heat);
      };
      setup_.lend(options_, use)->restore();
      return RaceEntry{lr, heat.done(), reached.loss, false, std::move(reached.metrics)};
    };
    if (validation) settings.untrained_loss = run_heat(settings.candidates.front(), 0).loss;
    RaceResult result = training::Race(settings, run_heat)();
    team.end();
    result.index = suggest::detail::nearest_iteration(history_, result.lr);
    return result;
  }

  // The rates of all groups, with the ratio that they had at an iteration of the history.
  std::vector<double> group_rates(double lr, std::size_t index) const {
    std::vector<double> rates{lr};
    for (std::size_t group = 1; group < history_.group_lr.size(); ++group) {
      rates.push_back(lr * history_.group_lr[group].at(index) / history_.lr.at(index));
    }
    return rates;
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

  Setup setup_;
  History history_;
  RangeTestOptions options_;  // of the last range test
  std::unique_ptr<training::SavedState> saved_;
};

template <class Model, class Optimizer, class Criterion>
LRFinder(Model&&, Optimizer&, Criterion&&)
    -> LRFinder<std::decay_t<Model>, Optimizer, std::decay_t<Criterion>>;

template <class Model, class Optimizer, class Criterion>
LRFinder(Model&&, Optimizer&, Criterion&&, torch::Device)
    -> LRFinder<std::decay_t<Model>, Optimizer, std::decay_t<Criterion>>;

}  // namespace lrfinder
