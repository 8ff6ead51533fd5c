#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/data/batch_cache.hpp>
#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/iteration.hpp>
#include <lrfinder/history/recorder.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/plot/options.hpp>
#include <lrfinder/plot/plot.hpp>
#include <lrfinder/race/options.hpp>
#include <lrfinder/race/resolve.hpp>
#include <lrfinder/race/successive_halving.hpp>
#include <lrfinder/race/trial.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/suggest/race_result.hpp>
#include <lrfinder/suggest/recipes.hpp>
#include <lrfinder/suggest/steepest.hpp>
#include <lrfinder/suggest/suggestion.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/torch/optimizer.hpp>
#include <lrfinder/training/evaluation.hpp>
#include <lrfinder/training/finder.hpp>
#include <lrfinder/training/measurement.hpp>
#include <lrfinder/training/progress_reporter.hpp>
#include <lrfinder/training/range_test.hpp>
#include <lrfinder/training/resolve.hpp>
#include <lrfinder/training/setup.hpp>
#include <lrfinder/training/step.hpp>

namespace lrfinder::detail {

/// What a finder holds, and its tests and races on what the Setup lends.
template <class T>
struct Finder<T>::State {
  static void check(const AnyLoader& train_loader, const AnyLoader* val_loader,
                    const RangeTestOptions& options) {
    const bool has_metrics =
        train_loader.has_metrics() && (!val_loader || val_loader->has_metrics());
    if (!options.metrics().empty() && !has_metrics) {
      throw InvalidOption(
          "RangeTestOptions: metric() needs a criterion of the form (output, target) and a model "
          "and batches whose output and target are tensors");
    }
    if (val_loader && train_loader.single_pass() && typeid(train_loader) == typeid(*val_loader) &&
        train_loader.single_pass() == val_loader->single_pass()) {
      throw InvalidOption(
          "range_test: the training loader and the validation loader are one and the same, which "
          "can be walked only once at a time; make a second loader for validation");
    }
  }

  // Saves everything, runs a range test, and gives everything back, where that is wanted.
  void range_test(AnyLoader& train_loader, AnyLoader* val_loader, const RangeTestOptions& options,
                  Session& team) {
    RangeTestSettings settings = plan(options, setup.optimizer());
    settings.validation = val_loader != nullptr;
    auto before = setup.lend(options, [&](const Setup::Lent& lent) {
      team.start(fingerprint_of_test(settings, options, setup.optimizer()), lent.borrowed,
                 setup.optimizer(), options);
      saved = nullptr;
      last_options = options;
      record(settings, options, lent, train_loader, val_loader, team);
    });
    if (options.restore()) {
      before->restore();
    } else {
      saved = std::move(before);
    }
  }

  // Runs a range test on what is lent.
  void record(const RangeTestSettings& settings, const RangeTestOptions& options,
              const Setup::Lent& lent, AnyLoader& train_loader, AnyLoader* val_loader,
              Session& team) {
    Recorder recorder(settings);
    try {
      const auto train_batches = train_loader.walk(lent.device);
      train_batches->start();
      Step step(*train_batches, lent.device, setup.optimizer(), options, team,
                /*with_metrics=*/!val_loader);
      BatchCache cache(val_loader ? max_cached_bytes(options, lent.device) : 0);
      std::optional<Validation> validation;
      if (val_loader) {
        validation.emplace(*val_loader, lent.device, cache, lent.mode, options, team);
      }
      const auto measure = [&] {
        if (!validation) return step.take_measured();
        DeviceMeasurement measured = (*validation)();
        step.add_figures(measured);
        return measured;
      };
      const ProgressReporter watch(options, team);
      PendingIterations iterations(max_pending_iterations(options, lent.device), recorder, watch);
      const StopReason reason =
          detail::range_test(settings, setup.optimizer(), step, measure, iterations);
      team.end();
      history = recorder.finish(reason);
    } catch (...) {
      history = recorder.finish(StopReason::failed);
      throw;
    }
  }

