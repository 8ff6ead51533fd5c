#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/error.hpp>

namespace lrfinder {

/// Exponential smoothing of a loss, one value at a time.
///
/// \f$s_0 = l_0,\; s_i = f\,l_i + (1-f)\,s_{i-1}\f$, as in pytorch-lr-finder. On a steady descent
/// the smoothed loss lags behind by \f$(1-f)/f\f$ values, 19 at a range test's default of 0.05.
class ExponentialSmoothing {
 public:
  /// `smooth_f`: the weight of the new value, in [0, 1); 0 turns smoothing off.
  ///
  /// Throws InvalidOption when it is out of range.
  explicit ExponentialSmoothing(double smooth_f) : new_weight_(smooth_f > 0 ? smooth_f : 1) {
    if (!(smooth_f >= 0 && smooth_f < 1)) {
      throw InvalidOption("smoothing: smooth_f (" + detail::to_text(smooth_f) +
                          ") must be at least 0, which turns smoothing off, and less than 1");
    }
  }

  /// The smoothed loss after `loss`.
  double operator()(double loss) {
    smoothed_ = first_ ? loss : new_weight_ * loss + (1 - new_weight_) * smoothed_;
    first_ = false;
    return smoothed_;
  }

 private:
  double new_weight_;
  double smoothed_ = 0;
  bool first_ = true;
};

/// Exponential smoothing with bias correction, one value at a time.
///
/// \f$v_{-1} = 0,\; v_i = f\,l_i + (1-f)\,v_{i-1},\; s_i = v_i / (1 - (1-f)^{i+1})\f$. The first
/// loss has the same weight as any other, whereas ExponentialSmoothing starts from it. Source:
/// Kingma & Ba 2015, section 3; fastai smooths its range test in this way, with \f$f = 0.02\f$.
class BiasCorrectedSmoothing {
 public:
  /// `smooth_f`: the weight of the new value, in [0, 1); 0 turns smoothing off.
  ///
  /// Throws InvalidOption when it is out of range.
  explicit BiasCorrectedSmoothing(double smooth_f)
      : old_weight_(smooth_f > 0 ? 1 - smooth_f : 0), average_(smooth_f) {
    average_(0);
  }

  /// The smoothed loss after `loss`.
  double operator()(double loss) {
    missing_ *= old_weight_;
    return average_(loss) / (1 - missing_);
  }

 private:
  double old_weight_;
  double missing_ = 1;  // the weight that is still on v_{-1}
  ExponentialSmoothing average_;
};

/// Exponential smoothing of a whole column; see ExponentialSmoothing. O(n).
inline std::vector<double> exponential_smoothing(const std::vector<double>& losses,
                                                 double smooth_f) {
  std::vector<double> smoothed(losses.size());
  std::transform(losses.begin(), losses.end(), smoothed.begin(), ExponentialSmoothing(smooth_f));
  return smoothed;
}

/// Bias-corrected exponential smoothing of a whole column; see BiasCorrectedSmoothing. O(n).
inline std::vector<double> bias_corrected_smoothing(const std::vector<double>& losses,
                                                    double smooth_f) {
  std::vector<double> smoothed(losses.size());
  std::transform(losses.begin(), losses.end(), smoothed.begin(), BiasCorrectedSmoothing(smooth_f));
  return smoothed;
}

namespace detail {

/// The iterations whose learning rate is positive and finite, by ascending rate; those of one rate
/// keep their order. O(n log n), O(n) where the rates are sorted.
inline std::vector<std::size_t> order_by_lr(const std::vector<double>& lr) {
  std::vector<std::size_t> order;
  order.reserve(lr.size());
  for (std::size_t i = 0; i < lr.size(); ++i) {
    if (lr[i] > 0 && std::isfinite(lr[i])) order.push_back(i);
  }
  const auto by_lr = [&](std::size_t a, std::size_t b) { return lr[a] < lr[b]; };
  if (!std::is_sorted(order.begin(), order.end(), by_lr)) {
    std::stable_sort(order.begin(), order.end(), by_lr);
  }
  return order;
}

}  // namespace detail

/// Smoothing without lag: a weighted average of the losses around a learning rate.
///
/// With \f$u = \log_{10} lr\f$ and \f$w\f$ = `width`, the smoothed loss at \f$u\f$ is
/// \f$\sum_i l_i K((u-u_i)/w) / \sum_i K((u-u_i)/w)\f$ with the Gaussian
/// \f$K(t) = e^{-t^2/2}\f$, cut off at \f$|t| = 4\f$ (Nadaraya 1964, Watson 1964). The kernel is
/// symmetric, so it does not move a descent. Its width is a distance between learning rates, so its
/// effect does not depend on the number of iterations or the schedule. Losses closer together than
/// w/10 are averaged first. That changes the width of the kernel by less than 0.1 %, and limits the
/// work for one value to 80 terms, however many losses there are.
class KernelSmoothing {
 public:
  /// `lr`, `losses`: columns of one length, in any order. Learning rates that are not positive and
  /// finite, and losses that are not finite, are left out. `width`: standard deviation of the
  /// kernel in decades of the learning rate, positive and finite.
  ///
  /// Throws InvalidOption when the width is out of range, InvalidHistory when the columns differ in
  /// length. O(n log n), O(n) where the learning rates are sorted.
  KernelSmoothing(const std::vector<double>& lr, const std::vector<double>& losses, double width)
      : width_(width) {
    if (!(width > 0 && std::isfinite(width))) {
      throw InvalidOption("smoothing: width (" + detail::to_text(width) +
                          " decades) must be positive and finite");
    }
    if (lr.size() != losses.size()) {
      throw InvalidHistory("smoothing: " + std::to_string(lr.size()) + " learning rates but " +
                           std::to_string(losses.size()) +
                           " losses; give one loss for each learning rate");
    }
    double group_start = 0;
    for (const std::size_t i : detail::order_by_lr(lr)) {
      if (!std::isfinite(losses[i])) continue;
      const double log_lr = std::log10(lr[i]);
      if (groups_.empty() || log_lr - group_start > width / 10) {
        groups_.push_back({0, 0, 0});
        group_start = log_lr;
      }
      groups_.back().add(log_lr, losses[i]);
    }
  }

