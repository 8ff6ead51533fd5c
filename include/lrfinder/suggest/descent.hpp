#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/suggest/numeric.hpp>

namespace lrfinder {

/// The descent of the paired loss (History::paired_loss) on a curve: the learning rates at which
/// the descent begins, is steepest and ends, and how far it stands out of the noise. Read by
/// suggest::steepest and bounds.
///
/// The losses are smoothed without lag (detail::kernel_smoothed). The descent ends at the lowest
/// smoothed loss. A limit keeps a divergence from reaching into the descent through the kernel: the
/// highest loss before the lowest one, plus four times the difference of the two. Higher losses,
/// and losses that are not finite, count as this limit. The first loss is never the lowest.
///
/// Learning rates are given as `log10 lr`, distances in decades. If the loss is scaled,
/// only depth() changes. If the loss is shifted, only relative_depth() changes.
class Descent {
 public:
  /// Reads `history.lr` and `history.paired_loss()`. Leaves out iterations whose rate is not
  /// positive and finite. `reader`: the name of the recipe, for error messages.
  ///
  /// Throws NoSuggestion if fewer than three losses are finite, or if the smoothed loss never
  /// falls. Throws InvalidHistory if the columns differ in length. O(n log n).
  Descent(const History& history, const std::string& reader) {
    take_points(history, reader);
    limit_losses();
    smooth();
    find_landmarks(reader);
    measure_noise();
  }

  /// The lowest learning rate of the test.
  double first_log_lr() const noexcept { return log_lr_.front(); }
  /// The highest learning rate of the test.
  double last_log_lr() const noexcept { return log_lr_.back(); }
  /// The rate at which the smoothed loss has fallen by 5 % of depth().
  double onset_log_lr() const noexcept { return at_share(0.05); }
  /// The rate at which the smoothed loss falls fastest per decade of the learning rate.
  double steepest_log_lr() const noexcept { return grid_[steepest_]; }
  /// The rate at which the smoothed loss has fallen by 50 % of depth().
  double half_done_log_lr() const noexcept { return at_share(0.5); }
  /// The rate at which the smoothed loss has fallen by 95 % of depth().
  double nearly_done_log_lr() const noexcept { return at_share(0.95); }
  /// The rate at which the smoothed loss is lowest.
  double lowest_log_lr() const noexcept { return grid_[lowest_]; }

  /// The distance, in decades, from lowest_log_lr() to the rate at which the smoothed loss has
  /// risen again by half of depth(). Infinity if the loss does not rise that far.
  double rise_decades() const noexcept {
    for (std::size_t i = lowest_; i < grid_.size(); ++i) {
      if (plateau_ - smoothed_[i] < depth_ / 2) return grid_[i] - lowest_log_lr();
    }
    return std::numeric_limits<double>::infinity();
  }

  /// The distance, in decades, between successive iterations near a learning rate.
  double decades_per_iteration(double log_lr) const {
    const std::size_t i = detail::nearest_index(log_lr_, log_lr);
    const std::size_t left = i > 0 ? i - 1 : 0, right = std::min(i + 1, log_lr_.size() - 1);
    return (log_lr_[right] - log_lr_[left]) / static_cast<double>(right - left);
  }

  /// How far the smoothed loss falls from its plateau to its lowest value. The plateau is the
  /// median of the smoothed loss over the first half of the decades that lead to the lowest value.
  double depth() const noexcept { return depth_; }
  /// depth() divided by the absolute value of the plateau.
  double relative_depth() const noexcept { return depth_ / std::fabs(plateau_); }
  /// depth() divided by the standard deviation of the noise of a single loss in the descent.
  double signal_to_noise() const noexcept { return depth_ / noise_; }

  /// depth() divided by the standard error of the smoothed loss at `log_lr`. This error counts at
  /// most 25 losses as independent: neighbouring losses come from the same training.
  double standard_errors(double log_lr) const {
    constexpr double max_independent = 25;
    constexpr double min_weight = 1e-3;
    double weights = 0, squared_weights = 0, variance = 0;
    const auto add = [&](std::size_t i, double weight) {
      weights += weight;
      squared_weights += weight * weight;
      variance += weight * variance_[i];
    };
    for (std::size_t i = 0; i < log_lr_.size() && log_lr_[i] <= lowest_log_lr(); ++i) {
      const double distance = (log_lr_[i] - log_lr) / kernel_width;
      add(i, std::exp(-distance * distance / 2));
    }
    if (weights < min_weight) {  // all losses are far away, so the nearest one is used
      weights = squared_weights = variance = 0;
      add(detail::nearest_index(log_lr_, log_lr), 1);
    }
    const double independent = std::min(weights * weights / squared_weights, max_independent);
    return depth_ / std::sqrt(variance / weights / independent);
  }

