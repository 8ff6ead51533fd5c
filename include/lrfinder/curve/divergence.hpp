#pragma once

#include <cmath>
#include <limits>

namespace lrfinder {

/// Says when a loss has left for good.
///
/// With \f$d\f$ = `diverge_th`, a smoothed loss \f$s\f$ has diverged when
/// \f$s > best + (d-1)\,|best|\f$, where best is the smallest smoothed loss so far. For positive
/// losses that is \f$s > d \cdot best\f$, the rule of pytorch-lr-finder; negative losses, which
/// that rule stops at once, keep their meaning.
class Divergence {
 public:
  /// `diverge_th`: at least 1; infinity never diverges.
  explicit Divergence(double diverge_th) : margin_(diverge_th - 1) {}

  /// Takes the next smoothed loss and tells whether it has diverged.
  bool operator()(double smoothed_loss) {
    best_ = std::fmin(best_, smoothed_loss);
    return std::isfinite(margin_) && smoothed_loss > best_ + margin_ * std::fabs(best_);
  }

  /// The smallest smoothed loss so far; infinity before the first.
  double best() const noexcept { return best_; }

 private:
  double margin_;
  double best_ = std::numeric_limits<double>::infinity();
};

}  // namespace lrfinder
