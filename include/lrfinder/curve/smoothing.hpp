#pragma once

#include <algorithm>
#include <vector>

namespace lrfinder {

/// Exponential smoothing of a loss, one value at a time.
///
/// \f$s_0 = l_0,\; s_i = f\,l_i + (1-f)\,s_{i-1}\f$, as in pytorch-lr-finder. At a steady descent
/// the smoothed loss lags \f$(1-f)/f\f$ values behind, 19 at the default of 0.05.
class ExponentialSmoothing {
 public:
  /// `smooth_f`: the weight of the new value, in [0, 1); 0 turns smoothing off.
  explicit ExponentialSmoothing(double smooth_f) : new_weight_(smooth_f > 0 ? smooth_f : 1) {}

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

/// Exponential smoothing of a whole column; see ExponentialSmoothing. O(n).
inline std::vector<double> exponential_smoothing(const std::vector<double>& losses,
                                                 double smooth_f) {
  std::vector<double> smoothed(losses.size());
  std::transform(losses.begin(), losses.end(), smoothed.begin(), ExponentialSmoothing(smooth_f));
  return smoothed;
}

}  // namespace lrfinder
