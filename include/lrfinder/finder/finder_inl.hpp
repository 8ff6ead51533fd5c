#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/finder/finder.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/recorder.hpp>
#include <lrfinder/history/trial.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/plan/suggestion.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/plot/options.hpp>
#include <lrfinder/plot/plot.hpp>
#include <lrfinder/race/options.hpp>
#include <lrfinder/race/rate_search.hpp>
#include <lrfinder/race/resolve.hpp>
#include <lrfinder/race/resolve_search.hpp>
#include <lrfinder/race/successive_halving.hpp>
#include <lrfinder/race/trial.hpp>
#include <lrfinder/race/trials.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/suggest/numeric.hpp>
#include <lrfinder/suggest/race_result.hpp>
#include <lrfinder/suggest/steepest.hpp>
#include <lrfinder/suggest/suggestion.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/torch/optimizer.hpp>
#include <lrfinder/training/progress_reporter.hpp>
#include <lrfinder/training/range_test.hpp>
#include <lrfinder/training/resolve.hpp>
#include <lrfinder/training/run.hpp>
#include <lrfinder/training/settings.hpp>

// Functions that a program compiles once, in the source of lrfinder::compiled, or inline.
#ifdef LRFINDER_COMPILED
#define LRFINDER_INLINE
#else
#define LRFINDER_INLINE inline
#endif

namespace lrfinder::detail {

/// What a finder trains, and what it remembers from one call to the next.
struct Finder::State {
  torch::optim::Optimizer& optimizer() const { return *training_state.optimizers.front(); }

  const ModuleHandle& model() const { return training_state.modules.front(); }

  /// Saves everything, runs a range test, and restores everything, unless the options say
  /// otherwise. `is_all`: whether nothing follows it in the session.
  void range_test(const ResolvedRangeTest& test, const RangeTestOptions& options,
                  Training& training, Session& session, bool is_all = true) {
    std::unique_ptr<SavedState> before;
    try {
      before = training.run(fingerprint_of(test, optimizer()), [&](TrainingRun& run) {
        last_options = options;
        Recorder recorder(test.range);
        const ProgressReporter report(test.progress, is_all ? "" : "range test", test.on_iteration,
                                      session);
        try {
          const StopReason reason = RangeTest(test, recorder, report)(run);
          if (is_all) session.end();
          history = recorder.finish(reason);
        } catch (...) {
          history = recorder.finish(StopReason::failed);
          throw;
        }
      });
    } catch (...) {
      if (const auto first = std::exchange(unrestored, nullptr)) restore_after_exception(*first);
      throw;
    }
    if (test.restore) {
      before->restore();
    } else if (!unrestored) {
      unrestored = std::move(before);
    }
  }

  /// Races without a plan, on top of the last range test.
  RaceResult race(RaceSettings race, const TrainingSettings& settings, Training& training,
                  RaceProgress& report) const {
    Trials trial = trials(settings, training, nullptr, report);
    if (settings.validates) race.untrained_loss = trial(race.candidates.front(), 0).loss;
    RaceResult result = SuccessiveHalving(race, trial)();
    result.index = nearest_index(history.lr, result.lr);
    return result;
  }

  /// Searches the best rate for a plan, on top of the last range test.
  Suggestion search(RateSearchSettings search, const TrainingPlan& plan,
                    const TrainingSettings& settings, Training& training, RaceProgress& report) {
    Trials trial = trials(settings, training, &plan, report);
    if (settings.validates) {
      search.untrained_loss = trial(search.around, 0).loss;
      search.untrained_is_paired = true;
    }
    Suggestion result = RateSearch(search, trial)();
    result.index = nearest_index(history.lr, result.lr);
    history.found = FoundRate{result.lr, result.low, result.high, result.trials};
    return result;
  }

  /// Trials on top of the last range test. `plan`: null for constant rates.
  Trials trials(const TrainingSettings& settings, Training& training, const TrainingPlan* plan,
                RaceProgress& report) const {
    const auto rates = [this](double lr) { return group_rates(lr, nearest_index(history.lr, lr)); };
    return {training, fingerprint_of(settings, optimizer()), rates, plan, report};
  }

  /// The rates of all groups, with the ratio that they had at an iteration of the history.
  std::vector<double> group_rates(double lr, std::size_t index) const {
    std::vector<double> rates{lr};
    for (std::size_t group = 1; group < history.group_lr.size(); ++group) {
      rates.push_back(lr * history.group_lr[group].at(index) / history.lr.at(index));
    }
    return rates;
  }

  /// Throws InvalidOption while another test of this finder runs, which a callback can bring about.
  class Running {
   public:
    explicit Running(bool& running) : running_(running) {
      if (running_) {
        throw InvalidOption(
            "LRFinder: a range test or a race of this finder is running; call it again after it");
      }
      running_ = true;
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() { running_ = false; }

   private:
    bool& running_;
  };

