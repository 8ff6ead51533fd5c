#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/torch/optimizer.hpp>

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
  for (double rate : reference) spread.push_back(given.front() * (rate / reference.front()));
  return spread;
}

/// Resolves the options, together with what the optimizer says, into settings without blanks.
///
/// Throws InvalidOption for the first thing that makes no sense. Touches nothing.
inline RangeTestSettings plan(const RangeTestOptions& options,
                              const torch::optim::Optimizer& optimizer) {
  const std::vector<double> present = present_rates(optimizer);
  RangeTestSettings settings;
  settings.start_lr = options.start_lr().values().empty()
                          ? present
                          : spread_over_groups(options.start_lr().values(), present, "start_lr");
  for (std::size_t group = 0; group < present.size(); ++group) {
    if (!(settings.start_lr[group] > 0) || !std::isfinite(settings.start_lr[group])) {
      invalid_option("start_lr (", settings.start_lr[group], ") of parameter group ", group,
                     " must be positive and finite; set it with start_lr(), one value for each of "
                     "the ",
                     present.size(), " groups, or in the optimizer");
    }
  }
  settings.end_lr = spread_over_groups(options.end_lr().values(), settings.start_lr, "end_lr");
  for (std::size_t group = 0; group < present.size(); ++group) {
    if (!std::isfinite(settings.end_lr[group])) {
      invalid_option("end_lr (", settings.end_lr[group], ") of parameter group ", group,
                     " must be finite");
    }
    if (!(settings.end_lr[group] > settings.start_lr[group])) {
      invalid_option("end_lr (", settings.end_lr[group], ") must be greater than start_lr (",
                     settings.start_lr[group], ") of parameter group ", group);
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
  if (options.accumulation_steps() < 1) {
    invalid_option("accumulation_steps (", options.accumulation_steps(), ") must be at least 1");
  }
  if (options.clip_grad_norm() && !(*options.clip_grad_norm() > 0)) {
    invalid_option("clip_grad_norm (", *options.clip_grad_norm(), ") must be positive");
  }
  if (options.clip_grad_value() && !(*options.clip_grad_value() > 0)) {
    invalid_option("clip_grad_value (", *options.clip_grad_value(), ") must be positive");
  }
  if (options.autocast() == torch::kHalf && options.gradient_scaler().enabled() &&
      dynamic_cast<const torch::optim::LBFGS*>(&optimizer)) {
    invalid_option(
        "LBFGS evaluates its loss several times for one update, which does not go with a gradient "
        "scaler; take autocast(torch::kBFloat16)");
  }
  if (options.val_batches() && *options.val_batches() < 1) {
    invalid_option("val_batches (", *options.val_batches(), ") must be at least 1");
  }
  if (options.cache_validation() && *options.cache_validation() < 0) {
    invalid_option("cache_validation (", *options.cache_validation(),
                   ") must not be negative; 0 walks the validation loader in every iteration");
  }
  if (options.iterations_in_flight() && *options.iterations_in_flight() < 1) {
    invalid_option("iterations_in_flight (", *options.iterations_in_flight(),
                   ") must be at least 1, which waits for every iteration");
  }
  for (const auto& [name, metric] : options.metrics()) {
    if (name.empty() || !metric) {
      invalid_option("metric (\"", name, "\") needs a name and something to call");
    }
  }
  settings.num_iter = options.num_iter();
  settings.schedule = options.schedule();
  settings.smooth_f = options.smooth_f();
  settings.diverge_th =
      options.diverge_th() == 0 ? std::numeric_limits<double>::infinity() : options.diverge_th();
  settings.accumulation_steps = options.accumulation_steps();
  settings.gradient_age = gradient_age(optimizer.param_groups().front().options());
  return settings;
}

}  // namespace lrfinder::detail
