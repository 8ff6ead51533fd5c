#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <type_traits>
#include <vector>

namespace lrfinder {

/// The change of a column from one value to the next: central differences inside, one-sided at
/// the ends.
///
/// \f$g_i = (y_{i+1} - y_{i-1})/2,\; g_0 = y_1 - y_0,\; g_{n-1} = y_{n-1} - y_{n-2}\f$, as
/// `numpy.gradient` of one argument. The result has the size of the input; a single value has the
/// change 0.
///
/// `reach`: how many values to either side the difference is taken over, at least 1; fewer near the
/// ends.
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

/// The derivative of `values` with respect to unevenly spaced `positions`: inside, exact for
/// parabolas; one-sided at the ends.
///
/// With \f$h_1 = x_i - x_{i-1}\f$ and \f$h_2 = x_{i+1} - x_i\f$:
/// \f$g_i = \frac{-h_2}{h_1(h_1+h_2)} y_{i-1} + \frac{h_2-h_1}{h_1 h_2} y_i +
/// \frac{h_1}{h_2(h_1+h_2)} y_{i+1}\f$, summed in this order, as
/// `torch.gradient(values, spacing=[positions])`; like there, the ends are computed in the
/// precision of the values. Both columns have the same size, at least 2.
template <class Value, class Position>
std::vector<std::common_type_t<Value, Position>> uneven_gradient(
    const std::vector<Value>& values, const std::vector<Position>& positions) {
  const std::size_t last = values.size() - 1;
  const auto step = [&](std::size_t i) { return positions[i + 1] - positions[i]; };
  const auto secant = [&](std::size_t i) {
    return (values[i + 1] - values[i]) / static_cast<Value>(step(i));
  };
  std::vector<std::common_type_t<Value, Position>> gradient(values.size());
  gradient.front() = secant(0);
  for (std::size_t i = 1; i < last; ++i) {
    const Position h1 = step(i - 1), h2 = step(i), both = h1 + h2;
    gradient[i] = -h2 / (h1 * both) * values[i - 1] + (h2 - h1) / (h1 * h2) * values[i] +
                  h1 / (h2 * both) * values[i + 1];
  }
  gradient.back() = secant(last - 1);
  return gradient;
}

/// Index of the smallest value, the first where several are equal. A NaN counts as the smallest, as
/// in NumPy and PyTorch. `values`: not empty.
template <class Real>
std::size_t argmin(const std::vector<Real>& values) {
  const auto smaller = [](Real a, Real b) { return std::isnan(a) ? !std::isnan(b) : a < b; };
  return static_cast<std::size_t>(std::min_element(values.begin(), values.end(), smaller) -
                                  values.begin());
}

/// Index of the value nearest to `target`, the first where several are. `values`: not empty,
/// without NaN.
inline std::size_t nearest_index(const std::vector<double>& values, double target) {
  const auto nearer = [target](double a, double b) {
    return std::fabs(a - target) < std::fabs(b - target);
  };
  return static_cast<std::size_t>(std::min_element(values.begin(), values.end(), nearer) -
                                  values.begin());
}

/// The quantile of some values: the value below which the given share of them lies, interpolated
/// linearly between neighbours, as `numpy.quantile`.
///
/// `share`: in [0, 1]; 0.5 is the median. `values`: not empty, without NaN; they may be infinite.
/// O(n).
inline double quantile(std::vector<double> values, double share) {
  const double position = share * static_cast<double>(values.size() - 1);
  const auto below = values.begin() + static_cast<std::ptrdiff_t>(position);
  std::nth_element(values.begin(), below, values.end());
  const double fraction = position - std::floor(position);
  if (fraction == 0) return *below;
  const double above = *std::min_element(below + 1, values.end());
  return std::isfinite(above) ? *below + fraction * (above - *below) : above;
}

}  // namespace lrfinder
