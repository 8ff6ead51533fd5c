#pragma once

#include <cstdint>
#include <optional>

#include <torch/torch.h>

namespace lrfinder {

/// Options of a race, LRFinder::race().
///
///     RaceOptions().budget(20).rungs(2)
///
/// How each update is done (accumulation, clipping, where copies are kept, how many validation
/// batches are looked at) is not asked again: it is as in the last range test. All options are
/// checked before anything is touched; what makes no sense is an InvalidOption.
struct RaceOptions {
  /// Optimizer updates of all heats together, in multiples of the iterations that the range test
  /// recorded; positive. More make longer rungs, which judge by a longer training. Default: 6.
  TORCH_ARG(double, budget) = 6;
  /// The learning rate around which the first candidates lie, positive. Default: suggestion().
  TORCH_ARG(std::optional<double>, around) = std::nullopt;
  /// Distance of neighbouring candidates in decades, positive. Default: 0.5.
  TORCH_ARG(double, spacing) = 0.5;
  /// How many decades the first candidates reach down; not negative. Default: 1.
  TORCH_ARG(double, decades_down) = 1;
  /// How many decades the first candidates reach up, though never past divergence; not negative.
  /// Default: 1.
  TORCH_ARG(double, decades_up) = 1;
  /// How often the worse half drops out, the last decision included; at least 1. Fewer rungs are
  /// longer ones, with the same budget. Default: 3.
  TORCH_ARG(std::int64_t, rungs) = 3;
  /// A lower rate wins where it lacks no more than this share of what the best of the last rung
  /// gained, in [0, 1). For a training much longer than the race 0.03 is a good value: there a rate
  /// a little too low costs little, one a little too high may cost all. Default: 0.
  TORCH_ARG(double, tolerance) = 0;
  /// Whether a line on stderr shows how far the race is. Default: false.
  TORCH_ARG(bool, progress) = false;
};

}  // namespace lrfinder
