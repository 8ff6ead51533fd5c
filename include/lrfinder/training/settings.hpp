#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/iteration.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/torch/device.hpp>
#include <lrfinder/torch/gradients.hpp>

/// @file
/// What resolve() makes of the options: everything is set and checked, and nothing behind it reads
/// the options.

namespace lrfinder::detail {

/// How the updates of a training are made and measured, in a range test and in the trials of a
/// race.
struct TrainingSettings {
  Placement placement;
  /// Batches whose gradients are added up for one update.
  std::int64_t accumulation_steps = 1;
  ClipOptions clip = {};
  /// The type to which autocast casts; none where it is left as the caller has it.
  std::optional<at::ScalarType> autocast = {};
  /// Enabled only under autocast to half.
  GradientScalerOptions gradient_scaler = {};
  std::vector<std::pair<std::string, Metric>> metrics = {};
  /// Whether a validation loader gives the loss.
  bool validates = false;
  /// Batches of the validation loader in one evaluation, at most.
  std::int64_t max_val_batches = 0;
  /// Bytes of training batches that are kept on the device for the next training, at most; 0 where
  /// there is only one.
  std::int64_t max_kept_bytes = 0;
  /// Bytes of validation batches that are kept on the device, at most.
  std::int64_t max_cached_bytes = 0;
  SnapshotOptions snapshot = {};
};

/// A range test, resolved.
struct ResolvedRangeTest {
  TrainingSettings training;
  /// What is saved with the history: rates, iterations, smoothing, divergence.
  RangeTestSettings range;
  /// Iterations that may be under way on the device, at least 1.
  std::int64_t max_pending = 1;
  bool restore = true;
  bool progress = false;
  IterationCallback on_iteration = {};
};

/// What ranks have to agree on to train alike. How much of a loader is evaluated, where copies are
/// kept and the like is each rank's own matter.
inline Fingerprint fingerprint_of(const TrainingSettings& settings) {
  Fingerprint fingerprint;
  fingerprint.add("accumulation_steps", settings.accumulation_steps)
      .add("clip_grad_norm", settings.clip.clip_grad_norm)
      .add("clip_grad_value", settings.clip.clip_grad_value)
      .add("record_grad_norm", settings.clip.record_grad_norm)
      .add("autocast", settings.autocast)
      .add("gradient_scaler.enabled", settings.gradient_scaler.enabled())
      .add("gradient_scaler.init_scale", settings.gradient_scaler.init_scale())
      .add("gradient_scaler.growth_factor", settings.gradient_scaler.growth_factor())
      .add("gradient_scaler.backoff_factor", settings.gradient_scaler.backoff_factor())
      .add("gradient_scaler.growth_interval", settings.gradient_scaler.growth_interval())
      .add("a validation loader", settings.validates)
      .add("number of metrics", settings.metrics.size());
  for (const auto& metric : settings.metrics) fingerprint.add("metric", metric.first);
  return fingerprint;
}

/// What ranks have to agree on for a range test.
inline Fingerprint fingerprint_of(const ResolvedRangeTest& test) {
  return fingerprint_of(test.training)
      .add("start_lr", test.range.start_lr)
      .add("end_lr", test.range.end_lr)
      .add("num_iter", test.range.num_iter)
      .add("schedule", static_cast<int>(test.range.schedule))
      .add("smooth_f", test.range.smooth_f)
      .add("diverge_th", test.range.diverge_th);
}

}  // namespace lrfinder::detail
