#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <typeinfo>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/torch/autocast.hpp>
#include <lrfinder/torch/device.hpp>
#include <lrfinder/torch/gradient_scaler.hpp>
#include <lrfinder/torch/optimizer.hpp>
#include <lrfinder/training/settings.hpp>

/// @file
/// From the options of a range test, the optimizer, the device and the loaders to settings in which
/// nothing is left open. All checks of what the user asks for are here. Nothing is touched.

namespace lrfinder::detail {

/// Throws InvalidOption with a message put together from `parts`.
template <class... Parts>
[[noreturn]] void invalid_option(const Parts&... parts) {
  std::ostringstream message;
  message << "RangeTestOptions: ";
  (message << ... << parts);
  throw InvalidOption(message.str());
}

/// The present learning rate of every parameter group.
///
/// Throws InvalidOption when the optimizer has nothing to update, or options that do not tell their
/// rate.
inline std::vector<double> present_rates(const torch::optim::Optimizer& optimizer) {
  std::vector<double> rates;
  std::size_t parameters = 0;
  for (const auto& group : optimizer.param_groups()) {
    parameters += group.params().size();
    try {
      rates.push_back(group.options().get_lr());
    } catch (const c10::Error&) {
      invalid_option("the options of parameter group ", rates.size(),
                     " of the optimizer do not tell their learning rate; override get_lr() and "
                     "set_lr() in them");
    }
  }
  if (parameters == 0) {
    invalid_option(
        "the optimizer has no parameters; construct it with those of the model, for example "
        "torch::optim::SGD(model->parameters(), 0.01)");
  }
  return rates;
}

/// One rate a group: `given` as it is or, where it has one value, that for the first group and
/// the ratios of `reference` for the others.
inline std::vector<double> spread_over_groups(const std::vector<double>& given,
                                              const std::vector<double>& reference,
                                              const char* name) {
  if (given.size() == reference.size()) return given;
  if (given.size() != 1) {
    invalid_option(name, " has ", given.size(), " values but the optimizer has ", reference.size(),
                   " parameter groups; give one value, or one for each group");
  }
  std::vector<double> spread;
  spread.reserve(reference.size());
  for (const double rate : reference) spread.push_back(given.front() * (rate / reference.front()));
  return spread;
}

/// The learning rates and iterations of a range test, and how its losses are judged.
inline RangeTestSettings resolve_range(const RangeTestOptions& options,
                                       const torch::optim::Optimizer& optimizer) {
  const std::vector<double> present = present_rates(optimizer);
  RangeTestSettings range;
  range.start_lr = options.start_lr().values().empty()
                       ? present
                       : spread_over_groups(options.start_lr().values(), present, "start_lr");
  for (std::size_t group = 0; group < present.size(); ++group) {
    if (!(range.start_lr[group] > 0) || !std::isfinite(range.start_lr[group])) {
      invalid_option("start_lr (", range.start_lr[group], ") of parameter group ", group,
                     " must be positive and finite; set it with start_lr(), one value for each of "
                     "the ",
                     present.size(), " groups, or in the optimizer");
    }
  }
  range.end_lr = spread_over_groups(options.end_lr().values(), range.start_lr, "end_lr");
  for (std::size_t group = 0; group < present.size(); ++group) {
    if (!std::isfinite(range.end_lr[group])) {
      invalid_option("end_lr (", range.end_lr[group], ") of parameter group ", group,
                     " must be finite");
    }
    if (!(range.end_lr[group] > range.start_lr[group])) {
      invalid_option("end_lr (", range.end_lr[group], ") must be greater than start_lr (",
                     range.start_lr[group], ") of parameter group ", group);
    }
  }
  if (options.num_iter() < 2) {
    invalid_option("num_iter (", options.num_iter(), ") must be at least 2; 100 is usual");
  }
  if (!(options.smooth_f() >= 0 && options.smooth_f() < 1)) {
    invalid_option("smooth_f (", options.smooth_f(),
                   ") must be at least 0 and less than 1; 0 turns smoothing off");
  }
  if (!(options.diverge_th() >= 1 || options.diverge_th() == 0)) {
    invalid_option("diverge_th (", options.diverge_th(),
                   ") must be at least 1; 0 or infinity never stops the test");
  }
  range.num_iter = options.num_iter();
  range.schedule = options.schedule();
  range.smooth_f = options.smooth_f();
  range.diverge_th =
      options.diverge_th() == 0 ? std::numeric_limits<double>::infinity() : options.diverge_th();
  range.accumulation_steps = options.accumulation_steps();
  range.gradient_age = gradient_age(optimizer.param_groups().front().options());
  return range;
}

/// The options of the gradient scaler, enabled only under autocast to half.
inline GradientScalerOptions resolve_scaler(const RangeTestOptions& options,
                                            const torch::optim::Optimizer& optimizer) {
  GradientScalerOptions scaler = options.gradient_scaler();
  GradientScaler{scaler};  // checks them
  scaler.enabled(scaler.enabled() && options.autocast() == torch::kHalf);
  if (scaler.enabled() && dynamic_cast<const torch::optim::LBFGS*>(&optimizer)) {
    invalid_option(
        "LBFGS evaluates its loss several times for one update, which does not go with a gradient "
        "scaler; use autocast(torch::kBFloat16)");
  }
  return scaler;
}

/// Throws InvalidOption for metrics that cannot be recorded.
inline void check_metrics(const RangeTestOptions& options, const AnyLoader& train_loader,
                          const AnyLoader* val_loader) {
  std::set<std::string> names;
  for (const auto& [name, metric] : options.metrics()) {
    if (name.empty() || !metric) {
      invalid_option("metric (\"", name, "\") needs a name and something to call");
    }
    if (!names.insert(name).second) {
      invalid_option("metric (\"", name, "\") is there twice; give each a name of its own");
    }
  }
  const bool has_metrics = train_loader.has_metrics() && (!val_loader || val_loader->has_metrics());
  if (!names.empty() && !has_metrics) {
    invalid_option(
        "metric() needs a criterion of the form (output, target) and a model and batches whose "
        "output and target are tensors");
  }
  if (options.ranks() && names.size() > Session::max_metrics) {
    invalid_option("several ranks can record at most ", Session::max_metrics, " metrics, not ",
                   names.size());
  }
}

/// Throws InvalidOption for a loader that would have to be in two passes at a time.
inline void check_loaders(const AnyLoader& train_loader, const AnyLoader* val_loader) {
  if (val_loader && train_loader.single_pass() && typeid(train_loader) == typeid(*val_loader) &&
      train_loader.single_pass() == val_loader->single_pass()) {
    throw InvalidOption(
        "LRFinder: the training loader and the validation loader are one and the same, which can "
        "be in one pass only at a time; make a second loader for validation");
  }
}

/// The trainings that start from one state.
struct Trainings {
  /// Whether there are several.
  bool repeat = false;
  /// How many processes run theirs side by side.
  std::int64_t processes = 1;
};

/// Resolves how updates are made and measured. `device`: where the user asked for the training;
/// none for where the model is.
///
/// Throws InvalidOption for the first thing that makes no sense.
inline TrainingSettings resolve_training(const RangeTestOptions& options, const ModuleHandle& model,
                                         const torch::optim::Optimizer& optimizer,
                                         std::optional<torch::Device> device,
                                         const AnyLoader& train_loader, const AnyLoader* val_loader,
                                         Trainings trainings) {
  if (c10::InferenceMode::is_enabled()) {
    throw InvalidOption(
        "LRFinder: nothing can be trained under c10::InferenceMode; end the guard's scope first");
  }
  check_metrics(options, train_loader, val_loader);
  check_loaders(train_loader, val_loader);
  if (options.accumulation_steps() < 1) {
    invalid_option("accumulation_steps (", options.accumulation_steps(), ") must be at least 1");
  }
  if (options.clip_grad_norm() && !(*options.clip_grad_norm() > 0)) {
    invalid_option("clip_grad_norm (", *options.clip_grad_norm(), ") must be positive");
  }
  if (options.clip_grad_value() && !(*options.clip_grad_value() > 0)) {
    invalid_option("clip_grad_value (", *options.clip_grad_value(), ") must be positive");
  }
  if (options.val_batches() && *options.val_batches() < 1) {
    invalid_option("val_batches (", *options.val_batches(), ") must be at least 1");
  }
  if (options.cache_training() && *options.cache_training() < 0) {
    invalid_option("cache_training (", *options.cache_training(),
                   ") must not be negative; 0 loads the training batches in every trial");
  }
  if (options.cache_validation() && *options.cache_validation() < 0) {
    invalid_option("cache_validation (", *options.cache_validation(),
                   ") must not be negative; 0 reads the validation loader in every iteration");
  }
  TrainingSettings settings{Placement(model, optimizer, device)};
  settings.gradient_scaler = resolve_scaler(options, optimizer);
  if (options.autocast()) require_autocast(settings.placement.device, *options.autocast());
  settings.accumulation_steps = options.accumulation_steps();
  settings.clip = {options.clip_grad_norm(), options.clip_grad_value(), options.record_grad_norm()};
  settings.autocast = options.autocast();
  settings.metrics = options.metrics();
  settings.validates = val_loader != nullptr;
  settings.max_val_batches =
      options.val_batches().value_or(std::numeric_limits<std::int64_t>::max());
  // A quarter of what is free; processes may share one device's memory.
  const std::int64_t share = 4 * (options.ranks() ? options.ranks()->size() : trainings.processes);
  const auto quarter = [&] { return free_memory(settings.placement.device) / share; };
  if (val_loader) {
    settings.max_cached_bytes =
        options.cache_validation() ? *options.cache_validation() : quarter();
  }
  if (trainings.repeat) {
    settings.max_kept_bytes = options.cache_training() ? *options.cache_training() : quarter();
  }
  settings.snapshot = {options.snapshot(), options.snapshot_dir()};
  return settings;
}

/// How many iterations may be under way on the device, as RangeTestOptions::iterations_in_flight()
/// has it.
inline std::int64_t max_pending(const RangeTestOptions& options, torch::Device device) {
  if (options.iterations_in_flight() && *options.iterations_in_flight() < 1) {
    invalid_option("iterations_in_flight (", *options.iterations_in_flight(),
                   ") must be at least 1, which waits for every iteration");
  }
  if (options.ranks()) return 1;  // their health check waits in any case
  if (options.iterations_in_flight()) return *options.iterations_in_flight();
  constexpr std::int64_t keeps_accelerator_busy = 16;
  const bool one_by_one = device.is_cpu() || options.on_iteration().is_set() || !options.restore();
  return one_by_one ? 1 : keeps_accelerator_busy;
}

/// Resolves a range test. Throws InvalidOption for the first thing that makes no sense.
inline ResolvedRangeTest resolve(const RangeTestOptions& options, const ModuleHandle& model,
                                 const torch::optim::Optimizer& optimizer,
                                 std::optional<torch::Device> device, const AnyLoader& train_loader,
                                 const AnyLoader* val_loader, Trainings trainings = {}) {
  const RangeTestSettings range = resolve_range(options, optimizer);
  ResolvedRangeTest test{
      resolve_training(options, model, optimizer, device, train_loader, val_loader, trainings),
      range};
  test.range.validation = val_loader != nullptr;
  test.max_pending = max_pending(options, test.training.placement.device);
  test.restore = options.restore();
  test.progress = options.progress();
  test.on_iteration = options.on_iteration();
  return test;
}

}  // namespace lrfinder::detail
