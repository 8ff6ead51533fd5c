#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <c10/util/ScopeExit.h>
#include <torch/torch.h>

#include <lrfinder/communicator.hpp>
#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/csv.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/suggestion.hpp>
#include <lrfinder/search/trial_runner.hpp>
#include <lrfinder/snapshot/random_state.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/training/training.hpp>

/// @file
/// A search in which each of several processes trains trials of its own. `<lrfinder/lrfinder.hpp>`
/// does not include this header, because few programs need it.

namespace lrfinder {
namespace detail {

/// Trains trials on all ranks, each rank alone on its own copy of the model. All trials start from
/// the state of rank 0.
///
/// During the trials the ranks meet now and then. In a meeting they learn who has failed. Meetings
/// also keep a collective from waiting for a whole trial, because process groups have timeouts.
class ParallelTrials final : public TrialRunner {
 public:
  explicit ParallelTrials(std::shared_ptr<Communicator> ranks) : ranks_(std::move(ranks)) {}

  std::int64_t processes() const override { return ranks_->size(); }
  bool reports() const override { return ranks_->rank() == 0; }

  /// In the end, restores each rank's own state. If the search throws, tells the other ranks.
  void host(const std::function<void()>& search) override {
    session_.emplace(ranks_);
    const auto forget = c10::make_scope_exit([this] { session_.reset(); });  // it holds tensors
    trained_.clear();
    session_->run([&] {
      try {
        search();
      } catch (...) {
        if (const auto own = std::exchange(own_, nullptr)) restore_after_exception(*own);
        throw;
      }
    });
  }

  /// Gives every rank the parameters, buffers, optimizer state and random numbers of rank 0.
  ///
  /// Throws InvalidOption on a rank whose settings, tensors or batches differ from those of rank 0.
  void begin(TrainingSetup& setup, const Fingerprint& settings) override {
    own_ = setup.save_in_place();
    metrics_.clear();
    const TrainingSettings& all = setup.settings();
    for (const auto& metric : all.options.metrics()) metrics_.insert(metric.first);
    if (!all.validates && all.options.gradient_scaler().enabled()) metrics_.insert("skipped_step");
    Fingerprint fingerprint = settings;
    // Losses of different ranks can be compared only if they are means over the same number of
    // batches. Ranks that train together need not agree on this number.
    if (setup.settings().validates) {
      fingerprint.add("val_batches", setup.settings().max_val_batches());
    }
    // With Snapshot::device the gradients have been set aside. Without it they stay, zeroed. A zero
    // gradient still lets weight decay or momentum update the parameter.
    for (const ModuleHandle& module : setup.trained().modules) {
      module.each_parameter([&](const torch::Tensor& parameter) {
        fingerprint.add("whether a parameter has a gradient", parameter.grad().defined());
      });
    }
    fingerprint.add("whether gradients are zeroed in place",
                    setup.settings().options.snapshot() != Snapshot::device);
    const RandomState random(setup.settings().placement.device);
    session_->start(fingerprint, setup.trained(), &random);
    random.restore();
    Fingerprint batches;
    setup.add_first_batches(batches);
    random.restore();
    session_->require_same(
        batches,
        "rates can be compared only on the same batches: give every rank the same data and the "
        "same sampler, not a share of the data");
  }

  /// Gives every rank the history of rank 0.
  void share(History& history) override {
    const std::string text = session_->text_of_rank_0(to_csv(history));
    if (!session_->is_rank_0()) history = from_csv(text);
  }

  /// Ranks without a trial train at rates that the search is likely to ask for next.
  std::vector<Trial> run(TrialTrainer& trainer, const std::vector<double>& rates,
                         std::int64_t updates, const std::vector<double>& likely_next) override {
    const auto ranks = static_cast<std::size_t>(session_->size());
    const auto is_new = [&](double lr) { return trained_.count({lr, updates}) == 0; };
    std::vector<double> wanted;
    for (const double lr : rates) {
      if (is_new(lr)) {
        wanted.push_back(lr);
      } else {
        trainer.skip(trained_.at({lr, updates}).updates);
      }
    }
    const std::size_t asked = wanted.size(), places = (asked + ranks - 1) / ranks * ranks;
    for (const double lr : likely_next) {
      if (wanted.size() < places && is_new(lr)) wanted.push_back(lr);
    }
    if (asked > 0) train_all(trainer, wanted, asked, updates);
    std::vector<Trial> results;
    for (const double lr : rates) results.push_back(trained_.at({lr, updates}));
    return results;
  }

