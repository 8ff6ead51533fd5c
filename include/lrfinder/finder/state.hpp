#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed/session.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/finder/finder.hpp>
#include <lrfinder/history/csv.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/recorder.hpp>
#include <lrfinder/history/trial.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/race/rate_search.hpp>
#include <lrfinder/race/resolve.hpp>
#include <lrfinder/race/resolve_search.hpp>
#include <lrfinder/race/successive_halving.hpp>
#include <lrfinder/race/trial.hpp>
#include <lrfinder/race/trials.hpp>
#include <lrfinder/race/trials_on_ranks.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/suggest/numeric.hpp>
#include <lrfinder/suggest/race_result.hpp>
#include <lrfinder/suggest/suggestion.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/training/progress_reporter.hpp>
#include <lrfinder/training/range_test.hpp>
#include <lrfinder/training/run.hpp>
#include <lrfinder/training/settings.hpp>

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
      before = training.run(fingerprint_of(test), [&](TrainingRun& run) {
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

  /// Runs range tests for a search that has so many updates, until one has the descent within its
  /// range. Returns the updates that they took.
  std::int64_t range_tests(ResolvedRangeTest test, const RangeTestOptions& options,
                           std::int64_t budget, Training& training, SearchSessions& sessions) {
    constexpr int max_range_tests = 3;
    std::int64_t updates = 0;
    for (int i = 0; i < max_range_tests; ++i) {
      range_test(test, options, training, sessions.together, /*is_all=*/false);
      take_history_of_rank_0(sessions.apart);
      updates += static_cast<std::int64_t>(history.size());
      if (history.stop_reason == StopReason::stopped_by_caller) {
        throw NoSuggestion("LRFinder: find was stopped by on_iteration");
      }
      if (history.empty()) break;
      const RangeChange change = change_of_range(history);
      if (!change.any() || budget - updates < 2 * test.range.num_iter) break;
      for (double& rate : test.range.start_lr) rate *= change.start;
      for (double& rate : test.range.end_lr) rate *= change.end;
    }
    return updates;
  }

  /// Races without a plan, on top of the last range test.
  RaceResult race(RaceSettings race, RunTrials trials, bool validates) const {
    if (validates) race.untrained_loss = trials({race.candidates.front()}, 0).front().loss;
    RaceResult result = SuccessiveHalving(race, trials)();
    result.index = nearest_index(history.lr, result.lr);
    return result;
  }

  /// Searches the best rate for a plan, on top of the last range test.
  Suggestion search(RateSearchSettings search, RunTrials trials, bool validates) {
    if (validates) {
      search.untrained_loss = trials({search.around}, 0).front().loss;
      search.untrained_is_paired = true;
    }
    Suggestion result = RateSearch(search, trials)();
    result.index = nearest_index(history.lr, result.lr);
    history.found = FoundRate{result.lr, result.low, result.high, result.trials};
    return result;
  }

  /// Trials on top of the last range test. `plan`: null for constant rates. `apart`: ranks that run
  /// trials of their own, or this process alone.
  RunTrials trials(const TrainingSettings& settings, Training& training, const TrainingPlan* plan,
                   RaceProgress& report, Session& apart) const {
    const auto rates = [this](double lr) { return group_rates(lr, nearest_index(history.lr, lr)); };
    Trials trials(training, fingerprint_of(settings), rates, plan, std::ref(report));
    if (apart.alone()) return trials;
    const auto run = [trials, &report](double lr, std::int64_t num_iter,
                                       const std::function<void()>& after_update) mutable {
      return trials.run(lr, num_iter, [&](double rate, double loss) {
        report(rate, loss);
        after_update();
      });
    };
    return TrialsOnRanks(apart, run, [&report](std::int64_t updates) { report.skip(updates); });
  }

  /// The history of rank 0 on every rank.
  void take_history_of_rank_0(Session& apart) {
    if (apart.alone()) return;
    const std::string text = apart.text_of_rank_0(to_csv(history));
    if (!apart.leads()) history = from_csv(text);
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

}  // namespace lrfinder::detail
