#pragma once

#include <cmath>

/// @file
/// The curves of which training plans are made.

namespace lrfinder {

/// How the learning rate falls from the peak of a TrainingPlan to its end.
enum class Decay {
  none,          ///< it stays at the peak
  linear,        ///< on a line, as PyTorch's LinearLR
  cosine,        ///< on half a cosine, as PyTorch's CosineAnnealingLR (Loshchilov & Hutter 2017)
  inverse_sqrt,  ///< with one over the square root of the step (Vaswani et al. 2017)
  step           ///< by a factor from time to time, as PyTorch's StepLR
};

/// How the cycles of TrainingPlan::cyclical() shrink: the modes of PyTorch's CyclicLR.
enum class Cycle {
  triangular,   ///< they do not
  triangular2,  ///< each has half of the height of the one before
  exp_range     ///< by `gamma` to the power of the step
};

}  // namespace lrfinder

namespace lrfinder::detail {

/// Half a cosine from 1 at share 0 to 0 at share 1.
inline double cosine_fall(double share) {
  constexpr double pi = 3.14159265358979323846;
  return (1 + std::cos(pi * share)) / 2;
}

/// The height of a cycle of PyTorch's CyclicLR, 0 at the base and 1 at the peak; and the number of
/// the cycle, from 1. `half`: steps up, and as many down.
struct CyclePosition {
  CyclePosition(double step, double half) : number(std::floor(1 + step / (2 * half))), height(0) {
    const double x = 1 + step / (2 * half) - number;
    height = x <= 0.5 ? x / 0.5 : (x - 1) / (0.5 - 1);
  }
  double number;
  double height;
};

/// Where a step of PyTorch's OneCycleLR stands: on the way up, or down, and how far.
struct OneCyclePosition {
  /// `warmup`: steps of the way up, of all `steps`.
  OneCyclePosition(double step, double warmup, double steps)
      : rises(step <= warmup - 1),
        share(rises ? step / (warmup - 1) : (step - (warmup - 1)) / (steps - warmup)) {}
  bool rises;
  double share;
};

}  // namespace lrfinder::detail
