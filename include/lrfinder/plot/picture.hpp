#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <lrfinder/plot/axis.hpp>
#include <lrfinder/suggest/numeric.hpp>

namespace lrfinder::detail {

using Column = std::vector<double>;

/// The columns of one curve as they are drawn; those that it lacks are empty.
struct DrawnCurve {
  std::string name;
  Column lr, loss, raw_loss, change, lower, upper, metric;

  bool has_band() const { return !lower.empty() && !upper.empty(); }
};

/// A suggestion on a curve.
struct Mark {
  std::size_t curve;
  /// The recipe, and which of those in the picture it is.
  std::string recipe;
  std::size_t recipe_index;
  double lr, loss, change;
};

/// Trials of a suggestion, and its interval.
struct DrawnTrials {
  /// Of the longest trials, and of the others. A trial that diverged is at the top of the picture.
  Column long_lr, long_loss, short_lr, short_loss;
  /// Ends of the interval of rates that do almost as well.
  double low = 0, high = 0;
};

/// Everything that is decided before a line is drawn: what is shown, on which axes, with which
/// marks and texts.
struct Picture {
  std::string title;
  std::vector<DrawnCurve> curves;
  std::vector<Mark> marks;
  /// In a picture of one curve, where there are any.
  std::optional<DrawnTrials> trials;
  /// Why there is no mark, or why one should be taken with care.
  std::vector<std::string> remarks;
  Axis lr, loss, change, metric;
  SymmetricLog change_scale;
  std::string loss_name, metric_name;
  /// Where the region of divergence begins.
  std::optional<double> diverged_from;
  std::optional<double> show_lr;

  /// A picture of one curve shows its raw losses and where it diverges; of several, only the
  /// curves.
  bool single() const { return curves.size() == 1; }
  bool shows_raw_loss() const {
    return single() && !curves[0].raw_loss.empty() && !curves[0].has_band();
  }
};

/// The value of a column at a learning rate, between the two iterations around it.
inline double value_at(double lr, const Column& lrs, const Column& values) {
  if (lrs.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto after = std::lower_bound(lrs.begin(), lrs.end(), lr);
  if (after == lrs.begin()) return values.front();
  if (after == lrs.end()) return values.back();
  const auto i = static_cast<std::size_t>(after - lrs.begin());
  const double weight = (lr - lrs[i - 1]) / (lrs[i] - lrs[i - 1]);
  return weight == 1 ? values[i] : values[i - 1] + weight * (values[i] - values[i - 1]);
}

/// The finite ones of the first `count` values.
inline Column finite_values(const Column& values, std::size_t count) {
  Column finite;
  std::copy_if(values.begin(),
               values.begin() + static_cast<std::ptrdiff_t>(std::min(count, values.size())),
               std::back_inserter(finite), [](double value) { return std::isfinite(value); });
  return finite;
}

/// Index of the smallest finite value; 0 where there is none.
inline std::size_t finite_argmin(Column values) {
  for (double& value : values) {
    if (!std::isfinite(value)) value = std::numeric_limits<double>::infinity();
  }
  return argmin(values);
}

/// The losses that are shown: from the plateau at the start, with its noise but for outliers, down
/// to the minimum, and of what comes after it a third as much again.
inline Range range_of_descent(const Column& loss, const Column& raw_loss) {
  const Column all = finite_values(loss, loss.size());
  if (all.empty()) return {0, 1};
  const std::size_t minimum = finite_argmin(loss);
  const Column left = finite_values(loss, minimum + 1);
  const double highest = *std::max_element(all.begin(), all.end());
  double low = loss[minimum];
  double high = *std::max_element(left.begin(), left.end());
  const Column noise = finite_values(raw_loss, minimum + 1);
  if (!noise.empty()) {
    low = std::min(low, *std::min_element(noise.begin(), noise.end()));
    high = std::max(high, quantile(noise, 0.98));
  }
  // A curve that does not descend looks flat, or rises.
  const double least = std::max(0.1 * std::fabs(low), 1e-12);
  if (high - low < least) {
    high = std::min(std::max(high, highest), low + 10 * least);
    const double missing = std::max(0.0, least - (high - low)) / 2;
    low -= missing;
    high += missing;
  }
  const double descent = high - low;
  return {low - 0.08 * descent,
          std::max(high, std::min(highest, high + descent / 3)) + 0.05 * descent};
}

/// The changes that are shown: the descent in full, and of what comes after it ten times as much at
/// most; and the size below which they are noise.
struct ChangeView {
  Range range;
  double threshold;
};

inline ChangeView view_of_change(const Column& change, std::size_t minimum) {
  const Column all = finite_values(change, change.size());
  const auto largest = [](const Column& values) {
    double size = 0;
    for (const double value : values) size = std::max(size, std::fabs(value));
    return size;
  };
  double size = largest(finite_values(change, minimum + 1));
  if (size == 0) size = largest(all);
  if (size == 0) size = 1;
  Range range{-0.3 * size, 0.3 * size};
  for (const double value : all) {
    range = {std::max(std::min(range.low, value), -3 * size),
             std::min(std::max(range.high, value), 10 * size)};
  }
  return {range, size / 30};
}

}  // namespace lrfinder::detail
