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
#include <utility>
#include <vector>

#include <lrfinder/curve/divergence.hpp>
#include <lrfinder/curve/error.hpp>
#include <lrfinder/curve/history.hpp>
#include <lrfinder/curve/race_result.hpp>
#include <lrfinder/curve/recipes.hpp>
#include <lrfinder/training/race_settings.hpp>

namespace lrfinder::training {

/// A race of constant learning rates by successive halving (Jamieson & Talwalkar 2016,
/// arXiv:1502.07943): in each rung every rate that is left trains from the start, for longer than
/// in the rung before, and the better half goes on.
///
/// `run_heat(lr, num_iter)` trains from the start at a constant rate, for `num_iter` updates or up
/// to the first loss that is not finite, and returns a RaceEntry.
///
/// Every rung gets an equal share of the updates. That a survivor starts anew, and does not go on
/// from where it was, costs about a third of them. But it needs no copy of the model for each rate,
/// it needs no loader that can go on in the middle of an epoch, and each heat gives back all that
/// it borrowed.
template <class RunHeat>
class Race {
 public:
  /// Both live as long as this.
  Race(const RaceSettings& settings, RunHeat& run_heat)
      : settings_(settings), run_heat_(run_heat), left_(settings.num_iter) {}

  /// Runs all rungs. Throws NoSuggestion when no rate that was tried lowers the loss.
  RaceResult operator()() {
    std::vector<double> running = settings_.candidates;
    for (rungs_left_ = settings_.rungs; rungs_left_ > 0 && !running.empty(); --rungs_left_) {
      const std::int64_t num_iter = length_for(running.size());
      std::vector<RaceEntry> reached;
      for (double lr : running) reached.push_back(heat(lr, num_iter));
      while (const auto lr = beyond_edge(reached, num_iter)) reached.push_back(heat(*lr, num_iter));
      running = better_half(std::move(reached));
      if (running.size() == 1) break;
    }
    return result();
  }

 private:
  using Updates = std::int64_t;

  // All rungs but the last keep one heat in reserve, to look beyond an edge.
  Updates length_for(std::size_t heats) const {
    const auto reserve = rungs_left_ > 1 ? 1 : 0;
    return left_ / rungs_left_ / (static_cast<Updates>(heats) + reserve);
  }

  RaceEntry heat(double lr, Updates num_iter) {
    RaceEntry entry = run_heat_(lr, num_iter);
    Divergence diverged(settings_.diverge_th);
    diverged(settings_.untrained_loss);
    entry.exploded = !std::isfinite(entry.loss) || diverged(entry.loss);
    left_ -= entry.num_iter;
    tried_[lr] = entry;
    return entry;
  }

  // The next rate outwards where the best of a rung is the highest or lowest of all tried, and the
  // updates suffice for it and for later rungs that are no shorter.
  std::optional<double> beyond_edge(const std::vector<RaceEntry>& reached, Updates num_iter) const {
    const double best = std::min_element(reached.begin(), reached.end(), better)->lr;
    const Updates survivors = (static_cast<Updates>(reached.size()) + 2) / 2;
    const Updates later = (rungs_left_ - 1) * survivors * num_iter;
    if (left_ < num_iter + later) return std::nullopt;
    if (best == tried_.begin()->first) return best / settings_.factor;
    const double higher = best * settings_.factor;
    if (best == tried_.rbegin()->first && higher <= settings_.highest_lr) return higher;
    return std::nullopt;
  }

  // Whether a rate did better than another, in as many updates. Where all explode, the lowest did
  // best.
  static bool better(const RaceEntry& a, const RaceEntry& b) {
    if (a.exploded || b.exploded) return a.exploded == b.exploded ? a.lr < b.lr : b.exploded;
    return a.loss < b.loss;
  }

  static std::vector<double> better_half(std::vector<RaceEntry> reached) {
    std::sort(reached.begin(), reached.end(), better);
    reached.resize((reached.size() + 1) / 2);
    std::vector<double> rates;
    for (const RaceEntry& entry : reached) {
      if (!entry.exploded) rates.push_back(entry.lr);
    }
    std::sort(rates.begin(), rates.end());
    return rates;
  }

  RaceResult result() const {
    RaceResult result;
    result.recipe = "race";
    result.total_iter = settings_.num_iter - left_;
    for (const auto& [lr, entry] : tried_) result.table.push_back(entry);
    const RaceEntry& winner = lowest_as_good_as(best_of_longest(result.table), result.table);
    if (winner.exploded || !(winner.loss < settings_.untrained_loss)) {
      std::ostringstream message;
      message << "race: none of the rates from " << tried_.begin()->first << " to "
              << tried_.rbegin()->first << " lowers the loss from the " << settings_.untrained_loss
              << " before training; raise the budget, or set around()";
      throw NoSuggestion(message.str());
    }
    result.lr = winner.lr;
    result.loss = winner.loss;
    const bool lowest = winner.lr == tried_.begin()->first;
    const bool highest =
        winner.lr == tried_.rbegin()->first && winner.lr * settings_.factor <= settings_.highest_lr;
    if (lowest || highest) {
      result.caveat = std::string("the best rate is the ") + (lowest ? "lowest" : "highest") +
                      " of those tried: raise the budget, or set around()";
    }
    return result;
  }

  static const RaceEntry& best_of_longest(const std::vector<RaceEntry>& table) {
    return *std::min_element(
        table.begin(), table.end(), [](const RaceEntry& a, const RaceEntry& b) {
          const bool same_rung = a.exploded || b.exploded || a.num_iter == b.num_iter;
          return same_rung ? better(a, b) : a.num_iter > b.num_iter;
        });
  }

  // The lowest rate that did, in as many updates, all but the tolerated share of what the best did.
  const RaceEntry& lowest_as_good_as(const RaceEntry& best,
                                     const std::vector<RaceEntry>& table) const {
    const double enough = best.loss + settings_.tolerance * (settings_.untrained_loss - best.loss);
    const auto as_good = [&](const RaceEntry& entry) {
      return !entry.exploded && entry.num_iter == best.num_iter && entry.loss <= enough;
    };
    const auto found = std::find_if(table.begin(), table.end(), as_good);
    return found != table.end() ? *found : best;
  }

  const RaceSettings& settings_;
  RunHeat& run_heat_;
  Updates left_;
  Updates rungs_left_ = 0;
  std::map<double, RaceEntry> tried_;  // by rate, each with its longest heat
};

}  // namespace lrfinder::training