  // Trains the trials of a race, each on what is lent for it.
  RaceResult race(RaceSettings settings, AnyLoader& train_loader, AnyLoader* val_loader,
                  const RaceOptions& options, Session& team) {
    RaceProgress progress(options, settings.num_iter, team.leads());
    std::optional<BatchCache> cache;  // one for all trials
    const auto run_trial = [&](double lr, std::int64_t num_iter) {
      const auto rates = group_rates(lr, detail::nearest_iteration(history, lr));
      Trial heat(rates, num_iter, setup.optimizer(), progress);
      Measurement reached;
      const auto train = [&](const Setup::Lent& lent) {
        team.start(fingerprint_of_trial(rates, num_iter, val_loader != nullptr, last_options,
                                        setup.optimizer()),
                   lent.borrowed, setup.optimizer(), last_options);
        const auto train_batches = train_loader.walk(lent.device);
        train_batches->start();
        Step step(*train_batches, lent.device, setup.optimizer(), last_options, team,
                  /*with_metrics=*/!val_loader);
        if (!val_loader) {
          reached = heat.train(step, [&] { return read(step.take_measured()); });
          return;
        }
        if (!cache) cache.emplace(max_cached_bytes(last_options, lent.device));
        Validation validation(*val_loader, lent.device, *cache, lent.mode, last_options, team);
        reached = heat.train(step, [&] { return Measurement{step.loss(), {}, {}}; });
        if (std::isfinite(reached.loss)) reached = read(validation());
      };
      setup.lend(last_options, train)->restore();
      return RaceEntry{lr, heat.done(), reached.loss, false, std::move(reached.metrics)};
    };
    if (val_loader) settings.untrained_loss = run_trial(settings.candidates.front(), 0).loss;
    RaceResult result = SuccessiveHalving(settings, run_trial)();
    team.end();
    result.index = detail::nearest_iteration(history, result.lr);
    return result;
  }

  // The rates of all groups, with the ratio that they had at an iteration of the history.
  std::vector<double> group_rates(double lr, std::size_t index) const {
    std::vector<double> rates{lr};
    for (std::size_t group = 1; group < history.group_lr.size(); ++group) {
      rates.push_back(lr * history.group_lr[group].at(index) / history.lr.at(index));
    }
    return rates;
  }

  Setup setup;
  History history = {};
  RangeTestOptions last_options = {};
  std::unique_ptr<SavedState> saved = nullptr;
};

template <class T>
Finder<T>::Finder(torch::optim::Optimizer& optimizer, std::optional<torch::Device> device)
    : state_(new State{Setup(optimizer, device)}) {}
template <class T>
Finder<T>::Finder(Finder&& other) noexcept = default;
template <class T>
Finder<T>& Finder<T>::operator=(Finder&& other) noexcept = default;
template <class T>
Finder<T>::~Finder() = default;

template <class T>
void Finder<T>::add(torch::nn::Module& module) {
  state_->setup.add(ModuleHandle(module));
}
template <class T>
void Finder<T>::add(const torch::jit::Module& module) {
  state_->setup.add(ModuleHandle(module));
}
template <class T>
void Finder<T>::add(torch::optim::Optimizer& optimizer) {
  state_->setup.add(optimizer);
}
template <class T>
void Finder<T>::add(const torch::Tensor& tensor) {
  state_->setup.add(tensor);
}

template <class T>
const History& Finder<T>::range_test(AnyLoader& train_loader, AnyLoader* val_loader,
                                     const RangeTestOptions& options) {
  Session team(options.ranks());
  team.run([&] {
    State::check(train_loader, val_loader, options);
    state_->range_test(train_loader, val_loader, options, team);
  });
  return state_->history;
}

template <class T>
RaceResult Finder<T>::race(AnyLoader& train_loader, AnyLoader* val_loader,
                           const RaceOptions& options) {
  Session team(state_->last_options.ranks());
  return team.run([&] {
    State::check(train_loader, val_loader, state_->last_options);
    const RaceSettings settings = resolve_race(options, recorded_history());
    reset();
    return state_->race(settings, train_loader, val_loader, options, team);
  });
}

template <class T>
const History& Finder<T>::history() const noexcept {
  return state_->history;
}

template <class T>
const History& Finder<T>::recorded_history() const {
  if (history().empty()) {
    throw NoSuggestion(
        history().stop_reason == StopReason::non_finite_loss
            ? "LRFinder: the first loss of the range test was already not finite; look at the "
              "data and the criterion, or lower start_lr"
            : "LRFinder: no iteration has been recorded; call range_test() first");
  }
  return history();
}

template <class T>
Suggestion Finder<T>::suggestion() const {
  return suggest::steepest(recorded_history());
}

template <class T>
void Finder<T>::set_rates(const Suggestion& suggestion) {
  detail::set_rates(state_->setup.optimizer(),
                    state_->group_rates(suggestion.lr, suggestion.index));
}

template <class T>
void Finder<T>::plot(const std::string& path) const {
  plot(path, PlotOptions());
}
template <class T>
void Finder<T>::plot(const std::string& path, const PlotOptions& options) const {
  lrfinder::plot(recorded_history(), path, options);
}
template <class T>
void Finder<T>::plot(std::ostream& out) const {
  plot(out, PlotOptions());
}
template <class T>
void Finder<T>::plot(std::ostream& out, const PlotOptions& options) const {
  lrfinder::plot(recorded_history(), out, options);
}

template <class T>
void Finder<T>::reset() {
  if (auto saved = std::exchange(state_->saved, nullptr)) saved->restore();
}

}  // namespace lrfinder::detail
