#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace lrfinder {

/// The value below which a share of the values lies, interpolated linearly between neighbours, as
/// `numpy.quantile`.
///
/// `share`: in [0, 1]; 0.5 is the median. `values` is not empty and holds no NaN; infinities are
/// fine. O(n).
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
