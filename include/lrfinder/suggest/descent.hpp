#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/smoothing.hpp>
#include <lrfinder/suggest/numeric.hpp>

namespace lrfinder {

/// The descent of a raw loss: the learning rates at which it begins, is steepest and ends, and how
/// far it stands out of the noise. suggest::steepest and suggest::bounds read it.
///
/// The losses are smoothed without lag (KernelSmoothing), and the descent ends at the lowest
/// smoothed loss. Losses are limited, so that a divergence does not reach into the descent through
/// the kernel: a loss counts for at most the highest loss up to the lowest one, plus four times
/// their difference. A loss that is not finite counts for that limit.
///
/// Learning rates are given as \f$\log_{10} lr\f$, distances in decades. No value but the depth()
/// changes when the loss is scaled, and none but relative_depth() when it is shifted.
/// `docs/suggestion.md` says how the constants were chosen.
class Descent {
 public:
  /// Reads `history.lr` and `history.raw_loss`; iterations without a positive rate are left out.
  /// `reader`: the recipe, for messages.
  ///
  /// Throws NoSuggestion where fewer than three losses are finite or the smoothed loss never falls,
  /// InvalidHistory where the columns differ in length. O(n log n), O(n) where the learning rates
  /// are sorted.
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
  /// Where 5 % of the descent are done.
  double onset_log_lr() const noexcept { return at_share(0.05); }
  /// Where the smoothed loss falls fastest, per decade of the learning rate.
  double steepest_log_lr() const noexcept { return grid_[steepest_]; }
  /// Where 50 % of the descent are done.
  double half_done_log_lr() const noexcept { return at_share(0.5); }
  /// Where 95 % of the descent are done.
  double nearly_done_log_lr() const noexcept { return at_share(0.95); }
  /// Where the smoothed loss is lowest.
  double lowest_log_lr() const noexcept { return grid_[lowest_]; }

  /// Decades from the lowest smoothed loss to the rate at which the loss has risen again by half of
  /// the depth; infinity where it does not rise that far.
  double rise_decades() const noexcept {
    const auto risen = [&](double loss) { return plateau_ - loss < depth_ / 2; };
    const auto begin = smoothed_.begin() + static_cast<std::ptrdiff_t>(lowest_);
    const auto found = std::find_if(begin, smoothed_.end(), risen);
    if (found == smoothed_.end()) return std::numeric_limits<double>::infinity();
    return grid_[static_cast<std::size_t>(found - smoothed_.begin())] - lowest_log_lr();
  }

  /// Decades from one iteration to the next around a learning rate.
  double decades_per_iteration(double log_lr) const {
    const std::size_t i = nearest_index(log_lr_, log_lr);
    const std::size_t left = i > 0 ? i - 1 : 0, right = std::min(i + 1, log_lr_.size() - 1);
    return (log_lr_[right] - log_lr_[left]) / static_cast<double>(right - left);
  }

  /// How far the smoothed loss falls, from its plateau to its lowest. The plateau is the median of
  /// the smoothed loss over the first half, in decades, of the way to the lowest.
  double depth() const noexcept { return depth_; }
  /// The depth as a share of the plateau.
  double relative_depth() const noexcept { return depth_ / std::fabs(plateau_); }
  /// The depth over the standard deviation of a single loss during the descent.
  double signal_to_noise() const noexcept { return depth_ / noise_; }

  /// The depth over the standard error of the smoothed loss at a learning rate. At most 25 losses
  /// count as independent, because neighbouring losses come from one training.
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
    if (weights < min_weight) {  // all losses are far away: use the nearest one
      weights = squared_weights = variance = 0;
      add(nearest_index(log_lr_, log_lr), 1);
    }
    const double independent = std::min(weights * weights / squared_weights, max_independent);
    return depth_ / std::sqrt(variance / weights / independent);
  }

 private:
  static constexpr double kernel_width = 0.27;            // in decades
  static constexpr double grid_step = kernel_width / 10;  // of the smoothed curve, in decades

