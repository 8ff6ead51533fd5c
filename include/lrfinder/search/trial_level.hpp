#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include <lrfinder/search/search_constants.hpp>

namespace lrfinder::detail {

/// The losses of all trials of one length. The key is the logarithm (base 10) of the rate. The loss
/// is infinite if the trial diverged. The functions need at least one trial.
struct TrialLevel {
  /// Optimizer updates of each trial.
  std::int64_t updates = 0;
  /// Distance between neighbouring rates, in decades.
  double spacing = 0;
  std::map<double, double> losses{};
  /// The log lr of trials that diverged or were unsteady.
  std::set<double> unsteady{};
  /// The loss without training, on the batches that give the losses of the trials.
  double untrained_loss = 0;

  double lowest_log_lr() const { return losses.begin()->first; }
  double highest_log_lr() const { return losses.rbegin()->first; }

  double best_loss() const { return best()->second; }
  /// The log lr of the lowest loss; of the lowest rate if all trials diverged.
  double best_tried() const { return best()->first; }

  /// How much the best trial lowers the loss, as a share of the untrained loss.
  double descent() const { return (untrained_loss - best_loss()) / std::fabs(untrained_loss); }
  bool descends() const { return descent() > SearchConstants::min_descent; }

  /// Whether a rate below those tried may be the best one: no rate below the best one is clearly
  /// worse. If nothing descends, lower rates will not help. Short trials favour high rates, so
  /// above the best one any rise will do.
  bool is_open_below() const { return descends() && !rises_below(tie()); }
  /// Whether a rate above those tried may be the best one.
  bool is_open_above() const { return std::isfinite(best_loss()) && !rises_above(0); }

  /// The number of trials below and above the best one.
  std::ptrdiff_t below_best() const { return std::distance(losses.begin(), best()); }
  std::ptrdiff_t above_best() const { return std::distance(best(), losses.end()) - 1; }

  /// The log lr of the highest rate that hardly raises the loss; the lowest tried if all do.
  double highest_harmless() const {
    const double enough = untrained_loss + SearchConstants::min_descent * std::fabs(untrained_loss);
    const auto harmless = std::find_if(losses.rbegin(), losses.rend(),
                                       [&](const auto& tried) { return tried.second <= enough; });
    return harmless == losses.rend() ? lowest_log_lr() : harmless->first;
  }

  /// Whether the loss rises by more than `rise` from the best rate to some lower rate.
  bool rises_below(double rise) const {
    return std::any_of(losses.begin(), best(),
                       [&](const auto& tried) { return tried.second > best_loss() + rise; });
  }
  /// Whether it does to some higher rate.
  bool rises_above(double rise) const {
    return std::any_of(best(), losses.end(),
                       [&](const auto& tried) { return tried.second > best_loss() + rise; });
  }

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
  // By how much a loss may be above the best one and still be no worse.
  double tie() const { return SearchConstants::tie * std::max(0.0, untrained_loss - best_loss()); }

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
