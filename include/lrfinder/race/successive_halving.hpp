#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/recorder.hpp>
#include <lrfinder/race/resolve.hpp>
#include <lrfinder/suggest/race_result.hpp>
#include <lrfinder/suggest/recipes.hpp>

namespace lrfinder::detail {

/// A race of constant learning rates by successive halving (Jamieson & Talwalkar 2016,
/// arXiv:1502.07943): in each rung every rate that is left trains from the start, for longer than
/// in the rung before, and as many go on as half of those that it began with: the best, which may
/// be found further out.
///
/// `run_trials(rates, num_iter)` trains from the start at each of these constant rates, for
/// `num_iter` updates or up to the first loss that is not finite, and returns a RaceEntry for each.
///
/// A survivor starts again from the beginning, which costs the updates of the short rungs. But it
/// needs no copy of the model for each rate, it needs no loader that can go on in the middle of an
/// epoch, and each trial restores everything.
template <class RunTrials>
class SuccessiveHalving {
 public:
  /// Both live as long as this.
  SuccessiveHalving(const RaceSettings& settings, RunTrials& run_trials)
      : settings_(settings), run_trials_(run_trials), left_(settings.num_iter) {}

  /// Runs all rungs. Throws NoSuggestion when no rate that was tried lowers the loss.
  RaceResult operator()() {
    std::vector<double> running = settings_.candidates;
    for (rungs_left_ = settings_.rungs; rungs_left_ > 0 && !running.empty(); --rungs_left_) {
      const Rung rung = next_rung(running.size());
      std::vector<RaceEntry> reached = trials(running, rung.num_iter);
      while (reached.size() < rung.max_trials) {
        const auto lr = beyond_edge(reached);
        if (!lr) break;
        reached.push_back(trials({*lr}, rung.num_iter).front());
      }
      running = best_of(std::move(reached), (running.size() + 1) / 2);
      if (running.size() == 1) break;
    }
    return result();
  }

 private:
  using Updates = std::int64_t;

  struct Rung {
    Updates num_iter;  // of each trial
    std::size_t max_trials;
  };

  // All rungs but the last keep one trial in reserve, to look beyond an edge. For further ones they
  // take up to half of what the later rungs would get.
  Rung next_rung(std::size_t trials) const {
    const auto left = static_cast<double>(left_);
    const double own = share_of_next(rungs_left_) * left;
    const double expected = static_cast<double>(trials) + (rungs_left_ > 1 ? 1 : 0);
    const double num_iter = std::max(1.0, std::floor(own / expected));
    const double max_trials = (own + (left - own) / 2) / num_iter;
    return {static_cast<Updates>(num_iter), static_cast<std::size_t>(max_trials)};
  }

  std::vector<RaceEntry> trials(const std::vector<double>& rates, Updates num_iter) {
    std::vector<RaceEntry> entries = run_trials_(rates, num_iter);
    for (RaceEntry& entry : entries) {
      Divergence diverged(settings_.diverge_th);
      diverged(settings_.untrained_loss);
      entry.diverged = !std::isfinite(entry.loss) || diverged(entry.loss);
      left_ -= entry.num_iter;
      tried_[entry.lr] = entry;
    }
    return entries;
  }

  // The next rate outwards, where the best of a rung is the highest or lowest of all tried.
  std::optional<double> beyond_edge(const std::vector<RaceEntry>& reached) const {
    const double best = std::min_element(reached.begin(), reached.end(), better)->lr;
    if (best == tried_.begin()->first) return best / settings_.factor;
    const double higher = best * settings_.factor;
    if (best == tried_.rbegin()->first && higher <= settings_.highest_lr) return higher;
    return std::nullopt;
  }

  // Whether a rate did better than another, in as many updates. Where all diverge, the lowest did
  // best.
  static bool better(const RaceEntry& a, const RaceEntry& b) {
    if (a.diverged || b.diverged) return a.diverged == b.diverged ? a.lr < b.lr : b.diverged;
    return a.loss < b.loss;
  }

  static std::vector<double> best_of(std::vector<RaceEntry> reached, std::size_t count) {
    std::sort(reached.begin(), reached.end(), better);
    reached.resize(count);
    std::vector<double> rates;
    for (const RaceEntry& entry : reached) {
      if (!entry.diverged) rates.push_back(entry.lr);
    }
    std::sort(rates.begin(), rates.end());
    return rates;
  }

  RaceResult result() const {
    RaceResult result;
    result.recipe = "race";
    result.total_iter = settings_.num_iter - left_;
    for (const auto& [lr, entry] : tried_) result.table.push_back(entry);
    const RaceEntry& best = best_of_longest(result.table);
    if (best.diverged || !(best.loss < settings_.untrained_loss)) {
      std::ostringstream message;
      message << "race: none of the rates from " << tried_.begin()->first << " to "
              << tried_.rbegin()->first << " lowers the loss from the " << settings_.untrained_loss
              << " before training; raise the budget, or set around()";
      throw NoSuggestion(message.str());
    }
    std::tie(result.lr, result.loss) = as_low_as_tolerated(best, result.table);
    const bool lowest = result.lr == tried_.begin()->first;
    const bool highest =
        best.lr == tried_.rbegin()->first && best.lr * settings_.factor <= settings_.highest_lr;
    if (lowest || highest) {
      result.caveat = std::string("the best rate is the ") + (lowest ? "lowest" : "highest") +
                      " of those tried: raise the budget, or set around()";
    }
    return result;
  }

  static const RaceEntry& best_of_longest(const std::vector<RaceEntry>& table) {
    return *std::min_element(
        table.begin(), table.end(), [](const RaceEntry& a, const RaceEntry& b) {
          const bool same_rung = a.diverged || b.diverged || a.num_iter == b.num_iter;
          return same_rung ? better(a, b) : a.num_iter > b.num_iter;
        });
  }

  // The lowest rate down to the next below the best, and its loss, that lacks no more than the
  // tolerated share of what the best gained. Between the two the loss is taken to lie on the line
  // over log lr.
  std::pair<double, double> as_low_as_tolerated(const RaceEntry& best,
                                                const std::vector<RaceEntry>& table) const {
    const double enough = best.loss + settings_.tolerance * (settings_.untrained_loss - best.loss);
    if (&best == table.data()) return {best.lr, best.loss};
    const RaceEntry& next = *(&best - 1);
    if (next.diverged || next.num_iter != best.num_iter) return {best.lr, best.loss};
    if (next.loss <= enough) return {next.lr, next.loss};
    const double share = (enough - best.loss) / (next.loss - best.loss);
    if (share == 0) return {best.lr, best.loss};
    return {best.lr * std::pow(next.lr / best.lr, share), enough};
  }

  const RaceSettings& settings_;
  RunTrials& run_trials_;
  Updates left_;
  Updates rungs_left_ = 0;
  std::map<double, RaceEntry> tried_;  // by rate, each with its longest trial
};

}  // namespace lrfinder::detail
