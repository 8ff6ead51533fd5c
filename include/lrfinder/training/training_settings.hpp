#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/torch/autocast.hpp>
#include <lrfinder/torch/compatibility.hpp>
#include <lrfinder/torch/gradients.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/training_options.hpp>

namespace lrfinder::detail {

/// TrainingOptions and the settings that follow from them. They are checked together with the
/// model, the optimizer and the loaders.
struct TrainingSettings {
  /// `val_loader` may be null. `repeats`: whether several trainings start from one state.
  /// `processes`: how many processes train side by side. Changes nothing.
  ///
  /// Throws InvalidOption for the first wrong value.
  TrainingSettings(const TrainingOptions& given, const TrainedObjects& trained,
                   const AnyLoader& train_loader, const AnyLoader* val_loader, bool repeats,
                   std::int64_t processes = 1)
      : options(given),
        placement(trained.modules.front(), *trained.optimizers.front(), given.device()),
        validates(val_loader != nullptr) {
    require_option(!c10::InferenceMode::is_enabled(),
                   "LRFinder: nothing can be trained under c10::InferenceMode; end the guard's "
                   "scope first");
    options.check();
    check_metrics(train_loader, val_loader);
    const bool are_one = val_loader && train_loader.single_pass &&
                         train_loader.single_pass == val_loader->single_pass;
    require_option(!are_one,
                   "LRFinder: the training loader and the validation loader are one and the same, "
                   "which can be in one pass only at a time; make a second loader for validation");
    if (options.autocast()) require_autocast(placement.device, *options.autocast());
    resolve_scaler(*trained.optimizers.front());
    // The default is a quarter of the free memory. Processes may share the memory of one device.
    if (options.data_parallel()) processes *= options.data_parallel()->size();
    const auto most = [&](const std::optional<std::int64_t>& asked_for) {
      return asked_for ? *asked_for : free_memory(placement.device) / (4 * processes);
    };
    if (validates) max_validation_bytes = most(options.cache_validation());
    if (repeats) max_training_bytes = most(options.cache_training());
  }

  /// The given options. The gradient scaler is enabled only under autocast to half.
  TrainingOptions options;
  DevicePlacement placement;
  /// Whether a validation loader gives the loss.
  bool validates;
  /// Maximum bytes of training batches that are kept on the device for the next training; 0 for a
  /// range test alone.
  std::int64_t max_training_bytes = 0;
  /// Maximum bytes of validation batches that are kept on the device.
  std::int64_t max_validation_bytes = 0;

  /// Maximum number of validation batches in one evaluation.
  std::int64_t max_val_batches() const {
    return options.val_batches().value_or(std::numeric_limits<std::int64_t>::max());
  }

 private:
  void check_metrics(const AnyLoader& train_loader, const AnyLoader* val_loader) const {
    const bool possible = train_loader.has_metrics && (!val_loader || val_loader->has_metrics);
    require_option(options.metrics().empty() || possible,
                   "TrainingOptions: metric() needs a criterion of the form (output, target) and a "
                   "model and batches whose output and target are tensors");
    require_option(!options.data_parallel() || options.metrics().size() <= Session::max_metrics,
                   "TrainingOptions: several ranks can record at most ", Session::max_metrics,
                   " metrics, not ", options.metrics().size());
  }

  void resolve_scaler(const torch::optim::Optimizer& optimizer) {
    GradientScalerOptions& scaler = options.gradient_scaler();
    GradientScaler{scaler};  // checks the options
    scaler.enabled(scaler.enabled() && options.autocast() == torch::kHalf);
    require_option(!scaler.enabled() || !dynamic_cast<const torch::optim::LBFGS*>(&optimizer),
                   "TrainingOptions: LBFGS evaluates its loss several times for one update, which "
                   "does not go with a gradient scaler; use autocast(torch::kBFloat16)");
  }
};

/// The settings on which ranks have to agree to train alike. Every option that changes an update
/// belongs here. Each rank may choose, for example, how much of a loader it evaluates, and where it
/// keeps copies.
inline Fingerprint fingerprint_of(const TrainingSettings& settings) {
  const TrainingOptions& options = settings.options;
  const GradientScalerOptions& scaler = options.gradient_scaler();
  Fingerprint fingerprint;
  fingerprint.add("accumulation_steps", options.accumulation_steps())
      .add("accumulate_by_samples", options.accumulate_by_samples())
      .add("clip_grad_norm", options.clip_grad_norm())
      .add("clip_grad_value", options.clip_grad_value())
      .add("record_grad_norm", options.record_grad_norm())
      .add("skip_bad_batches", options.skip_bad_batches())
      .add("autocast", options.autocast())
      .add("gradient_scaler.enabled", scaler.enabled())
      .add("gradient_scaler.init_scale", scaler.init_scale())
      .add("gradient_scaler.growth_factor", scaler.growth_factor())
      .add("gradient_scaler.backoff_factor", scaler.backoff_factor())
      .add("gradient_scaler.growth_interval", scaler.growth_interval())
      .add("a validation loader", settings.validates)
      .add("val_in_training_mode", options.val_in_training_mode())
      .add("number of metrics", options.metrics().size());
  for (const auto& metric : options.metrics()) fingerprint.add("metric", metric.first);
  return fingerprint;
}

}  // namespace lrfinder::detail
