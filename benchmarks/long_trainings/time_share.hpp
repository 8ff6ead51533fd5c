#pragma once

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>

/// @file
/// What a learning rate is worth, measured in time. Without LibTorch.

/// Losses on the samples held back; infinite where the training diverged.
using LossByRate = std::map<double, double>;

/// The best rate by three losses around the lowest one: the lowest point of a parabola over
/// log lr. The rate of the lowest loss where it is at an edge, or beside a diverged rate. NaN where
/// all diverged.
inline double refined_best_rate(const LossByRate& losses) {
  const auto best =
      std::min_element(losses.begin(), losses.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  if (best == losses.end() || !std::isfinite(best->second)) return std::nan("");
  const auto right = std::next(best);
  if (best == losses.begin() || right == losses.end()) return best->first;
  const auto left = std::prev(best);
  const double a = std::log(left->first / best->first), b = std::log(right->first / best->first);
  const double rise_a = left->second - best->second, rise_b = right->second - best->second;
  const double vertex = (rise_a * b * b - rise_b * a * a) / (rise_a * b - rise_b * a) / 2;
  return std::isfinite(vertex) ? best->first * std::exp(std::clamp(vertex, a / 2, b / 2))
                               : best->first;
}

/// How trainings of one task by one kind of plan end.
struct PlanOutcomes {
  double untrained_loss = 0;
  std::map<int, LossByRate> by_horizon;

  int longest() const { return by_horizon.rbegin()->first; }

  /// The best rate of the longest training.
  double best_rate() const { return refined_best_rate(by_horizon.rbegin()->second); }

  /// The loss that the longest training reaches at a rate: on the line over log lr between the
  /// rates of the grid. Infinite beside a diverged rate and above the grid. Two decades below the
  /// grid the model is taken to be untrained.
  double loss_at(double lr) const {
    const LossByRate& losses = by_horizon.rbegin()->second;
    const auto right = losses.lower_bound(lr * (1 - 1e-6));
    if (!(lr > 0) || right == losses.end()) return std::numeric_limits<double>::infinity();
    if (std::fabs(std::log(right->first / lr)) < 1e-5) return right->second;
    const bool is_below = right == losses.begin();
    const double left_lr = is_below ? right->first / 100 : std::prev(right)->first;
    const double left_loss = is_below ? untrained_loss : std::prev(right)->second;
    if (!std::isfinite(left_loss) || !std::isfinite(right->second)) {
      return std::numeric_limits<double>::infinity();
    }
    const double share = std::max(0.0, std::log(lr / left_lr) / std::log(right->first / left_lr));
    return left_loss + share * (right->second - left_loss);
  }

  /// How much worse the longest training ends than with the best rate of the grid, as a share of
  /// what that gains: 0 is the best, 1 is no training, and no more counts.
  double regret(double lr) const { return regret_of_loss(loss_at(lr)); }

  /// The same of a loss that the longest training reaches: below 0 where no rate got as far.
  double regret_of_loss(double loss) const {
    double best = untrained_loss;
    for (const auto& [rate, reached] : by_horizon.rbegin()->second) best = std::min(best, reached);
    return std::min(1.0, (loss - best) / (untrained_loss - best));
  }

  /// The time share of a loss that the longest training reaches: the shortest time in which some
  /// rate reaches it, by a plan of that length, over the time of the longest training.
  ///
  /// The shortest time lies on the line over log time between two horizons. It is at least the
  /// shortest horizon, 1/30 of the longest here.
  double time_share_of_loss(double loss) const {
    double last_time = 0, last_best = std::numeric_limits<double>::infinity();
    for (const auto& [steps, losses] : by_horizon) {
      double best = last_best;  // a shorter training that did better counts
      for (const auto& [lr, value] : losses) best = std::min(best, value);
      if (best <= loss) {
        const double part =
            std::isfinite(last_best) ? (last_best - loss) / (last_best - best) : 1.0;
        const double time = last_time > 0 ? last_time * std::pow(steps / last_time, part) : steps;
        return time / longest();
      }
      last_time = steps;
      last_best = best;
    }
    return 1;
  }

  /// The time share of a learning rate.
  double time_share(double lr) const { return time_share_of_loss(loss_at(lr)); }
};
