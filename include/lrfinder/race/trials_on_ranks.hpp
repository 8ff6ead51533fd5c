#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/trial.hpp>

/// @file
/// Trials that several ranks run side by side: each rank trains its own, alone, on its own copy of
/// the model.

namespace lrfinder::detail {

/// Which rank runs which of a set of trials, as every rank knows it: each takes the next one that
/// waits, when it has none.
class TrialAssignment {
 public:
  TrialAssignment(std::size_t trials, std::size_t ranks) : of_rank_(ranks), results_(trials) {
    for (auto& trial : of_rank_) trial = next();
  }

  /// The trial of a rank; none where it has nothing to do.
  std::optional<std::size_t> of(std::int64_t rank) const {
    return of_rank_[static_cast<std::size_t>(rank)];
  }

  /// Takes the results by rank, none where a trial goes on, and gives these ranks their next
  /// trials.
  void finish(const std::vector<std::optional<Trial>>& ended) {
    for (std::size_t rank = 0; rank < ended.size(); ++rank) {
      if (!ended[rank]) continue;
      results_[*of_rank_[rank]] = *ended[rank];
      ++finished_;
      of_rank_[rank] = next();
    }
  }

  bool is_finished() const noexcept { return finished_ == results_.size(); }

  /// The results, by trial.
  const std::vector<Trial>& results() const noexcept { return results_; }

 private:
  std::optional<std::size_t> next() {
    if (begun_ == results_.size()) return std::nullopt;
    return begun_++;
  }

  std::vector<std::optional<std::size_t>> of_rank_;
  std::vector<Trial> results_;
  std::size_t begun_ = 0, finished_ = 0;
};

/// A trial as text; reads back as the same bits.
inline std::string to_text(const Trial& trial) {
  std::string text =
      to_text(trial.lr) + '\n' + std::to_string(trial.num_iter) + '\n' + to_text(trial.loss) + '\n';
  // A name may hold any byte.
  for (const auto& [name, value] : trial.metrics) {
    text += std::to_string(name.size()) + '\n' + name + to_text(value) + '\n';
  }
  return text;
}

/// The trial of such a text.
inline Trial trial_from(const std::string& text) {
  std::size_t begin = 0;
  const auto line = [&] {
    const std::size_t start = begin, end = text.find('\n', begin);
    begin = end + 1;
    return text.substr(start, end - start);
  };
  const auto number = [&] { return number_from<double>(line()).value(); };
  Trial trial;
  trial.lr = number();
  trial.num_iter = number_from<std::int64_t>(line()).value();
  trial.loss = number();
  while (begin < text.size()) {
    const auto size = number_from<std::size_t>(line()).value();
    const std::string name = text.substr(begin, size);
    begin += size;
    trial.metrics[name] = number();
  }
  return trial;
}

/// Runs sets of trials on all ranks of a session; every rank calls it alike, and gets the same
/// results.
///
/// While they train, the ranks meet every now and then, to learn who has ended a trial, so that a
/// rank whose trial diverges early soon has another one, and who has failed. When they meet decides
/// which rank runs which trial, and nothing else.
class TrialsOnRanks {
 public:
  /// Trains at a rate for a number of updates, and calls `after_update` after each.
  using RunTrial = std::function<Trial(double lr, std::int64_t num_iter,
                                       const std::function<void()>& after_update)>;

  /// `on_others(updates)`: called with the number of updates that other ranks have taken.
  TrialsOnRanks(Session& session, RunTrial run_trial, std::function<void(std::int64_t)> on_others)
      : session_(session), run_trial_(std::move(run_trial)), on_others_(std::move(on_others)) {}

  /// Trains at each rate, for so many updates.
  std::vector<Trial> operator()(const std::vector<double>& rates, std::int64_t num_iter) {
    TrialAssignment trials(rates.size(), static_cast<std::size_t>(session_.size()));
    while (!trials.is_finished()) {
      std::optional<Trial> ended;
      if (const auto mine = trials.of(session_.rank())) {
        ended = run_trial_(rates[*mine], num_iter, [&] {
          ++updates_;
          if (Clock::now() - met_ >= interval) meet(trials, std::nullopt);
        });
      }
      meet(trials, ended);
    }
    return trials.results();
  }

 private:
  using Clock = std::chrono::steady_clock;

  // A rank without a trial waits for so long, or an update, at most. In each meeting all wait for
  // the one that comes last.
  static constexpr std::chrono::milliseconds interval{100};

  void meet(TrialAssignment& trials, const std::optional<Trial>& mine) {
    const std::int64_t updates = std::exchange(updates_, 0);
    const auto [all_updates, texts] =
        session_.exchange(static_cast<double>(updates), mine ? to_text(*mine) : "");
    on_others_(static_cast<std::int64_t>(all_updates) - updates);
    std::vector<std::optional<Trial>> ended;
    for (const std::string& text : texts) {
      ended.push_back(text.empty() ? std::nullopt : std::optional<Trial>(trial_from(text)));
    }
    trials.finish(ended);
    met_ = Clock::now();
  }

  Session& session_;
  RunTrial run_trial_;
  std::function<void(std::int64_t)> on_others_;
  std::int64_t updates_ = 0;  // of this rank, since the last meeting
  Clock::time_point met_ = Clock::now();
};

/// The ranks of a search: those that train each trial together, and those that train trials of
/// their own. This process alone in one of these senses, or in both.
struct SearchSessions {
  Session together;
  Session apart;

  /// Runs a whole search, and returns what it returns. When it throws, the other ranks are told.
  ///
  /// Throws InvalidOption where there are ranks in both senses.
  template <class Search>
  auto run(Search&& search) {
    return apart.run([&] {
      return together.run([&] {
        if (!together.alone() && !apart.alone()) {
          throw InvalidOption(
              "LRFinder: with ranks() in the options of the range test the ranks train each trial "
              "together, with ranks() in those of the search each trains trials of its own; leave "
              "one of them out");
        }
        return search();
      });
    });
  }

  /// Ends it: a failure after it does not concern the other ranks.
  void end() {
    together.end();
    apart.end();
  }
};

}  // namespace lrfinder::detail