  /// The smoothed loss at `lr`. In a gap where all weights are small it lies on the line between
  /// the losses on either side; outside the range of the losses it is the first or last one. NaN
  /// where there is no loss.
  double operator()(double lr) const { return at(std::log10(lr)); }

  /// The smoothed loss at \f$\log_{10} lr\f$ = `log_lr`.
  double at(double log_lr) const {
    if (groups_.empty()) return std::nan("");
    double sum = 0, weights = 0;
    for (auto group = first_after(log_lr - cutoff * width_);
         group != groups_.end() && group->log_lr < log_lr + cutoff * width_; ++group) {
      const double distance = (log_lr - group->log_lr) / width_;
      const double weight = group->count * std::exp(-distance * distance / 2);
      sum += weight * group->loss;
      weights += weight;
    }
    return weights > min_weight ? sum / weights : interpolated(log_lr);
  }

 private:
  static constexpr double cutoff = 4;  // of the kernel, in widths
  static constexpr double min_weight =
      1e-3;  // of all losses together; that of one, 3.7 widths away

  struct Group {
    double log_lr, loss, count;

    void add(double next_log_lr, double next_loss) {
      ++count;
      log_lr += (next_log_lr - log_lr) / count;
      loss += (next_loss - loss) / count;
    }
  };

  std::vector<Group>::const_iterator first_after(double log_lr) const {
    return std::upper_bound(groups_.begin(), groups_.end(), log_lr,
                            [](double value, const Group& group) { return value < group.log_lr; });
  }

  double interpolated(double log_lr) const {
    const auto right = first_after(log_lr);
    if (right == groups_.begin()) return right->loss;
    const auto left = right - 1;
    if (right == groups_.end()) return left->loss;
    const double share = (log_lr - left->log_lr) / (right->log_lr - left->log_lr);
    return left->loss + share * (right->loss - left->loss);
  }

  double width_;
  std::vector<Group> groups_;
};

/// Smoothing without lag of a whole column; see KernelSmoothing.
///
/// The result has the size of the input. It is NaN where the learning rate is not positive and
/// finite. The kernel is evaluated at both ends of each group of iterations within w/10; the others
/// lie on the line between the ends. O(n log n), O(n) where the learning rates are sorted.
inline std::vector<double> kernel_smoothing(const std::vector<double>& lr,
                                            const std::vector<double>& losses, double width) {
  const KernelSmoothing smoothed_at(lr, losses, width);
  const std::vector<std::size_t> order = detail::order_by_lr(lr);
  std::vector<double> smoothed(lr.size(), std::nan(""));
  for (std::size_t begin = 0; begin < order.size();) {
    const double left = std::log10(lr[order[begin]]);
    std::size_t end = begin + 1;
    while (end < order.size() && std::log10(lr[order[end]]) - left <= width / 10) ++end;
    const double right = std::log10(lr[order[end - 1]]);
    const double left_loss = smoothed_at.at(left);
    const double right_loss = end - begin > 1 ? smoothed_at.at(right) : left_loss;
    for (; begin < end; ++begin) {
      const double log_lr = std::log10(lr[order[begin]]);
      const double share = right > left ? (log_lr - left) / (right - left) : 0;
      smoothed[order[begin]] = left_loss + share * (right_loss - left_loss);
    }
  }
  return smoothed;
}

}  // namespace lrfinder
