#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include <torch/torch.h>

#include <lrfinder/training/any_loader.hpp>
#include <lrfinder/training/batch_cache.hpp>
#include <lrfinder/training/evaluator.hpp>
#include <lrfinder/training/free_memory.hpp>
#include <lrfinder/training/means.hpp>
#include <lrfinder/training/options.hpp>
#include <lrfinder/training/team.hpp>
#include <lrfinder/training/training_mode.hpp>

namespace lrfinder::training {

/// How much of the device the batches of a validation loader may take: what the options say or, by
/// default, a quarter of what is free, of which every rank has its share.
inline std::int64_t most_cached_bytes(const RangeTestOptions& options, torch::Device device) {
  if (options.cache_validation()) return *options.cache_validation();
  return free_memory(device) / 4 / (options.ranks() ? options.ranks()->size() : 1);
}

/// The mean loss, and the metrics, over the samples of a validation loader, in eval mode and
/// without gradients.
///
/// Each batch's loss is weighted by its size, and the sum divided by the number of samples that
/// were seen, so that a smaller last batch or a dropped one does no harm. With several ranks these
/// are the samples of all. The criterion has to average over the samples of its batch, as
/// LibTorch's do by default.
class Validation {
 public:
  /// Goes to the first batch, unless the cache has them all. All arguments live as long as this.
  ///
  /// Throws EmptyLoader when there is none.
  Validation(AnyLoader& loader, torch::Device device, BatchCache& cache, TrainingMode& mode,
             const RangeTestOptions& options, Team& team)
      : walk_(loader.walk(device)),
        evaluate_(device, options),
        cache_(cache),
        mode_(mode),
        team_(team),
        metrics_(options),
        most_batches_(options.val_batches().value_or(std::numeric_limits<std::int64_t>::max())) {
    if (!cache.is_complete()) walk_->start();
  }

  /// Evaluates one pass over the loader.
  DeviceMeasurement operator()() {
    const torch::NoGradGuard without_gradients;
    mode_.evaluate();
    DeviceMean loss;
    if (cache_.is_complete()) {
      for (const auto& batch : cache_.batches()) evaluate(*batch, loss);
    } else {
      walk(loss);
    }
    mode_.train();
    const double samples = loss.weight();
    return team_.mean({std::move(loss), {}, metrics_.take()}, samples);
  }

 private:
  void walk(DeviceMean& loss) {
    std::int64_t seen = 0;
    cache_.begin();
    walk_->each([&](std::unique_ptr<AnyBatch> batch) {
      cache_.own(*batch);
      evaluate(*batch, loss);
      cache_.keep(std::move(batch));
      return ++seen < most_batches_;
    });
    cache_.end();
  }

  void evaluate(AnyBatch& batch, DeviceMean& loss) {
    loss.add(evaluate_(batch, &metrics_), static_cast<double>(batch.samples()));
  }

  std::unique_ptr<AnyWalk> walk_;
  Evaluator evaluate_;
  BatchCache& cache_;
  TrainingMode& mode_;
  Team& team_;
  MetricMeans metrics_;
  std::int64_t most_batches_;
};

}  // namespace lrfinder::training
