#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/history/history.hpp>

namespace lrfinder {

/// Learning rates for the parameter groups of an optimizer: one for each group, in their order, or
/// only one. One rate is for the first group whose rate is not 0. The other groups keep their ratio
/// to it, so groups at rate 0 stay there.
class GroupRates {
 public:
  GroupRates() = default;
  /// One rate, for the first group whose rate is not 0.
  GroupRates(double first_group) : values_{first_group} {}  // NOLINT
  /// One rate for each group: `{1e-3, 1e-4}`.
  GroupRates(std::initializer_list<double> groups) : values_(groups) {}  // NOLINT
  /// One rate for each group.
  GroupRates(std::vector<double> groups) : values_(std::move(groups)) {}  // NOLINT

  /// The rates as they were given; empty if none were.
  const std::vector<double>& values() const noexcept { return values_; }

 private:
  std::vector<double> values_;
};

/// Options of a range test: its rates, its length, and when it ends. TrainingOptions say how the
/// model is trained.
///
///     RangeTestOptions().start_lr(1e-7).end_lr(500).num_iter(200)
///
/// All options are checked, together with the optimizer, before the model is touched. InvalidOption
/// reports a wrong one.
struct RangeTestOptions {
  /// Learning rate of the first iteration, positive. One value for each group, or one for the first
  /// group. With one, the other groups keep their present ratio to the first. A group at 0 stays
  /// there. Default: the present rate of each group; 1e-7 in LRFinder::find().
  TORCH_ARG(GroupRates, start_lr) = {};
  /// Learning rate of the last iteration, greater than `start_lr`. One value for each group, or one
  /// for the first group. With one, the rates end in the same ratio as they start. A later group
  /// whose `end_lr` equals its `start_lr` keeps this rate, in the trials of a search, too. Default:
  /// 10.
  TORCH_ARG(GroupRates, end_lr) = 10.0;
  /// Number of iterations (optimizer updates), at least 2. Default: 100.
  TORCH_ARG(std::int64_t, num_iter) = 100;
  /// How the rate rises from start to end. Default: RangeSchedule::exponential.
  TORCH_ARG(RangeSchedule, schedule) = RangeSchedule::exponential;
  /// Weight of the newest loss in the exponential smoothing, in [0, 1). 0 turns smoothing off.
  /// Default: 0.05, as in pytorch-lr-finder.
  TORCH_ARG(double, smooth_f) = 0.05;
  /// The test stops when the smoothed loss exceeds this multiple of the best smoothed loss, paired
  /// losses if they are known. has_diverged() has the rule for losses that are not positive. At
  /// least 1. 0 or infinity never stops the test. Default: 5.
  TORCH_ARG(double, diverge_th) = 5;
  /// Whether each batch's loss at the starting weights is measured, too, so that suggestions rest
  /// on the paired losses (History::paired_loss). It takes one forward pass without gradients for
  /// each batch, and a copy of the weights on the device. The recorded losses stay the same. With a
  /// validation loader nothing is measured, because every loss is that of the same batches. A model
  /// that keeps state outside of its parameters and buffers sees each batch twice; a warning says
  /// so, and nothing more is measured. Default: true.
  TORCH_ARG(bool, paired) = true;
  /// Whether everything is restored when the test returns. If false, the model stays as the test
  /// left it until LRFinder::reset(), or until LRFinder::find() if it was not trained in between.
  /// An exception restores everything in any case. Default: true.
  TORCH_ARG(bool, restore) = true;
  /// How many iterations may be under way on the device before the host waits for the oldest loss.
  /// At least 1, which waits for every iteration. The history is the same in any case, because
  /// iterations past the end of the test are dropped. But `on_iteration` is called up to this many
  /// iterations late. Without `restore` the model may be as many iterations ahead. Default: 16 on
  /// an accelerator; 1 on the CPU, with `on_iteration`, or without `restore`. Always 1 with
  /// TrainingOptions::data_parallel.
  TORCH_ARG(std::optional<std::int64_t>, iterations_in_flight) = std::nullopt;
  /// Whether a line on stderr shows the progress of the test. Default: false.
  TORCH_ARG(bool, progress) = false;
  /// Called after each iteration with the measured values. The test stops if it returns false.
  /// Default: none.
  TORCH_ARG(IterationCallback, on_iteration) = {};

 public:
  /// Throws InvalidOption for the first value that is wrong by itself. The rates are checked later,
  /// together with the optimizer.
  void check() const {
    using detail::require_option;
    require_option(num_iter_ >= 2, "RangeTestOptions: num_iter (", num_iter_,
                   ") must be at least 2; 100 is usual");
    require_option(smooth_f_ >= 0 && smooth_f_ < 1, "RangeTestOptions: smooth_f (", smooth_f_,
                   ") must be at least 0 and less than 1; 0 turns smoothing off");
    require_option(diverge_th_ >= 1 || diverge_th_ == 0, "RangeTestOptions: diverge_th (",
                   diverge_th_, ") must be at least 1; 0 or infinity never stops the test");
    const std::int64_t in_flight = iterations_in_flight_.value_or(1);
    require_option(in_flight >= 1, "RangeTestOptions: iterations_in_flight (", in_flight,
                   ") must be at least 1, which waits for every iteration");
  }
};

}  // namespace lrfinder