  TrainingState training_state;
  std::optional<torch::Device> device;
  History history = {};
  RangeTestOptions last_options = {};
  // From before the first of the tests that were not restored.
  std::unique_ptr<SavedState> unrestored = nullptr;
  bool running = false;
};

LRFINDER_INLINE Finder::Finder(torch::optim::Optimizer& optimizer,
                               std::optional<torch::Device> device)
    : state_(new State{{{}, {&optimizer}, {}}, device}) {}
LRFINDER_INLINE Finder::Finder(Finder&& other) noexcept = default;
LRFINDER_INLINE Finder& Finder::operator=(Finder&& other) noexcept = default;
LRFINDER_INLINE Finder::~Finder() = default;

LRFINDER_INLINE void Finder::add(ModuleHandle module) {
  state_->training_state.modules.push_back(std::move(module));
}
LRFINDER_INLINE void Finder::add(torch::optim::Optimizer& optimizer) {
  state_->training_state.optimizers.push_back(&optimizer);
}
LRFINDER_INLINE void Finder::add(const torch::Tensor& tensor) {
  state_->training_state.tensors.push_back(tensor);
}

LRFINDER_INLINE const History& Finder::range_test(AnyLoader& train_loader, AnyLoader* val_loader,
                                                  const RangeTestOptions& options) {
  const State::Running running(state_->running);
  Session session(options.ranks(), options.on_iteration().is_set());
  session.run([&] {
    const ResolvedRangeTest test = resolve(options, state_->model(), state_->optimizer(),
                                           state_->device, train_loader, val_loader);
    Training training(state_->training_state, train_loader, val_loader, test.training, session);
    state_->range_test(test, options, training, session);
  });
  return state_->history;
}

LRFINDER_INLINE RaceResult Finder::race(AnyLoader& train_loader, AnyLoader* val_loader,
                                        const RaceOptions& options) {
  const State::Running running(state_->running);
  Session session(state_->last_options.ranks());
  return session.run([&] {
    const History& curve = recorded_history();
    const RaceSettings race = resolve_race(options, curve);
    if (options.plan()) check_plan(*options.plan(), state_->optimizer(), "RaceOptions");
    const TrainingSettings settings =
        resolve_training(state_->last_options, state_->model(), state_->optimizer(), state_->device,
                         train_loader, val_loader, Trainings::several);
    if (const auto before = std::exchange(state_->unrestored, nullptr)) before->restore();
    Training training(state_->training_state, train_loader, val_loader, settings, session);
    RaceProgress report(options.progress(), race.num_iter, session);
    RaceResult result;
    if (options.plan()) {
      const auto search = resolve_search(*options.plan(), curve, options.around(), race.num_iter);
      result = RaceResult(state_->search(search, *options.plan(), settings, training, report));
      result.recipe = "race";
    } else {
      result = state_->race(race, settings, training, report);
    }
    session.end();
    return result;
  });
}

LRFINDER_INLINE Suggestion Finder::find(AnyLoader& train_loader, AnyLoader* val_loader,
                                        const FindOptions& options) {
  const State::Running running(state_->running);
  Session session(options.range_test().ranks(), options.range_test().on_iteration().is_set());
  return session.run([&] {
    const TrainingPlan plan = resolve_find(options, state_->optimizer());
    ResolvedRangeTest test = resolve(options.range_test(), state_->model(), state_->optimizer(),
                                     state_->device, train_loader, val_loader, Trainings::several);
    test.progress = test.progress || options.progress();
    if (const auto before = std::exchange(state_->unrestored, nullptr)) before->restore();
    Training training(state_->training_state, train_loader, val_loader, test.training, session);

    const auto budget = static_cast<std::int64_t>(
        std::min(options.budget() * static_cast<double>(test.range.num_iter), 1e15));
    std::int64_t updates = 0;
    constexpr int max_range_tests = 3;
    for (int i = 0; i < max_range_tests; ++i) {
      state_->range_test(test, options.range_test(), training, session, /*is_all=*/false);
      updates += static_cast<std::int64_t>(recorded_history().size());
      if (state_->history.stop_reason == StopReason::stopped_by_caller) {
        throw NoSuggestion("LRFinder: find was stopped by on_iteration");
      }
      const RangeChange change = change_of_range(state_->history);
      if (!change.any() || budget - updates < 2 * test.range.num_iter) break;
      for (double& rate : test.range.start_lr) rate *= change.start;
      for (double& rate : test.range.end_lr) rate *= change.end;
    }

    const auto search = resolve_search(plan, state_->history, std::nullopt,
                                       std::max<std::int64_t>(budget - updates, 1));
    RaceProgress report(options.progress(), search.num_iter, session);
    Suggestion found = state_->search(search, plan, test.training, training, report);
    session.end();
    found.recipe = "find";
    found.updates += updates;
    return found;
  });
}

LRFINDER_INLINE const History& Finder::history() const noexcept { return state_->history; }

LRFINDER_INLINE const History& Finder::recorded_history() const {
  if (history().empty()) {
    throw NoSuggestion(
        history().stop_reason == StopReason::non_finite_loss
            ? "LRFinder: the first loss of the range test was already not finite; look at the "
              "data and the criterion, or lower start_lr"
            : "LRFinder: no iteration has been recorded; call range_test() first");
  }
  return history();
}

LRFINDER_INLINE Suggestion Finder::suggestion() const {
  return suggest::steepest(recorded_history());
}

LRFINDER_INLINE Suggestion Finder::suggestion(const TrainingPlan& plan) const {
  return suggest::for_plan(recorded_history(), plan);
}

LRFINDER_INLINE void Finder::set_lr(const Suggestion& suggestion) {
  set_rates(state_->optimizer(), state_->group_rates(suggestion.lr, suggestion.index));
}

LRFINDER_INLINE void Finder::plot(const std::string& path, const PlotOptions& options) const {
  lrfinder::plot(recorded_history(), path, options);
}
LRFINDER_INLINE void Finder::plot(std::ostream& out, const PlotOptions& options) const {
  lrfinder::plot(recorded_history(), out, options);
}

LRFINDER_INLINE void Finder::reset() {
  const State::Running running(state_->running);
  if (const auto before = std::exchange(state_->unrestored, nullptr)) before->restore();
}

}  // namespace lrfinder::detail

#undef LRFINDER_INLINE
