#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/finder/finder.hpp>
#include <lrfinder/finder/state.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/plan/suggestion.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/plot/options.hpp>
#include <lrfinder/plot/plot.hpp>
#include <lrfinder/race/options.hpp>
#include <lrfinder/race/resolve.hpp>
#include <lrfinder/race/resolve_search.hpp>
#include <lrfinder/race/trial.hpp>
#include <lrfinder/race/trials.hpp>
#include <lrfinder/race/trials_on_ranks.hpp>
#include <lrfinder/suggest/race_result.hpp>
#include <lrfinder/suggest/steepest.hpp>
#include <lrfinder/suggest/suggestion.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/torch/optimizer.hpp>
#include <lrfinder/training/from_rank_0.hpp>
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
  SearchSessions sessions{Session(state_->last_options.ranks()), Session(options.ranks())};
  return sessions.run([&] {
    if (sessions.apart.leads()) recorded_history();  // throws where there is none
    state_->take_history_of_rank_0(sessions.apart);
    const History& curve = state_->history;
    const RaceSettings race = resolve_race(options, curve);
    const TrainingPlan* const plan = options.plan() ? &*options.plan() : nullptr;
    if (plan) check_plan(*plan, state_->optimizer(), "RaceOptions");
    const TrainingSettings settings = resolve_training(
        state_->last_options, state_->model(), state_->optimizer(), state_->device, train_loader,
        val_loader, Trainings{/*repeat=*/true, sessions.apart.size()});
    if (const auto before = std::exchange(state_->unrestored, nullptr)) before->restore();

    Training training(state_->training_state, train_loader, val_loader, settings,
                      sessions.together);
    RaceProgress report(options.progress() && sessions.apart.leads(), race.num_iter,
                        sessions.together);
    const RunTrials trials = state_->trials(settings, training, plan, report, sessions.apart);
    Fingerprint fingerprint = fingerprint_of(settings);
    fingerprint.add("the first candidates", race.candidates)
        .add("the updates of the race", race.num_iter)
        .add("rungs", race.rungs)
        .add("tolerance", race.tolerance)
        .add("the plan", plan ? to_string(*plan) : "none");
    RaceResult result = from_state_of_rank_0(sessions.apart, fingerprint, training, [&] {
      if (!plan) return state_->race(race, trials, settings.validates);
      const auto search = resolve_search(*plan, curve, options.around(), race.num_iter);
      RaceResult found(state_->search(search, trials, settings.validates));
      found.recipe = "race";
      return found;
    });
    sessions.end();
    return result;
  });
}

LRFINDER_INLINE Suggestion Finder::find(AnyLoader& train_loader, AnyLoader* val_loader,
                                        const FindOptions& options) {
  const State::Running running(state_->running);
  SearchSessions sessions{
      Session(options.range_test().ranks(), options.range_test().on_iteration().is_set()),
      Session(options.ranks())};
  return sessions.run([&] {
    const TrainingPlan plan = resolve_find(options, state_->optimizer());
    ResolvedRangeTest test =
        resolve(options.range_test(), state_->model(), state_->optimizer(), state_->device,
                train_loader, val_loader, Trainings{/*repeat=*/true, sessions.apart.size()});
    test.progress = (test.progress || options.progress()) && sessions.apart.leads();
    if (!sessions.apart.leads()) test.on_iteration = {};
    if (const auto before = std::exchange(state_->unrestored, nullptr)) before->restore();

    Fingerprint fingerprint = fingerprint_of(test);
    fingerprint.add("the plan", to_string(plan)).add("budget", options.budget());
    Training training(state_->training_state, train_loader, val_loader, test.training,
                      sessions.together);
    Suggestion found = from_state_of_rank_0(sessions.apart, fingerprint, training, [&] {
      const auto budget = static_cast<std::int64_t>(
          std::min(options.budget() * static_cast<double>(test.range.num_iter), 1e15));
      const std::int64_t updates =
          state_->range_tests(test, options.range_test(), budget, training, sessions);
      const auto search = resolve_search(plan, recorded_history(), std::nullopt,
                                         std::max<std::int64_t>(budget - updates, 1));
      RaceProgress report(options.progress() && sessions.apart.leads(), search.num_iter,
                          sessions.together);
      Suggestion result = state_->search(
          search, state_->trials(test.training, training, &plan, report, sessions.apart),
          test.training.validates);
      result.recipe = "find";
      result.updates += updates;
      return result;
    });
    sessions.end();
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
