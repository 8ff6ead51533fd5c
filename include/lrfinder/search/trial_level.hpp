#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>

namespace lrfinder::detail {

/// The losses of all trials of one length. The key is the logarithm (base 10) of the rate. The loss
/// is infinite if the trial diverged. The functions need at least one trial.
struct TrialLevel {
  /// Optimizer updates of each trial.
  std::int64_t updates = 0;
  /// Distance between neighbouring rates, in decades.
  double spacing = 0;
  std::map<double, double> losses{};
  /// The loss without training, on the batches that give the losses of the trials.
  double untrained_loss = 0;

  double lowest_log_lr() const { return losses.begin()->first; }
  double highest_log_lr() const { return losses.rbegin()->first; }

  double best_loss() const { return best()->second; }
  /// The log lr of the lowest loss; of the lowest rate if all trials diverged.
  double best_tried() const { return best()->first; }

  /// The loss at a log lr, on the line between its neighbours; NaN if one of them is missing.
  double loss_between(double log_lr) const {
    const Tried above = losses.lower_bound(log_lr);
    if (above != losses.end() && above->first == log_lr) return above->second;
    if (above == losses.begin() || above == losses.end()) return std::nan("");
    const Tried below = std::prev(above);
    const double share = (log_lr - below->first) / (above->first - below->first);
    return below->second + share * (above->second - below->second);
  }

  /// The log lr of the best rate: the lowest point of a parabola through the lowest loss and its
  /// neighbours, at most half of the way to a neighbour. If the next higher rate diverged, the
  /// result is a quarter of the spacing below best_tried(). If a neighbour is missing, it is
  /// best_tried().
  double best_log_lr() const {
    if (!is_bracketed()) return best_tried() - (diverges_next() ? spacing / 4 : 0);
    const auto [a, rise_a] = from_best(std::prev(best()));
    const auto [b, rise_b] = from_best(std::next(best()));
    const double slope = 2 * (rise_a * b - rise_b * a);
    if (slope == 0) return best_tried();
    return best_tried() + std::clamp((rise_a * b * b - rise_b * a * a) / slope, a / 2, b / 2);
  }

  /// The curvature of that parabola: the rise of the loss divided by the square of the distance in
  /// decades. 0 if there is no parabola.
  double curvature() const {
    if (!is_bracketed()) return 0;
    const auto [a, rise_a] = from_best(std::prev(best()));
    const auto [b, rise_b] = from_best(std::next(best()));
    return (rise_a / a - rise_b / b) / (a - b);
  }

 private:
  using Tried = std::map<double, double>::const_iterator;

  Tried best() const {
    return std::min_element(losses.begin(), losses.end(),
                            [](const auto& a, const auto& b) { return a.second < b.second; });
  }

  bool is_bracketed() const {
    const Tried at = best();
    return at != losses.begin() && std::next(at) != losses.end() &&
           std::isfinite(from_best(std::prev(at)).second) &&
           std::isfinite(from_best(std::next(at)).second);
  }

  bool diverges_next() const {
    const Tried above = std::next(best());
    return std::isfinite(best()->second) && above != losses.end() && std::isinf(above->second);
  }

  // Returns the distance from the best rate in decades, and the rise of the loss.
  std::pair<double, double> from_best(Tried other) const {
    return {other->first - best_tried(), other->second - best_loss()};
  }
};

}  // namespace lrfinder::detail