  void take_points(const History& history, const std::string& reader) {
    detail::require_column(history, history.raw_loss, "raw_loss");
    std::size_t finite = 0;
    for (const std::size_t i : detail::order_by_lr(history.lr)) {
      const double loss = history.raw_loss[i];
      finite += std::isfinite(loss) ? 1U : 0U;
      lr_.push_back(history.lr[i]);
      log_lr_.push_back(std::log10(history.lr[i]));
      loss_.push_back(std::isfinite(loss) ? loss : std::numeric_limits<double>::infinity());
    }
    if (finite < 3) {
      throw NoSuggestion(reader + ": the curve has " + std::to_string(finite) +
                         " finite losses, but a descent needs 3; lower start_lr if the test "
                         "diverged at once, otherwise raise num_iter");
    }
  }

  void limit_losses() {
    constexpr double headroom = 4;
    const std::size_t bottom = argmin(loss_);
    double top = loss_[bottom];
    for (std::size_t i = 0; i < bottom; ++i) {
      if (std::isfinite(loss_[i])) top = std::max(top, loss_[i]);
    }
    const double limit = top + headroom * (top - loss_[bottom]);
    for (double& loss : loss_) loss = std::min(loss, limit);
  }

  void smooth() {
    const double decades = log_lr_.back() - log_lr_.front();
    const auto steps =
        std::max(std::size_t{2}, static_cast<std::size_t>(std::ceil(decades / grid_step)));
    const KernelSmoothing smoothed(lr_, loss_, kernel_width);
    for (std::size_t i = 0; i <= steps; ++i) {
      grid_.push_back(log_lr_.front() +
                      decades * static_cast<double>(i) / static_cast<double>(steps));
      smoothed_.push_back(smoothed.at(grid_.back()));
    }
  }

  void find_landmarks(const std::string& reader) {
    lowest_ = argmin(smoothed_);
    const auto half_way = static_cast<std::ptrdiff_t>(lowest_ / 2 + 1);
    plateau_ = quantile({smoothed_.begin(), smoothed_.begin() + half_way}, 0.5);
    depth_ = plateau_ - smoothed_[lowest_];
    const double rounding = 1e-12 * std::fabs(plateau_);
    if (lowest_ == 0 || !(depth_ > rounding)) {
      throw NoSuggestion(reader +
                         ": the loss never falls below where it starts; lower start_lr if it rises "
                         "from there, raise end_lr if it stays level");
    }
    std::vector<double> gradient = index_gradient(smoothed_);
    gradient.resize(lowest_ + 1);
    steepest_ = argmin(gradient);
  }

  /// Estimates the variance of each loss from its distance to the line between its two neighbours
  /// (Gasser, Sroka & Jennen-Steinmetz 1986). That needs no smoothing, and a slope adds nothing.
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

    // The median, so that outliers do not count; that of a squared normal deviate is 0.455 of its
    // variance.
    constexpr double median_of_square = 0.455;
    const auto end =
        std::upper_bound(log_lr_.begin(), log_lr_.end(), lowest_log_lr()) - log_lr_.begin();
    noise_ =
        std::sqrt(quantile({variance_.begin(), variance_.begin() + end}, 0.5) / median_of_square);
  }

  double at_share(double share) const noexcept {
    const auto done = [&](double loss) { return plateau_ - loss >= share * depth_; };
    return grid_[static_cast<std::size_t>(
        std::find_if(smoothed_.begin(), smoothed_.begin() + static_cast<std::ptrdiff_t>(lowest_),
                     done) -
        smoothed_.begin())];
  }

  std::vector<double> lr_, log_lr_, loss_;  // the iterations, by learning rate
  std::vector<double> variance_;            // of each loss
  std::vector<double> grid_, smoothed_;     // the smoothed curve: learning rates and losses
  std::size_t steepest_ = 0, lowest_ = 0;   // indices of the grid
  double plateau_ = 0, depth_ = 0, noise_ = 0;
};

}  // namespace lrfinder