 private:
  static constexpr double kernel_width = 0.27;            // in decades
  static constexpr double grid_step = kernel_width / 10;  // between points of the curve

  void take_points(const History& history, const std::string& reader) {
    const std::vector<double> losses = history.paired_loss();
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < history.size(); ++i) {
      if (history.lr[i] > 0 && std::isfinite(history.lr[i])) order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return history.lr[a] < history.lr[b]; });
    std::size_t finite = 0;
    for (const std::size_t i : order) {
      const double loss = losses[i];
      finite += std::isfinite(loss) ? 1U : 0U;
      log_lr_.push_back(std::log10(history.lr[i]));
      loss_.push_back(std::isfinite(loss) ? loss : std::numeric_limits<double>::infinity());
    }
    if (finite < 3) {
      throw NoSuggestion(detail::concat(
          reader, ": the curve has ", finite,
          " finite losses, but a descent needs 3; lower start_lr if the test diverged at once, "
          "otherwise raise num_iter"));
    }
  }

  void limit_losses() {
    constexpr double headroom = 4;
    const auto bottom = std::min_element(loss_.begin() + 1, loss_.end());
    double top = *bottom;
    for (auto loss = loss_.begin(); loss != bottom; ++loss) {
      if (std::isfinite(*loss)) top = std::max(top, *loss);
    }
    const double limit = top + headroom * (top - *bottom);
    for (double& loss : loss_) loss = std::min(loss, limit);
  }

  void smooth() {
    const double decades = log_lr_.back() - log_lr_.front();
    const auto steps =
        std::max(std::size_t{2}, static_cast<std::size_t>(std::ceil(decades / grid_step)));
    for (std::size_t i = 0; i <= steps; ++i) {
      grid_.push_back(log_lr_.front() +
                      decades * static_cast<double>(i) / static_cast<double>(steps));
    }
    smoothed_ = detail::kernel_smoothed(log_lr_, loss_, kernel_width, grid_);
  }

  void find_landmarks(const std::string& reader) {
    lowest_ = detail::argmin(smoothed_);
    const auto half_way = static_cast<std::ptrdiff_t>(lowest_ / 2 + 1);
    plateau_ = detail::quantile({smoothed_.begin(), smoothed_.begin() + half_way}, 0.5);
    depth_ = plateau_ - smoothed_[lowest_];
    const double rounding = 1e-12 * std::fabs(plateau_);
    if (lowest_ == 0 || !(depth_ > rounding)) {
      throw NoSuggestion(reader +
                         ": the loss never falls below where it starts; lower start_lr if it rises "
                         "from there, raise end_lr if it stays level");
    }
    std::vector<double> gradient = detail::index_gradient(smoothed_);
    gradient.resize(lowest_ + 1);
    steepest_ = detail::argmin(gradient);
  }

  /// Estimates the variance of each loss from its distance to the line between its two neighbours
  /// (Gasser, Sroka & Jennen-Steinmetz 1986). Needs no smoothing. A constant slope adds nothing.
  void measure_noise() {
    const std::size_t last = loss_.size() - 1;
    variance_.resize(loss_.size());
    for (std::size_t i = 1; i < last; ++i) {
      const double span = log_lr_[i + 1] - log_lr_[i - 1];
      const double left = span > 0 ? (log_lr_[i + 1] - log_lr_[i]) / span : 0.5;
      const double residual = loss_[i] - left * loss_[i - 1] - (1 - left) * loss_[i + 1];
      variance_[i] = residual * residual / (1 + left * left + (1 - left) * (1 - left));
    }
    variance_.front() = variance_[1];
    variance_.back() = variance_[last - 1];

    // The median ignores outliers. For a squared normal deviate it is 0.455 of the variance.
    constexpr double median_of_square = 0.455;
    const auto end =
        std::upper_bound(log_lr_.begin(), log_lr_.end(), lowest_log_lr()) - log_lr_.begin();
    noise_ = std::sqrt(detail::quantile({variance_.begin(), variance_.begin() + end}, 0.5) /
                       median_of_square);
  }

  double at_share(double share) const noexcept {
    std::size_t i = 0;
    while (i < lowest_ && !(plateau_ - smoothed_[i] >= share * depth_)) ++i;
    return grid_[i];
  }

  std::vector<double> log_lr_, loss_;      // of the iterations, sorted by rate
  std::vector<double> variance_;           // of each loss
  std::vector<double> grid_, smoothed_;    // rates and losses of the smoothed curve
  std::size_t steepest_ = 0, lowest_ = 0;  // indices in grid_
  double plateau_ = 0, depth_ = 0, noise_ = 0;
};

}  // namespace lrfinder
