#pragma once

#include <cstdint>
#include <limits>

#include <torch/torch.h>

#include <lrfinder/curve/iteration.hpp>
#include <lrfinder/training/batch.hpp>
#include <lrfinder/training/loader.hpp>
#include <lrfinder/training/means.hpp>
#include <lrfinder/training/objective.hpp>
#include <lrfinder/training/options.hpp>
#include <lrfinder/training/training_mode.hpp>

namespace lrfinder::training {

/// The mean loss, and the metrics, over the samples of a validation loader, in eval mode and
/// without gradients.
///
/// Each batch's loss is weighted by its size, and the sum divided by the number of samples that
/// were seen, so that a smaller last batch or a dropped one does no harm. The criterion has to
/// average over the samples of its batch, as LibTorch's do by default.
template <class Model, class Criterion, class Loader>
class Validation {
 public:
  Validation(Objective<Model, Criterion>& objective, Walk<Loader>& batches, TrainingMode& mode,
             const RangeTestOptions& options)
      : objective_(objective),
        batches_(batches),
        mode_(mode),
        metrics_(options),
        most_batches_(options.val_batches().value_or(std::numeric_limits<std::int64_t>::max())) {}

  /// Evaluates one pass over the loader.
  Measurement operator()() {
    const torch::NoGradGuard without_gradients;
    mode_.evaluate();
    DeviceMean loss;
    std::int64_t seen = 0;
    batches_.each([&](const auto& fetched) {
      const auto batch = objective_.prepared(fetched);
      loss.add(objective_(batch, &metrics_), static_cast<double>(samples_in(batch)));
      return ++seen < most_batches_;
    });
    mode_.train();
    return {loss.value(), {}, metrics_.take()};
  }

 private:
  Objective<Model, Criterion>& objective_;
  Walk<Loader>& batches_;
  TrainingMode& mode_;
  MetricMeans metrics_;
  std::int64_t most_batches_;
};

}  // namespace lrfinder::training
