#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>

#include <lrfinder/history/suggestion.hpp>
#include <lrfinder/search/search_constants.hpp>

namespace lrfinder::detail {

/// The standard error of the difference between the mean training losses of two trials on the same
/// batches. 0 if it is not known.
inline double noise_of_difference(const Trial& a, const Trial& b) {
  const std::size_t count = a.loss_parts.size();
  if (count < 2 || b.loss_parts.size() != count) return 0;
  const auto parts = static_cast<double>(count);
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double difference = a.loss_parts[i] - b.loss_parts[i];
    sum += difference;
    squares += difference * difference;
  }
  return std::sqrt(std::max(0.0, squares - sum * sum / parts) * parts / (parts - 1));
}

/// All trials of one length. The functions need at least one trial.
struct TrialLevel {
  /// Optimizer updates of each trial.
  std::int64_t updates = 0;
  /// Distance between neighbouring rates, in decades.
  double spacing = 0;
  /// The trials by the logarithm (base 10) of their rate. The loss is infinite if one diverged.
  std::map<double, Trial> trials{};
  /// The loss without training, on the batches that give the losses of the trials.
  double untrained_loss = 0;

  double lowest_log_lr() const { return trials.begin()->first; }
  double highest_log_lr() const { return trials.rbegin()->first; }

  double best_loss() const { return best()->second.loss; }
  /// The log lr of the lowest loss; of the lowest rate if all trials diverged.
  double best_tried() const { return best()->first; }

  /// How much the best trial lowers the loss, as a share of the untrained loss.
  double descent() const { return (untrained_loss - best_loss()) / std::fabs(untrained_loss); }
  bool descends() const { return descent() > SearchConstants::min_descent; }

  /// Whether a rate below those tried may be the best one: no rate below the best one is clearly
  /// worse. If nothing descends, lower rates will not help.
  bool is_open_below() const {
    const double tie = SearchConstants::tie * std::max(0.0, untrained_loss - best_loss());
    return descends() && !any_is_worse(trials.begin(), best(), tie);
  }
  /// Whether a rate above those tried may be the best one. Short trials favour high rates, so here
  /// any rise above the noise closes the side.
  bool is_open_above() const {
    return std::isfinite(best_loss()) && !any_is_worse(best(), trials.end(), 0);
  }

  /// The number of trials below and above the best one.
  std::ptrdiff_t below_best() const { return std::distance(trials.begin(), best()); }
  std::ptrdiff_t above_best() const { return std::distance(best(), trials.end()) - 1; }

  /// The log lr of the highest rate that hardly raises the loss; the lowest tried if all do.
  double highest_harmless() const {
    const double enough = untrained_loss + SearchConstants::min_descent * std::fabs(untrained_loss);
    const auto harmless = std::find_if(trials.rbegin(), trials.rend(), [&](const auto& tried) {
      return tried.second.loss <= enough;
    });
    return harmless == trials.rend() ? lowest_log_lr() : harmless->first;
  }

  /// The loss at a log lr, on the line between its neighbours; NaN if one of them is missing.
  double loss_between(double log_lr) const {
    const Tried above = trials.lower_bound(log_lr);
    if (above != trials.end() && above->first == log_lr) return above->second.loss;
    if (above == trials.begin() || above == trials.end()) return std::nan("");
    const Tried below = std::prev(above);
    const double share = (log_lr - below->first) / (above->first - below->first);
    return below->second.loss + share * (above->second.loss - below->second.loss);
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

  /// Half of the width of the interval around the best rate, in decades. `shorter`: the level of
  /// the short trials. A rate at the end of the interval costs about 5 % of the time: there the
  /// parabola has risen by as much as 5 % more updates would lower the loss.
  double half_of_interval(const TrialLevel& shorter) const {
    constexpr double min_width = 0.03, max_width = 0.18, usual_width = 0.048;
    const double longer =
        std::log10(static_cast<double>(updates) / static_cast<double>(shorter.updates));
    const double gain = SearchConstants::later_gain * std::log10(1.05) *
                        (shorter.best_loss() - best_loss()) / longer;
    if (!(curvature() > 0) || !(gain > 0)) return usual_width;
    return std::clamp(std::sqrt(gain / curvature()), min_width, max_width);
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
  using Tried = std::map<double, Trial>::const_iterator;

  Tried best() const {
    return std::min_element(trials.begin(), trials.end(), [](const auto& a, const auto& b) {
      return a.second.loss < b.second.loss;
    });
  }

  // Whether the loss of one of these is above the best one by more than the noise and by `rise`.
  bool any_is_worse(Tried from, Tried to, double rise) const {
    const Trial& lowest = best()->second;
    return std::any_of(from, to, [&](const auto& tried) {
      const Trial& trial = tried.second;
      return std::isinf(trial.loss) ||
             trial.loss > lowest.loss + std::max(rise, noise_of_difference(trial, lowest));
    });
  }

  bool is_bracketed() const {
    const Tried at = best();
    return at != trials.begin() && std::next(at) != trials.end() &&
           std::isfinite(from_best(std::prev(at)).second) &&
           std::isfinite(from_best(std::next(at)).second);
  }

  bool diverges_next() const {
    const Tried above = std::next(best());
    return std::isfinite(best_loss()) && above != trials.end() && std::isinf(above->second.loss);
  }

  // Returns the distance from the best rate in decades, and the rise of the loss.
  std::pair<double, double> from_best(Tried other) const {
    return {other->first - best_tried(), other->second.loss - best_loss()};
  }
};

}  // namespace lrfinder::detail
