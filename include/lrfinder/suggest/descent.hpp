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

/// The descent of a raw loss: where it begins, is steepest, is done, and whether it is more than
/// noise. What suggest::steepest and suggest::bounds are read off.
///
/// The losses are smoothed without lag by a kernel of 0.27 decades (KernelSmoothing). Two
/// things keep what comes after a divergence out of what came before: nothing right of the lowest
/// smoothed loss is looked at, and a loss counts for at most four times the range of the losses up
/// to the smallest one (twice would do); one that is not finite counts for just that. Every
/// figure is unchanged, or scales, when the loss is scaled or, but for relative_depth(), shifted.
class Descent {
 public:
  /// Reads `history.raw_loss`. `reader` is who asks, for the messages.
  ///
  /// Throws NoSuggestion where fewer than three losses are finite or the smoothed loss never falls.
  /// O(n log n), O(n) where the learning rates are sorted.
  Descent(const History& history, const std::string& reader) {
    take_points(history, reader);
    clip_losses();
    smooth();
    find_landmarks(reader);
    measure_noise();
  }

  /// The first learning rate; as all here it is given as \f$\log_{10} lr\f$.
  double first_log_lr() const noexcept { return log_lr_.front(); }
  /// The last learning rate.
  double last_log_lr() const noexcept { return log_lr_.back(); }
  /// Where the first 5 % of the descent are done.
  double onset_log_lr() const noexcept { return at_share(0.05); }
  /// Where the smoothed loss falls fastest, per decade of the learning rate.
  double steepest_log_lr() const noexcept { return grid_[steepest_]; }
  /// Where half of the descent is done.
  double half_done_log_lr() const noexcept { return at_share(0.5); }
  /// Where 95 % of the descent are done.
  double nearly_done_log_lr() const noexcept { return at_share(0.95); }
  /// Where the smoothed loss is lowest.
  double lowest_log_lr() const noexcept { return grid_[lowest_]; }
  /// Decades from the lowest smoothed loss to where half of the descent is lost again; infinity
  /// where that does not happen.
  double rise_decades() const noexcept {
    const auto lost = [&](double loss) { return plateau_ - loss < depth_ / 2; };
    const auto begin = smoothed_.begin() + static_cast<std::ptrdiff_t>(lowest_);
    const auto found = std::find_if(begin, smoothed_.end(), lost);
    if (found == smoothed_.end()) return std::numeric_limits<double>::infinity();
    return grid_[static_cast<std::size_t>(found - smoothed_.begin())] - lowest_log_lr();
  }

  /// Decades from one iteration to the next around a learning rate.
  double step(double log_lr) const {
    const std::size_t i = nearest(log_lr);
    const std::size_t left = i > 0 ? i - 1 : 0, right = std::min(i + 1, log_lr_.size() - 1);
    return (log_lr_[right] - log_lr_[left]) / static_cast<double>(right - left);
  }

  /// How far the smoothed loss falls, from its plateau (its median over the first half of the way
  /// to the lowest, in decades) to the lowest.
  double depth() const noexcept { return depth_; }
  /// The depth as a share of the plateau: what is learnt of all that a loss above 0 can learn.
  double relative_depth() const noexcept { return depth_ / std::fabs(plateau_); }
  /// The depth over the standard deviation of a single loss on the way down (the median, so that
  /// single outliers do not count).
  double signal_to_noise() const noexcept { return depth_ / noise_; }
  /// The depth over the standard error of the smoothed loss around a learning rate.
  ///
  /// At most 25 losses count as independent: neighbours come from one training.
  double standard_errors(double log_lr) const {
    double weights = 0, squared_weights = 0, variance = 0;
    const auto add = [&](std::size_t i, double weight) {
      weights += weight;
      squared_weights += weight * weight;
      variance += weight * variance_[i];
    };
    for (std::size_t i = 0; i < log_lr_.size() && log_lr_[i] <= lowest_log_lr(); ++i) {
      const double distance = (log_lr_[i] - log_lr) / width;
      add(i, std::exp(-distance * distance / 2));
    }
    if (weights < 1e-3) {  // no loss near: the nearest one speaks
      weights = squared_weights = variance = 0;
      add(nearest(log_lr), 1);
    }
    const double independent = std::min(weights * weights / squared_weights, 25.0);
    return depth_ / std::sqrt(variance / weights / independent);
  }

