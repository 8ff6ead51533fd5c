#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include <lrfinder/plot/figure.hpp>
#include <lrfinder/suggest/numeric.hpp>

// Which part of a curve is shown.
namespace lrfinder::detail {

/// The finite values among the first `count`.
inline Column finite_values(const Column& values, std::size_t count) {
  Column finite;
  for (std::size_t i = 0; i < std::min(count, values.size()); ++i) {
    if (std::isfinite(values[i])) finite.push_back(values[i]);
  }
  return finite;
}

/// Index of the smallest finite value, or 0 if no value is finite.
inline std::size_t finite_argmin(Column values) {
  for (double& value : values) {
    if (!std::isfinite(value)) value = std::numeric_limits<double>::infinity();
  }
  return argmin(values);
}

/// The range of losses that is shown. It contains the plateau at the start, with its noise but
/// without outliers, and the descent to the minimum. If other losses are higher, the range extends
/// towards them by at most a third of its height.
inline Range visible_losses(const Column& loss, const Column& raw_loss) {
  const Column all = finite_values(loss, loss.size());
  if (all.empty()) return {0, 1};
  const std::size_t minimum = finite_argmin(loss);
  const double highest = range_of(all).high;
  auto [low, high] = range_of(finite_values(loss, minimum + 1));
  const Column noise = finite_values(raw_loss, minimum + 1);
  if (!noise.empty()) {
    low = std::min(low, range_of(noise).low);
    high = std::max(high, quantile(noise, 0.98));
  }
  // The range has a least height, so that a curve without a descent looks flat or rising. A climb
  // from the first loss is shown with its first step at least.
  const double least = std::max(0.1 * std::fabs(low), 1e-12);
  if (high - low < least) high = std::clamp(highest, high, low + 10 * least);
  if (minimum == 0) high = std::max(high, all[std::min<std::size_t>(1, all.size() - 1)]);
  const double missing = std::max(0.0, least - (high - low));
  low -= missing / 2;
  high += missing / 2;
  const double descent = high - low;
  return {low - 0.08 * descent,
          std::max(high, std::min(highest, high + descent / 3)) + 0.05 * descent};
}

/// The range of loss changes that is shown. It contains 0 and the changes up to the minimum of the
/// loss; without a descent, those up to the first loss that is not shown. The part above 0 is at
/// least half as high as the part below. Changes too small to be seen in the losses look flat.
inline Range visible_changes(const Column& change, const Column& loss, Range shown) {
  const std::size_t minimum = finite_argmin(loss);
  std::size_t count = minimum + 1;
  // A change reaches to the next loss.
  while (minimum == 0 && count + 1 < loss.size() && loss[count + 1] <= shown.high) ++count;
  const double least = 1e-4 * (shown.high - shown.low);
  const Range range = united({-least, least}, range_of(finite_values(change, count)));
  return widened({range.low, std::max(range.high, -range.low / 2)});
}

}  // namespace lrfinder::detail
