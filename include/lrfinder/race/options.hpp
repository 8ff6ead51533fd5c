#pragma once

#include <cstdint>
#include <optional>

#include <torch/torch.h>

namespace lrfinder {

/// Options of a race, LRFinder::race().
///
///     RaceOptions().budget(20)
///
/// How each update is made (accumulation, clipping, where copies are kept, how many validation
/// batches are evaluated) is as in the last range test. All options are checked before anything is
/// touched; what makes no sense is an InvalidOption.
struct RaceOptions {
  /// Optimizer updates of all trials together, in multiples of the iterations that the range test
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
  /// How often the worse half drops out, the last decision included; at least 1. Each rung takes
  /// four times as many updates as the one before, so that the last has most of them; a single one
  /// cannot look beyond its candidates. Default: 2.
  TORCH_ARG(std::int64_t, rungs) = 2;
  /// A lower rate than the best of the last rung, down to the next that was tried, wins where it
  /// lacks no more than this share of what the best gained, in [0, 1). Between the two the loss is
  /// taken to lie on the line over log lr, so the winner may lie between them. Training that is
  /// longer than the race wants lower rates: a little too low costs little there, a little too high
  /// may cost all. With 0 the best rate tried wins. Default: 0.01 (0.01 to 0.02 do).
  TORCH_ARG(double, tolerance) = 0.01;
  /// Whether a line on stderr shows how far the race is. Default: false.
  TORCH_ARG(bool, progress) = false;
};

}  // namespace lrfinder