 private:
  static constexpr double width = 0.27;  // of the kernel, in decades

  void take_points(const History& history, const std::string& reader) {
    std::vector<std::size_t> order;
    std::size_t finite = 0;
    for (std::size_t i = 0; i < history.size(); ++i) {
      if (!(history.lr[i] > 0)) continue;
      order.push_back(i);
      finite += std::isfinite(history.raw_loss[i]) ? 1U : 0U;
    }
    if (finite < 3) {
      throw NoSuggestion(reader + ": the curve has " + std::to_string(finite) +
                         " finite losses, but a descent needs 3; lower start_lr if the test "
                         "diverged at once, otherwise raise num_iter");
    }
    const auto by_lr = [&](auto a, auto b) { return history.lr[a] < history.lr[b]; };
    if (!std::is_sorted(order.begin(), order.end(), by_lr)) {
      std::stable_sort(order.begin(), order.end(), by_lr);
    }
    for (const std::size_t i : order) {
      lr_.push_back(history.lr[i]);
      log_lr_.push_back(std::log10(history.lr[i]));
      loss_.push_back(history.raw_loss[i]);
    }
  }

  void clip_losses() {
    const auto finite_or = [](double loss, double otherwise) {
      return std::isfinite(loss) ? loss : otherwise;
    };
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const auto bottom = std::min_element(loss_.begin(), loss_.end(), [&](double a, double b) {
      return finite_or(a, infinity) < finite_or(b, infinity);
    });
    double top = *bottom;
    for (auto loss = loss_.begin(); loss != bottom; ++loss) {
      top = std::max(top, finite_or(*loss, top));
    }
    const double ceiling = top + 4 * (top - *bottom);
    for (double& loss : loss_) loss = std::min(finite_or(loss, ceiling), ceiling);
  }

  void smooth() {
    const double decades = log_lr_.back() - log_lr_.front();
    const auto steps =
        std::max(std::size_t{2}, static_cast<std::size_t>(std::ceil(decades / (width / 10))));
    const KernelSmoothing smoothed(lr_, loss_, width);
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
    const std::vector<double> gradient = index_gradient(smoothed_);
    steepest_ = static_cast<std::size_t>(
        std::min_element(gradient.begin(),
                         gradient.begin() + static_cast<std::ptrdiff_t>(lowest_ + 1)) -
        gradient.begin());
  }

  /// The variance of each loss, from how far it is from the line between its two neighbours
  /// (Gasser, Sroka & Jennen-Steinmetz 1986): it needs no smoothing, and a slope adds nothing.
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

    const auto end =
        std::upper_bound(log_lr_.begin(), log_lr_.end(), lowest_log_lr()) - log_lr_.begin();
    // The median of a squared normal deviate is 0.455 of its variance.
    noise_ = std::sqrt(quantile({variance_.begin(), variance_.begin() + end}, 0.5) / 0.455);
  }

  double at_share(double share) const noexcept {
    const auto done = [&](double loss) { return plateau_ - loss >= share * depth_; };
    return grid_[static_cast<std::size_t>(
        std::find_if(smoothed_.begin(), smoothed_.begin() + static_cast<std::ptrdiff_t>(lowest_),
                     done) -
        smoothed_.begin())];
  }

  std::size_t nearest(double log_lr) const {
    const auto nearer = [=](double a, double b) {
      return std::fabs(a - log_lr) < std::fabs(b - log_lr);
    };
    return static_cast<std::size_t>(std::min_element(log_lr_.begin(), log_lr_.end(), nearer) -
                                    log_lr_.begin());
  }

  std::vector<double> lr_, log_lr_, loss_;  // the iterations, by learning rate
  std::vector<double> variance_;            // of each loss
  std::vector<double> grid_, smoothed_;     // the smoothed curve, every tenth of a width
  std::size_t steepest_ = 0, lowest_ = 0;   // in the grid
  double plateau_ = 0, depth_ = 0, noise_ = 0;
};

}  // namespace lrfinder
