#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>

namespace lrfinder::detail {

/// The losses of trials of one length, by the logarithm (base 10) of their rate; infinite where a
/// trial diverged. There is at least one.
struct TrialLevel {
  /// Optimizer updates of each trial.
  std::int64_t num_iter = 0;
  /// Distance of neighbouring rates, in decades.
  double spacing = 0;
  std::map<double, double> losses{};

  double lowest_log_lr() const { return losses.begin()->first; }
  double highest_log_lr() const { return losses.rbegin()->first; }

  double best_loss() const { return best()->second; }
  /// The rate of the lowest loss; where all diverged, the lowest rate.
  double best_tried() const { return best()->first; }

  /// The best rate, between those tried: the lowest point of a parabola over log lr, through the
  /// lowest loss and its neighbours, and at most half of the way to them. A quarter of the way down
  /// where the next rate diverged; the rate of the lowest loss where it has no neighbour on a side.
  double best_log_lr() const {
    if (!is_bracketed()) return best_tried() - (diverges_next() ? spacing / 4 : 0);
    const auto [a, rise_a] = from_best(std::prev(best()));
    const auto [b, rise_b] = from_best(std::next(best()));
    const double slope = 2 * (rise_a * b - rise_b * a);
    if (slope == 0) return best_tried();
    return best_tried() + std::clamp((rise_a * b * b - rise_b * a * a) / slope, a / 2, b / 2);
  }

  /// The rise of the loss on that parabola, over the square of the distance in decades; 0 where
  /// there is no parabola.
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
           std::isfinite(std::next(at)->second) && std::isfinite(at->second);
  }

  bool diverges_next() const {
    const Tried above = std::next(best());
    return std::isfinite(best()->second) && above != losses.end() && std::isinf(above->second);
  }

  // Decades from the best, and the rise of the loss.
  std::pair<double, double> from_best(Tried other) const {
    return {other->first - best_tried(), other->second - best_loss()};
  }
};

}  // namespace lrfinder::detail
