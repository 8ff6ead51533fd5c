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
#include <lrfinder/options.hpp>
#include <lrfinder/plot/options.hpp>
#include <lrfinder/plot/plot.hpp>
#include <lrfinder/race/options.hpp>
#include <lrfinder/race/resolve.hpp>
#include <lrfinder/race/successive_halving.hpp>
#include <lrfinder/race/trial.hpp>
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
  /// otherwise.
  void range_test(const ResolvedRangeTest& test, const RangeTestOptions& options,
                  Training& training, Session& session) {
    std::unique_ptr<SavedState> before;
    try {
      before = training.run(fingerprint_of(test, optimizer()), [&](TrainingRun& run) {
        last_options = options;
        Recorder recorder(test.range);
        const ProgressReporter report(test.progress, test.on_iteration, session);
        try {
          const StopReason reason = RangeTest(test, recorder, report)(run);
          session.end();
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

  /// Runs the trials of a race, each on the same state.
  RaceResult race(RaceSettings settings, bool validates, Training& training,
                  const Fingerprint& fingerprint, RaceProgress& report) {
    const auto trial = [&](double lr, std::int64_t num_iter) {
      const std::vector<double> rates = group_rates(lr, nearest_index(history.lr, lr));
      RaceEntry entry;
      Fingerprint with_rates = fingerprint;
      with_rates.add("the learning rate of a trial", rates);
      with_rates.add("the number of updates of a trial", num_iter);
      training
          .run(with_rates,
               [&](TrainingRun& run) { entry = run_trial(run, rates, num_iter, report); })
          ->restore();
      return entry;
    };
    if (validates) settings.untrained_loss = trial(settings.candidates.front(), 0).loss;
    RaceResult result = SuccessiveHalving(settings, trial)();
    result.index = nearest_index(history.lr, result.lr);
    return result;
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
    const RaceSettings race = resolve_race(options, recorded_history());
    const TrainingSettings settings =
        resolve_training(state_->last_options, state_->model(), state_->optimizer(), state_->device,
                         train_loader, val_loader);
    if (const auto before = std::exchange(state_->unrestored, nullptr)) before->restore();
    Training training(state_->training_state, train_loader, val_loader, settings, session);
    RaceProgress report(options.progress(), race.num_iter, session);
    RaceResult result = state_->race(race, settings.validates, training,
                                     fingerprint_of(settings, state_->optimizer()), report);
    session.end();
    return result;
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
