#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
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

/// Which rank runs which of a set of trials, as every rank knows it: each has a row of them, and
/// gets one of another's when it has none left.
class TrialAssignment {
 public:
  /// Of some ended trials, each by its number.
  using Results = std::map<std::size_t, Trial>;

  TrialAssignment(std::size_t trials, std::size_t ranks) : rows_(ranks), results_(trials) {
    for (std::size_t trial = 0; trial < trials; ++trial) rows_[trial % ranks].push_back(trial);
  }

  /// The trials of a rank in its order; the first is under way.
  const std::deque<std::size_t>& of(std::int64_t rank) const {
    return rows_[static_cast<std::size_t>(rank)];
  }

  /// Takes what each rank has ended since the last call, by rank, and gives the last trial of the
  /// longest row to each rank that has none left.
  void finish(const std::vector<Results>& ended) {
    for (std::size_t rank = 0; rank < ended.size(); ++rank) {
      for (const auto& [trial, result] : ended[rank]) {
        rows_[rank].pop_front();
        results_[trial] = result;
        ++finished_;
      }
    }
    for (auto& row : rows_) {
      const auto longest = std::max_element(rows_.begin(), rows_.end(),
                                            [](auto& a, auto& b) { return a.size() < b.size(); });
      if (!row.empty() || longest->size() < 2) continue;
      row.push_back(longest->back());
      longest->pop_back();
    }
  }

  bool is_finished() const noexcept { return finished_ == results_.size(); }

  /// The results, by trial.
  const std::vector<Trial>& results() const noexcept { return results_; }

 private:
  std::vector<std::deque<std::size_t>> rows_;  // by rank
  std::vector<Trial> results_;
  std::size_t finished_ = 0;
};

/// Ended trials as text; reads back as the same bits. Empty where there are none.
inline std::string to_text(const TrialAssignment::Results& trials) {
  std::string text;
  for (const auto& [number, trial] : trials) {
    text += std::to_string(number) + '\n' + to_text(trial.lr) + '\n' +
            std::to_string(trial.num_iter) + '\n' + to_text(trial.loss) + '\n' +
            std::to_string(trial.metrics.size()) + '\n';
    // A name may hold any byte.
    for (const auto& [name, value] : trial.metrics) {
      text += std::to_string(name.size()) + '\n' + name + to_text(value) + '\n';
    }
  }
  return text;
}

/// The trials of such a text.
inline TrialAssignment::Results trials_from(const std::string& text) {
  std::size_t begin = 0;
  const auto line = [&] {
    const std::size_t start = begin, end = text.find('\n', begin);
    begin = end + 1;
    return text.substr(start, end - start);
  };
  const auto number = [&] { return number_from<double>(line()).value(); };
  const auto count = [&] { return number_from<std::size_t>(line()).value(); };
  TrialAssignment::Results trials;
  while (begin < text.size()) {
    Trial& trial = trials[count()];
    trial.lr = number();
    trial.num_iter = number_from<std::int64_t>(line()).value();
    trial.loss = number();
    for (std::size_t metrics = count(); metrics > 0; --metrics) {
      const std::size_t size = count();
      const std::string name = text.substr(begin, size);
      begin += size;
      trial.metrics[name] = number();
    }
  }
  return trials;
}

/// Runs sets of trials on all ranks of a session; every rank calls it alike, and gets the same
/// results.
///
/// While they train, the ranks meet every now and then, to learn which trials have ended, so that a
/// rank whose trials diverge early soon has one of another's, and who has failed. When they meet
/// decides which rank runs which trial, and nothing else.
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
      const auto& mine = trials.of(session_.rank());
      if (ended_.size() == mine.size()) {
        meet(trials, /*trains=*/false);
        continue;
      }
      const std::size_t trial = mine[ended_.size()];
      Trial result = run_trial_(rates[trial], num_iter, [&] {
        ++updates_;
        if (Clock::now() - met_ >= interval_) meet(trials, /*trains=*/true);
      });
      ended_[trial] = std::move(result);
    }
    return trials.results();
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;

  // In a meeting all wait for the one that comes last, so they meet the less often the longer those
  // that train have waited in the last one but one: about a twentieth of the time is lost, more
  // where the longest interval is too short for that. A rank without a trial waits for so long, and
  // the rest of an update or a validation.
  static constexpr Seconds shortest{0.1}, longest{5};

  // `trains`: whether this rank is in the middle of a trial.
  void meet(TrialAssignment& trials, bool trains) {
    const auto begin = Clock::now();
    const auto updates = static_cast<double>(std::exchange(updates_, 0));
    const auto [sums, texts] = session_.exchange({updates, waited_, waited_ > 0 ? 1.0 : 0.0},
                                                 to_text(std::exchange(ended_, {})));
    on_others_(static_cast<std::int64_t>(sums[0] - updates));
    std::vector<TrialAssignment::Results> ended;
    for (const std::string& text : texts) ended.push_back(trials_from(text));
    trials.finish(ended);
    met_ = Clock::now();
    waited_ = trains ? Seconds(met_ - begin).count() : 0;
    interval_ = std::clamp(Seconds(20 * sums[1] / std::max(sums[2], 1.0)), shortest, longest);
  }

  Session& session_;
  RunTrial run_trial_;
  std::function<void(std::int64_t)> on_others_;
  // Of this rank, since the last meeting.
  std::int64_t updates_ = 0;
  TrialAssignment::Results ended_;
  double waited_ = 0;  // seconds in the last meeting, where it was in a trial
  Seconds interval_ = shortest;
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
      if (!together.alone() && !apart.alone()) {
        throw InvalidOption(
            "LRFinder: with ranks() in the options of the range test the ranks train each trial "
            "together, with ranks() in those of the search each trains trials of its own; leave "
            "one of them out");
      }
      return together.run(search);
    });
  }

  /// Ends it: a failure after it does not concern the other ranks.
  void end() {
    together.end();
    apart.end();
  }
};

}  // namespace lrfinder::detail
