#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <c10/util/ScopeExit.h>
#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/system.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/distributed/trained_objects.hpp>
#include <lrfinder/engine/engine.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/find_options.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/progress.hpp>
#include <lrfinder/history/recorder.hpp>
#include <lrfinder/history/suggestion.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/range_test_options.hpp>
#include <lrfinder/search/rate_search.hpp>
#include <lrfinder/search/search_settings.hpp>
#include <lrfinder/search/trial_runner.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/snapshot/store.hpp>
#include <lrfinder/torch/compatibility.hpp>
#include <lrfinder/torch/optimizer.hpp>
#include <lrfinder/training/group_rates.hpp>
#include <lrfinder/training/range_test_loop.hpp>
#include <lrfinder/training/range_test_settings.hpp>
#include <lrfinder/training/training.hpp>
#include <lrfinder/training/training_settings.hpp>
#include <lrfinder/training_options.hpp>

// A program compiles these functions once with LRFINDER_COMPILED. Otherwise they are inline.
#ifdef LRFINDER_COMPILED
#define LRFINDER_INLINE
#else
#define LRFINDER_INLINE inline
#endif

namespace lrfinder::detail {

LRFINDER_INLINE Engine::Engine(torch::optim::Optimizer& optimizer, TrainingOptions options)
    : trained_{{}, {&optimizer}, {}}, options_(std::move(options)) {}
LRFINDER_INLINE Engine::Engine(Engine&& other) noexcept = default;
LRFINDER_INLINE Engine& Engine::operator=(Engine&& other) noexcept = default;
LRFINDER_INLINE Engine::~Engine() = default;

/// A hash of all values that a training changes.
inline std::size_t hash_of(const TrainedObjects& trained) {
  VisibleTensors all;
  all.tensors = tensors_of(trained).tensors();
  return all.hash();
}

/// Marks a finder as running, up to the end of the result's lifetime. Throws InvalidOption if
/// another test of it runs. A callback may start a second test.
inline auto running(bool& is_running) {
  require_option(!is_running,
                 "LRFinder: a range test or a search of this finder is running; call again after "
                 "its end");
  is_running = true;
  return c10::make_scope_exit([&is_running] { is_running = false; });
}

LRFINDER_INLINE const History& Engine::range_test(AnyLoader& train_loader, AnyLoader* val_loader,
                                                  const RangeTestOptions& options) {
  const auto until_the_end = running(is_running_);
  Session session(options_.data_parallel(), options.on_iteration().is_set());
  session.run([&] {
    TrainingSetup setup(trained_, train_loader, val_loader,
                        {options_, trained_, train_loader, val_loader, /*repeats=*/false}, session);
    const RangeTestSettings range = range_test_settings(options, optimizer(), setup.settings());
    record(range, options, setup, session, /*is_all=*/true);
  });
  return history_;
}

// Saves everything, runs a range test, and restores everything unless the options forbid it.
// `is_all`: whether the session ends with this test.
LRFINDER_INLINE void Engine::record(const RangeTestSettings& range, const RangeTestOptions& options,
                                    TrainingSetup& setup, Session& session, bool is_all) {
  std::optional<Progress> progress;
  if (options.progress() && session.is_rank_0()) {
    progress.emplace(std::cerr, is_terminal(stderr), is_all ? "" : "range test");
  }
  const std::function<bool(const Iteration&)> goes_on = [&](const Iteration& iteration) {
    if (progress) (*progress)(iteration);
    return session.goes_on(!session.is_rank_0() || options.on_iteration()(iteration));
  };
  // A criterion that trains another optimizer would train it twice.
  const bool is_paired = options.paired() && !range.validation && trained_.optimizers.size() == 1;
  bool is_suspect = false;  // whether the loss may be not finite because of the data
  const bool was_as_left = is_as_left();
  std::size_t hash_at_end = 0;
  const auto test = [&](Training& training) {
    const bool pairs = is_paired && training.measures_untrained();
    Recorder recorder(range, pairs);
    try {
      const auto in_flight = iterations_in_flight(options, setup.settings());
      const StopReason reason = run_range_test(training, range, in_flight, recorder, goes_on);
      if (progress) progress->end(reason);
      if (pairs && !recorder.is_paired()) {
        TORCH_WARN(
            "LRFinder: the losses of the batches at the starting weights are not recorded. The "
            "model, the criterion or the optimizer keeps a state of its own, which shows in the "
            "loss of the first batch, or replaces the memory of parameters or buffers. Call "
            "also_restore() with the tensors of that state, or set "
            "RangeTestOptions().paired(false)");
      }
      const auto untrained = recorder.untrained_loss_at_end();
      const bool is_bad = untrained && !std::isfinite(*untrained);
      if (is_bad) {
        throw BadBatch(concat("LRFinder: the loss of update ", recorder.size(),
                              " (counted from 0) is ", to_text(std::fabs(*untrained)),
                              " before any update, so no learning rate is to blame"),
                       static_cast<std::int64_t>(recorder.size()) * range.accumulation_steps);
      }
      is_suspect = reason == StopReason::non_finite_loss && !untrained;
      if (is_all) session.end();
      if (!options.restore()) hash_at_end = hash_of(trained_);
      const std::int64_t skipped = training.skipped_batches();
      if (skipped > 0) {  // a program may make warnings exceptions, so while all can be restored
        TORCH_WARN("LRFinder: the range test left out ", skipped,
                   " batches, whose loss is not finite before any update");
      }
      history_ = recorder.finish(reason);
      history_.settings.skipped_batches = skipped;
    } catch (...) {
      history_ = recorder.finish(StopReason::failed);
      failure_ = std::current_exception();
      throw;
    }
  };
  std::unique_ptr<SavedState> before;
  try {
    // Throws a BadBatch with all that is known, if a batch up to the last update is bad.
    const auto name_bad_batch = [&] {
      const auto updates = static_cast<std::int64_t>(history_.size());
      const auto evaluate = [&](Training& training) {
        for (std::int64_t i = 0; i <= updates; ++i) training.evaluate_without_update();
      };
      try {
        return setup.train({}, evaluate);
      } catch (const BadBatch& bad) {
        const double lr = scheduled_lr(range.schedule, first_rate(range.start_lr),
                                       first_rate(range.end_lr), updates, range.num_iter);
        throw BadBatch(concat(bad.what(), ". The range test met it at lr ", lr), bad.index());
      }
    };
    try {
      before = setup.train(fingerprint_of(range, setup.settings(), is_paired), test,
                           is_paired || setup.settings().options.skip_bad_batches());
    } catch (const BadBatch&) {
      if (session.is_single_process()) name_bad_batch()->restore();
      throw;
    }
    if (is_suspect && options.restore() && session.is_single_process()) {
      before->restore();
      before = name_bad_batch();
    }
  } catch (...) {
    if (was_as_left) restore_after_exception(*std::exchange(unrestored_, nullptr));
    throw;
  }
  if (options.restore()) return before->restore();
  if (!was_as_left) unrestored_ = std::move(before);
  hash_at_end_ = hash_at_end;
}

// Whether the model is as the last unrestored test left it. If not, it has been trained since, and
// only reset() may undo that. Version counters would not tell: SGD writes through data().
LRFINDER_INLINE bool Engine::is_as_left() const {
  return unrestored_ && hash_of(trained_) == hash_at_end_;
}

LRFINDER_INLINE Suggestion Engine::find(AnyLoader& train_loader, AnyLoader* val_loader,
                                        const FindOptions& options) {
  const auto until_the_end = running(is_running_);
  const auto runner =
      options.trial_runner() ? options.trial_runner() : std::make_shared<TrialRunner>();
  RangeTestOptions range_test = options.range_test();
  if (range_test.start_lr().values().empty()) range_test.start_lr(1e-7);
  range_test.progress((range_test.progress() || options.progress()) && runner->reports());
  if (!runner->reports()) range_test.on_iteration({});
  Session session(options_.data_parallel(), range_test.on_iteration().is_set());
  const auto search = [&] {
    require_option(!options_.data_parallel() || runner->processes() == 1,
                   "LRFinder: with data_parallel() the ranks train each trial together, with a "
                   "trial_runner() each trains trials of its own; leave one of them out");
    const TrainingPlan plan = plan_of(options, optimizer());
    const auto training_settings = [&] {
      return TrainingSettings(options_, trained_, train_loader, val_loader, /*repeats=*/true,
                              runner->processes());
    };
    // Checks the settings before anything is touched. They are made again after the restore.
    static_cast<void>(range_test_settings(range_test, optimizer(), training_settings()));
    if (is_as_left()) {
      static_cast<void>(SnapshotStore(options_));  // throws if the search could not begin
      std::exchange(unrestored_, nullptr)->restore();
    }
    TrainingSetup setup(trained_, train_loader, val_loader, training_settings(), session);
    const RangeTestSettings range = range_test_settings(range_test, optimizer(), setup.settings());
    const std::vector<double> present = present_rates(optimizer());

    Fingerprint fingerprint = fingerprint_of(range, setup.settings(), range_test.paired());
    fingerprint.add("the plan", describe(plan))
        .add("budget", options.budget().value_or(0))
        .add("a history to start from", options.history().has_value());
    runner->begin(setup, fingerprint);
    std::int64_t spent = 0;
    if (options.history()) {
      history_ = *options.history();
      history_.found.reset();
      runner->share(history_);
      spent = static_cast<std::int64_t>(history_.size());
    } else {
      spent = search_range(range, range_test, updates_of(options, plan), setup, session, *runner);
    }
    const std::int64_t left = std::max<std::int64_t>(updates_of(options, plan) - spent, 1);
    TrialTrainer trainer(setup, history_, present, plan, left,
                         options.progress() && runner->reports() && session.is_rank_0());
    const auto run_trials = [&](const std::vector<double>& rates, std::int64_t updates,
                                const std::vector<double>& likely_next) {
      return runner->run(trainer, rates, updates, likely_next);
    };
    SearchSettings settings = search_settings(plan, recorded_history(), left);
    settings.validates = val_loader != nullptr;
    Suggestion found = RateSearch(settings, run_trials).run();
    found.recipe = "find";
    found.index = nearest_index(history_.lr, found.lr);
    found.updates += spent;
    found.steps = plan.steps();
    if (setup.skipped_batches() > 0) {
      found.caveat += concat(found.caveat.empty() ? "" : "; ", setup.skipped_batches(),
                             " batches were left out: their loss is not finite before training");
    }
    history_.found = std::move(found);
    runner->end();
    session.end();
  };
  runner->host([&] { session.run(search); });
  return *history_.found;
}

// Runs range tests until one contains the descent. Returns their updates. `budget`: of the search.
LRFINDER_INLINE std::int64_t Engine::search_range(RangeTestSettings range,
                                                  const RangeTestOptions& options,
                                                  std::int64_t budget, TrainingSetup& setup,
                                                  Session& session, TrialRunner& runner) {
  constexpr int max_range_tests = 3;
  std::int64_t updates = 0;
  for (int i = 0; i < max_range_tests; ++i) {
    record(range, options, setup, session, /*is_all=*/false);
    runner.share(history_);
    updates += static_cast<std::int64_t>(history_.size());
    if (history_.stop_reason == StopReason::stopped_by_caller) {
      throw NoSuggestion("LRFinder: find was stopped by on_iteration");
    }
    if (history_.empty()) break;
    const auto wider = wider_range(range, history_);
    if (!wider || budget - updates < 2 * range.num_iter) break;
    range = *wider;
  }
  return updates;
}

LRFINDER_INLINE const History& Engine::recorded_history() const {
  if (!history_.empty()) return history_;
  throw NoSuggestion(
      history_.stop_reason != StopReason::non_finite_loss
          ? "LRFinder: no iteration has been recorded; call range_test() first"
          : concat(
                "LRFinder: the first loss of the range test was already not finite; look at the ",
                history_.settings.validation ? "validation data" : "data",
                " and the criterion, or lower start_lr"));
}

LRFINDER_INLINE Suggestion Engine::suggestion(const Recipe& recipe) const {
  try {
    return recipe(recorded_history());
  } catch (const NoSuggestion&) {
    if (history_.stop_reason != StopReason::failed || !failure_) throw;
    throw NoSuggestion(concat("LRFinder: no suggestion, because the range test failed after ",
                              history_.size(), " iterations: ", message_of(failure_)));
  }
}

LRFINDER_INLINE void Engine::set_lr(const Suggestion& suggestion) {
  set_rates(optimizer(), group_rates(history_, suggestion.lr, present_rates(optimizer())));
}

LRFINDER_INLINE void Engine::reset() {
  const auto until_the_end = running(is_running_);
  if (const auto before = std::exchange(unrestored_, nullptr)) before->restore();
}

}  // namespace lrfinder::detail

#undef LRFINDER_INLINE
