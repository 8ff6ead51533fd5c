#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace lrfinder::detail {

/// The change of a column from one value to the next, like `numpy.gradient(values)`. Inside it is
/// `g[i] = (y[i+1] - y[i-1])/2`. At the ends it is `g[0] = y[1] - y[0]` and `g[n-1] =
/// y[n-1] - y[n-2]`. For a single value it is 0.
///
/// `reach`: the change is computed from the values this many places before and after; at least 1.
/// Near the ends the reach is shorter.
inline std::vector<double> index_gradient(const std::vector<double>& values,
                                          std::size_t reach = 1) {
  std::vector<double> gradient(values.size());
  for (std::size_t i = 0; i < values.size() && values.size() > 1; ++i) {
    const std::size_t before = i - std::min(i, reach);
    const std::size_t after = std::min(i + reach, values.size() - 1);
    gradient[i] = (values[after] - values[before]) / static_cast<double>(after - before);
  }
  return gradient;
}

/// The derivative of `values` with respect to unevenly spaced `positions`. Inside, the result is
/// exact for parabolas. At the ends, the difference is one-sided.
///
/// With `h1 = x[i] - x[i-1]` and `h2 = x[i+1] - x[i]`:
///
///     g[i] = -h2/(h1 (h1+h2)) y[i-1] + (h2-h1)/(h1 h2) y[i] + h1/(h2 (h1+h2)) y[i+1]
///
/// The terms are added in this order, and the ends are computed in single precision, like in
/// `torch.gradient(values, spacing=[positions])`. Needs at least two values.
inline std::vector<double> uneven_gradient(const std::vector<float>& values,
                                           const std::vector<double>& positions) {
  std::vector<double> gradient(values.size());
  const auto value = [&](std::size_t i) { return static_cast<double>(values[i]); };
  const auto secant = [&](std::size_t i) {
    const auto step = static_cast<float>(positions[i + 1] - positions[i]);
    return static_cast<double>((values[i + 1] - values[i]) / step);
  };
  gradient.front() = secant(0);
  for (std::size_t i = 1; i + 1 < values.size(); ++i) {
    const double h1 = positions[i] - positions[i - 1], h2 = positions[i + 1] - positions[i];
    gradient[i] = -h2 / (h1 * (h1 + h2)) * value(i - 1) + (h2 - h1) / (h1 * h2) * value(i) +
                  h1 / (h2 * (h1 + h2)) * value(i + 1);
  }
  gradient.back() = secant(values.size() - 2);
  return gradient;
}

/// Index of the smallest value, or of the first one if several are equal. A NaN counts as the
/// smallest value, as in NumPy and PyTorch. `values`: not empty.
template <class Real>
std::size_t argmin(const std::vector<Real>& values) {
  const auto smaller = [](Real a, Real b) { return std::isnan(a) ? !std::isnan(b) : a < b; };
  return static_cast<std::size_t>(std::min_element(values.begin(), values.end(), smaller) -
                                  values.begin());
}

/// The value below which a share of the values lies, interpolated linearly as in `numpy.quantile`.
///
/// `share`: in [0, 1]; 0.5 gives the median. `values`: not empty, no NaN; may be infinite. O(n).
inline double quantile(std::vector<double> values, double share) {
  const double position = share * static_cast<double>(values.size() - 1);
  const auto below = values.begin() + static_cast<std::ptrdiff_t>(position);
  std::nth_element(values.begin(), below, values.end());
  const double fraction = position - std::floor(position);
  if (fraction == 0) return *below;
  const double above = *std::min_element(below + 1, values.end());
  return std::isfinite(above) ? *below + fraction * (above - *below) : above;
}

/// Smoothing without lag: weighted averages of the losses around learning rates.
///
/// With `u = log10 lr` and `w` = `width`, the smoothed loss at `u` is `sum(l[i]
/// K((u-u[i])/w)) / sum(K((u-u[i])/w))`. The kernel is the Gaussian `K(t) = exp(-t^2/2)`, cut
/// off at `|t| = 4` (Nadaraya 1964, Watson 1964). It is symmetric, so it does not move a
/// descent. The effect of the kernel does not depend on the number of iterations or on the
/// schedule. Losses closer together than w/10 are averaged first. This widens the kernel by less
/// than 0.1 %, and limits the work for one smoothed loss to 80 terms.
///
/// In a gap, all weights are small. There the smoothed loss is interpolated linearly between the
/// losses on either side. Outside the range of the losses it is the first or the last loss.
///
/// `log_lr`: of the losses, in ascending order. `losses`: at least one is finite; losses that are
/// not finite are left out. `width`: in decades, positive. `at`: the `log10 lr` of the
/// results.
inline std::vector<double> kernel_smoothed(const std::vector<double>& log_lr,
                                           const std::vector<double>& losses, double width,
                                           const std::vector<double>& at) {
  constexpr double cutoff = 4;         // in widths
  constexpr double min_weight = 1e-3;  // total; one loss weighs this at 3.7 widths
  struct Group {
    double log_lr, loss, count;
  };
  std::vector<Group> groups;
  double group_start = 0;
  for (std::size_t i = 0; i < log_lr.size(); ++i) {
    if (!std::isfinite(losses[i])) continue;
    if (groups.empty() || log_lr[i] - group_start > width / 10) {
      groups.push_back({0, 0, 0});
      group_start = log_lr[i];
    }
    Group& group = groups.back();
    ++group.count;
    group.log_lr += (log_lr[i] - group.log_lr) / group.count;
    group.loss += (losses[i] - group.loss) / group.count;
  }
  const auto first_after = [&](double u) {
    return std::upper_bound(groups.begin(), groups.end(), u,
                            [](double value, const Group& group) { return value < group.log_lr; });
  };
  const auto interpolated = [&](double u) {
    const auto right = first_after(u);
    if (right == groups.begin()) return right->loss;
    const auto left = right - 1;
    if (right == groups.end()) return left->loss;
    return left->loss +
           (u - left->log_lr) / (right->log_lr - left->log_lr) * (right->loss - left->loss);
  };

  std::vector<double> smoothed;
  for (const double u : at) {
    double sum = 0, weights = 0;
    for (auto group = first_after(u - cutoff * width);
         group != groups.end() && group->log_lr < u + cutoff * width; ++group) {
      const double distance = (u - group->log_lr) / width;
      const double weight = group->count * std::exp(-distance * distance / 2);
      sum += weight * group->loss;
      weights += weight;
    }
    smoothed.push_back(weights > min_weight ? sum / weights : interpolated(u));
  }
  return smoothed;
}

}  // namespace lrfinder::detail