  void end() override {
    const auto own = std::exchange(own_, nullptr);
    own->restore();
    session_->end();
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;

  // The numbers that a rank tells in a meeting: its trials that have ended; its updates since the
  // last meeting, in trials that the search has asked for; its seconds of waiting in the last
  // meeting, 0 unless it was in a trial; 1 if it was in a trial; then all trials. A rank writes
  // zeros for the trials of other ranks, so that the sums over all ranks have the bits of every
  // trial.
  enum : std::size_t { ended, updates_made, waited, waiting, first_trial };

  // Limits of the interval between meetings. In a meeting, all ranks wait for the last one. The
  // interval is 20 times the mean wait of the ranks that train, so that they lose about a twentieth
  // of the time. A rank without a trial waits up to an interval, plus the rest of an update or a
  // validation.
  static constexpr Seconds shortest{0.1}, longest{5};

  // Trains at these rates, some on each rank. The search has asked for the first `asked` rates.
  void train_all(TrialTrainer& trainer, const std::vector<double>& rates, std::size_t asked,
                 std::int64_t updates) {
    const auto parts = static_cast<std::size_t>(averaged_updates(updates));
    const std::size_t size = 6 + metrics_.size() + parts;
    mine_.assign(first_trial + rates.size() * size, 0);
    for (auto i = static_cast<std::size_t>(session_->rank()); i < rates.size();
         i += static_cast<std::size_t>(session_->size())) {
      write(train(trainer, rates[i], updates, i < asked), &mine_[first_trial + i * size]);
      ++mine_[ended];
    }
    std::vector<double> all;
    do {
      all = meet(trainer, /*trains=*/false);
    } while (all[ended] < static_cast<double>(rates.size()));
    for (std::size_t i = 0; i < rates.size(); ++i) {
      const Trial trial = read(&all[first_trial + i * size]);
      if (trial.updates >= 0) trained_[{rates[i], updates}] = trial;
    }
  }

  // `is_asked`: whether the search has asked for this trial. If not, an exception of user code does
  // not end the search, and the trial gets -1 updates. The code throws again when the search asks.
  Trial train(TrialTrainer& trainer, double lr, std::int64_t updates, bool is_asked) {
    try {
      return trainer.train(lr, updates, [&] {
        if (is_asked && lr > 0) ++mine_[updates_made];
        if (Clock::now() - met_ >= interval_) meet(trainer, /*trains=*/true);
      });
    } catch (const std::exception& fault) {
      const bool is_ours = dynamic_cast<const RankFailed*>(&fault) != nullptr ||
                           dynamic_cast<const SnapshotError*>(&fault) != nullptr;
      if (is_asked || is_ours) throw;
      return {lr, -1};
    }
  }

  // Meets all ranks, and returns the sums of what they tell. `trains`: true in a trial.
  std::vector<double> meet(TrialTrainer& trainer, bool trains) {
    const auto begin = Clock::now();
    std::vector<double> all = session_->sum(mine_);
    trainer.skip(static_cast<std::int64_t>(all[updates_made] - mine_[updates_made]));
    met_ = Clock::now();
    mine_[updates_made] = 0;
    mine_[waited] = trains ? Seconds(met_ - begin).count() : 0;
    mine_[waiting] = trains ? 1 : 0;
    interval_ =
        std::clamp(Seconds(20 * all[waited] / std::max(all[waiting], 1.0)), shortest, longest);
    return all;
  }

  // Writes a trial as numbers, with all metrics and parts of the loss, or none of them.
  void write(const Trial& trial, double* next) const {
    *next++ = trial.lr;
    *next++ = static_cast<double>(trial.updates);
    *next++ = trial.loss;
    *next++ = trial.unsteady ? 1 : 0;
    *next++ = static_cast<double>(trial.metrics.size());
    *next++ = static_cast<double>(trial.loss_parts.size());
    for (const auto& [name, value] : trial.metrics) *next++ = value;
    std::copy(trial.loss_parts.begin(), trial.loss_parts.end(), next);
  }

  Trial read(const double* next) const {
    Trial trial{next[0], static_cast<std::int64_t>(next[1]), next[2]};
    trial.unsteady = next[3] > 0;
    const bool has_metrics = next[4] > 0;
    const auto parts = static_cast<std::ptrdiff_t>(next[5]);
    next += 6;
    if (has_metrics) {
      for (const std::string& name : metrics_) trial.metrics[name] = *next++;
    }
    trial.loss_parts.assign(next, next + parts);
    return trial;
  }

  std::shared_ptr<Communicator> ranks_;
  std::optional<Session> session_;                            // of the present search
  std::unique_ptr<SavedState> own_;                           // of this rank, while a search runs
  std::map<std::pair<double, std::int64_t>, Trial> trained_;  // by rate and updates
  std::set<std::string> metrics_;
  std::vector<double> mine_ = std::vector<double>(first_trial);  // what this rank tells
  Seconds interval_ = shortest;
  Clock::time_point met_ = Clock::now();
};

}  // namespace detail

/// A runner that trains the trials of a search on all ranks. Each rank trains trials of its own,
/// alone, on its own copy of the model and its own device. For a model that one process will train.
///
///     auto ranks = lrfinder::communicator(group);  // <lrfinder/distributed.hpp>
///     finder.find(*loader, lrfinder::FindOptions(plan).trial_runner(
///                              lrfinder::parallel_trials(ranks)));
///
/// Every rank calls find() with the same options and data. All ranks get the same result, with the
/// same bits as from one process. Range tests run on all ranks alike. The search starts from the
/// model, the optimizer and the random numbers of rank 0. In the end each rank gets its own state
/// back. Up to seven trials run at a time: three that the search needs, and those that it is likely
/// to need next. If all ranks train the model together, set TrainingOptions::data_parallel instead.
/// Throws InvalidOption if `ranks` is null.
inline std::shared_ptr<TrialRunner> parallel_trials(std::shared_ptr<Communicator> ranks) {
  if (!ranks) throw InvalidOption("parallel_trials: the communicator is null; make one first");
  return std::make_shared<detail::ParallelTrials>(std::move(ranks));
}

}  // namespace lrfinder
