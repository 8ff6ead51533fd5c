#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>

namespace lrfinder {

/// How the learning rate falls from the peak of a TrainingPlan to its end.
enum class Decay {
  none,          ///< the rate stays at the peak
  linear,        ///< linearly, like PyTorch's LinearLR
  cosine,        ///< as half a cosine, like PyTorch's CosineAnnealingLR (Loshchilov & Hutter 2017)
  inverse_sqrt,  ///< like one over the square root of the step (Vaswani et al. 2017)
  step           ///< by the factor `gamma` every `step_size` steps, like PyTorch's StepLR
};

/// How the cycles of TrainingPlan::cyclical() shrink: the modes of PyTorch's CyclicLR.
enum class Cycle {
  triangular,   ///< the cycles do not shrink
  triangular2,  ///< each cycle is half as high as the last
  exp_range     ///< by the factor `gamma` at each step
};

namespace detail {

/// The names of the decays, in the order of the enumerators.
inline constexpr const char* decay_names[] = {"none", "linear", "cosine", "inverse_sqrt", "step"};

/// Half a cosine. Falls from 1 at share 0 to 0 at share 1.
inline double cosine_fall(double share) {
  constexpr double pi = 3.14159265358979323846;
  return (1 + std::cos(pi * share)) / 2;
}

/// What the formulas of the decays read.
struct DecayPoint {
  double after, all;  // steps after the warm-up: so far, and in total
  double warmup, step_size, end_factor, gamma;
};

/// The rate at a point of a decay as a factor of the peak.
inline double decay_factor(Decay decay, const DecayPoint& at) {
  const double scale = std::max(at.warmup, 1.0);
  switch (decay) {
    case Decay::none:
      return 1;
    case Decay::linear:
      return 1 + (at.end_factor - 1) * at.after / at.all;
    case Decay::cosine:
      return at.end_factor + (1 - at.end_factor) * cosine_fall(at.after / at.all);
    case Decay::inverse_sqrt:
      return std::max(at.end_factor, std::sqrt(scale / (scale + at.after)));
    case Decay::step:
      return std::max(at.end_factor, std::pow(at.gamma, std::floor(at.after / at.step_size)));
  }
  return 1;
}

/// The height of a step of PyTorch's CyclicLR: 0 at the base, 1 at the peak of the first cycle.
/// `half`: the number of steps up, and of steps down.
inline double cycle_height(double step, double half, Cycle cycle, double gamma) {
  const double position = 1 + step / (2 * half);
  const double number = std::floor(position);  // of the cycle, from 1
  const double share = position - number;
  const double height = share <= 0.5 ? share / 0.5 : (share - 1) / (0.5 - 1);
  if (cycle == Cycle::triangular2) return height / std::pow(2, number - 1);
  if (cycle == Cycle::exp_range) return height * std::pow(gamma, step);
  return height;
}

/// A decay that the user defines.
struct OwnDecay {
  std::function<double(double)> function;
  std::string name;

  /// Throws InvalidOption if the factor is negative or not finite.
  double factor(double share) const {
    const double result = function(share);
    if (result >= 0 && std::isfinite(result)) return result;
    throw InvalidOption(concat("TrainingPlan: the decay \"", printable(name), "\" gives ", result,
                               " at the share ", share, "; it must be finite and not negative"));
  }
  /// The name and 17 factors, which distinguish two decays of the same name.
  std::string text() const {
    std::string result = name + ':';
    for (int i = 0; i <= 16; ++i) result += ' ' + rounded(factor(i / 16.0), 6);
    return result;
  }
};

}  // namespace detail
}  // namespace lrfinder
