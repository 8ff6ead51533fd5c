#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/curve/iteration.hpp>
#include <lrfinder/curve/schedule.hpp>

namespace lrfinder {

/// Learning rates for the parameter groups of an optimizer: one for each group, in their order, or
/// one for the first group, to which the others keep their ratio.
class GroupRates {
 public:
  GroupRates() = default;
  GroupRates(double first_group) : values_{first_group} {}                // NOLINT
  GroupRates(std::initializer_list<double> groups) : values_(groups) {}   // NOLINT
  GroupRates(std::vector<double> groups) : values_(std::move(groups)) {}  // NOLINT

  const std::vector<double>& values() const noexcept { return values_; }

 private:
  std::vector<double> values_;
};

/// Where the copies that give everything back are kept during a range test.
enum class Snapshot {
  device,  ///< where the model is: fastest
  host,    ///< in host memory: no copy in the memory of the device
  disk     ///< in a temporary file: no copy in memory at all
};

/// Options of a range test.
///
///     RangeTestOptions().start_lr(1e-7).end_lr(500).num_iter(200)
///
/// All of them are checked, together with the optimizer, before anything is touched; what makes no
/// sense is an InvalidOption.
struct RangeTestOptions {
  /// Learning rate of the first iteration, positive. One value a group, or one value for the first
  /// group, to which the others keep the ratio of their present rates. Default: the present rate of
  /// each group.
  TORCH_ARG(GroupRates, start_lr) = {};
  /// Learning rate of the last iteration, greater than `start_lr`. One value a group, or one value
  /// for the first group, to which the others keep the ratio that they start with. Default: 10.
  TORCH_ARG(GroupRates, end_lr) = 10.0;
  /// Number of iterations (optimizer updates), at least 2. Default: 100.
  TORCH_ARG(std::int64_t, num_iter) = 100;
  /// How the rate goes from start to end. Default: Schedule::exponential.
  TORCH_ARG(Schedule, schedule) = Schedule::exponential;
  /// Weight of the new value in the exponential smoothing of the loss, in [0, 1); 0 turns smoothing
  /// off. Default: 0.05, as in pytorch-lr-finder.
  TORCH_ARG(double, smooth_f) = 0.05;
  /// The test stops when the smoothed loss passes this multiple of the best one (see Divergence for
  /// losses that are not positive). At least 1; 0 or infinity: never. Default: 5.
  TORCH_ARG(double, diverge_th) = 5;
  /// Batches whose gradients are added up for one update; each loss is divided by this number. At
  /// least 1. Default: 1.
  TORCH_ARG(std::int64_t, accumulation_steps) = 1;
  /// Whether everything is given back when the test returns. With `false` the model stays as the
  /// test left it until LRFinder::reset(). After an exception everything is given back in any case.
  /// Default: true.
  TORCH_ARG(bool, restore) = true;
  /// Where the copies that give everything back are kept. Default: Snapshot::device.
  TORCH_ARG(Snapshot, snapshot) = Snapshot::device;
  /// Folder of the temporary file for Snapshot::disk. Default: the system's.
  TORCH_ARG(std::string, snapshot_dir) = "";
  /// Called after each iteration with its figures; returning false stops the test. Default: none.
  TORCH_ARG(IterationCallback, on_iteration) = {};
};

}  // namespace lrfinder
