#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/range_test_options.hpp>
#include <lrfinder/torch/optimizer.hpp>
#include <lrfinder/training/group_rates.hpp>
#include <lrfinder/training/training_settings.hpp>

namespace lrfinder::detail {

/// Throws InvalidOption if rates are too small or too large to compute with the parameters of a
/// group: outside of 1e-30 to 1e30, or of 1e-300 to 1e300 if all are in double precision.
inline void require_in_range(const torch::optim::OptimizerParamGroup& group, double start,
                             double end) {
  const auto& parameters = group.params();
  const bool in_double =
      std::all_of(parameters.begin(), parameters.end(), [](const torch::Tensor& each) {
        return c10::toRealValueType(each.scalar_type()) == torch::kDouble;
      });
  const double most = in_double ? 1e300 : 1e30;
  require_option(start >= 1 / most && end <= most, "RangeTestOptions: the rates from ", start,
                 " to ", end, " leave what can be computed in ", in_double ? "double" : "single",
                 " precision; stay between ", 1 / most, " and ", most);
}

/// Returns the settings of a range test: its rates, its length, and how its losses are judged. A
/// history keeps and saves these settings.
///
/// Throws InvalidOption for the first wrong value.
inline RangeTestSettings range_test_settings(const RangeTestOptions& options,
                                             const torch::optim::Optimizer& optimizer,
                                             const TrainingSettings& training) {
  options.check();
  const std::vector<double> present = present_rates(optimizer);
  RangeTestSettings range;
  range.start_lr =
      options.start_lr().values().empty()
          ? present
          : spread_over_groups(options.start_lr().values(), present, "RangeTestOptions: start_lr");
  const double first = first_rate(range.start_lr);
  for (std::size_t group = 0; group < present.size(); ++group) {
    const double start = range.start_lr[group];
    const bool stays_at_0 = start == 0 && first != 0;
    require_option((start > 0 && std::isfinite(start)) || stays_at_0,
                   "RangeTestOptions: start_lr (", start, ") of parameter group ", group,
                   " must be positive and finite; set it with start_lr(), one value for each of "
                   "the ",
                   present.size(), " groups, or in the optimizer");
  }
  range.end_lr =
      spread_over_groups(options.end_lr().values(), range.start_lr, "RangeTestOptions: end_lr");
  bool is_first = true;  // of the groups that are searched
  for (std::size_t group = 0; group < present.size(); ++group) {
    const double start = range.start_lr[group], end = range.end_lr[group];
    require_option(std::isfinite(end), "RangeTestOptions: end_lr (", end, ") of parameter group ",
                   group, " must be finite");
    const bool keeps_rate = start == end && (start == 0 || !is_first);
    require_option((start > 0 && end > start) || keeps_rate, "RangeTestOptions: end_lr (", end,
                   ") must be greater than start_lr (", start, ") of parameter group ", group,
                   start == 0 ? ", which stays at 0"
                   : is_first ? ", the first that is searched"
                              : ", or equal, which keeps the rate");
    if (start == 0) continue;
    is_first = false;
    require_in_range(optimizer.param_groups()[group], start, end);
  }
  range.num_iter = options.num_iter();
  range.schedule = options.schedule();
  range.smooth_f = options.smooth_f();
  range.diverge_th = std::isinf(options.diverge_th()) ? 0 : options.diverge_th();
  range.accumulation_steps = training.options.accumulation_steps();
  const auto searched = std::find(range.start_lr.begin(), range.start_lr.end(), first);
  range.gradient_age = gradient_age(
      optimizer.param_groups()[static_cast<std::size_t>(searched - range.start_lr.begin())]
          .options());
  range.validation = training.validates;
  return range;
}

/// Returns how many iterations may be under way on the device. The rules are those of
/// RangeTestOptions::iterations_in_flight().
inline std::int64_t iterations_in_flight(const RangeTestOptions& options,
                                         const TrainingSettings& training) {
  constexpr std::int64_t keeps_accelerator_busy = 16;
  if (training.options.data_parallel()) return 1;  // each iteration waits for all ranks in any case
  if (options.iterations_in_flight()) return *options.iterations_in_flight();
  const bool one_by_one =
      training.placement.device.is_cpu() || options.on_iteration().is_set() || !options.restore();
  return one_by_one ? 1 : keeps_accelerator_busy;
}

/// The settings on which ranks have to agree for a range test.
inline Fingerprint fingerprint_of(const RangeTestSettings& range, const TrainingSettings& training,
                                  bool is_paired) {
  return fingerprint_of(training)
      .add("start_lr", range.start_lr)
      .add("end_lr", range.end_lr)
      .add("num_iter", range.num_iter)
      .add("schedule", static_cast<int>(range.schedule))
      .add("smooth_f", range.smooth_f)
      .add("diverge_th", range.diverge_th)
      .add("paired", is_paired);
}

}  // namespace lrfinder::detail
