#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/data/batch_cache.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/snapshot/modes.hpp>
#include <lrfinder/torch/autocast.hpp>
#include <lrfinder/torch/measurement.hpp>
#include <lrfinder/training/settings.hpp>

namespace lrfinder::detail {

/// Throws InvalidStep unless the loss is one real number.
inline void require_scalar(const torch::Tensor& loss) {
  if (loss.defined() && loss.numel() == 1 && !loss.is_complex()) return;
  std::ostringstream message;
  message << "LRFinder: the criterion returned ";
  if (!loss.defined()) {
    message << "an undefined tensor";
  } else if (loss.is_complex()) {
    message << "a complex tensor";
  } else {
    message << "a tensor of shape " << loss.sizes();
  }
  message << "; it must return a real scalar: reduce the losses of the samples with .mean()";
  throw InvalidStep(message.str());
}

/// Evaluates the model and the criterion on a batch, in the precision that is set. Returns the
/// loss, a tensor of one element. With `metrics`, adds their values to those of `measured`,
/// weighted by the size of the batch.
///
/// Throws InvalidStep when the batch has no tensors, or the criterion or a metric returns no
/// scalar.
inline torch::Tensor evaluate(AnyBatch& batch, const TrainingSettings& settings,
                              DeviceMeasurement* metrics = nullptr) {
  const Autocast in_mixed_precision(settings.placement.device, settings.autocast);
  Evaluation evaluation = batch.evaluate();
  if (metrics) {
    const torch::NoGradGuard without_gradients;
    metrics->metrics.resize(settings.metrics.size());
    for (std::size_t i = 0; i < settings.metrics.size(); ++i) {
      const auto& [name, metric] = settings.metrics[i];
      const torch::Tensor value = metric(evaluation.output.detach(), evaluation.target);
      if (!value.defined() || value.numel() != 1) {
        throw InvalidStep("LRFinder: the metric \"" + name + "\" must return a scalar");
      }
      metrics->metrics[i].first = name;
      metrics->metrics[i].second.add(value, static_cast<double>(batch.samples()));
    }
  }
  require_scalar(evaluation.loss);
  return std::move(evaluation.loss);
}

/// The mean loss, and the metrics, over the samples of a validation loader, in eval mode and
/// without gradients.
///
/// Each batch's loss is weighted by its size, and the sum divided by the number of samples that
/// were seen, so that a smaller last batch or a dropped one does no harm. With several ranks these
/// are the samples of all. The criterion has to average over the samples of its batch, as
/// LibTorch's do by default.
///
/// The random state stays as it was, so that training goes on alike whether the loader, which may
/// shuffle, is read or its batches were kept.
class Validation {
 public:
  /// Goes to the first batch, unless the cache has them all. All arguments live as long as this.
  ///
  /// Throws EmptyLoader when there is none.
  Validation(AnyLoader& loader, BatchCache& cache, TrainingMode& mode,
             const TrainingSettings& settings, Session& session)
      : batches_(loader.iterate(settings.placement.device)),
        cache_(cache),
        mode_(mode),
        settings_(settings),
        session_(session) {
    if (cache.is_complete()) return;
    const RandomState random(settings.placement.device);
    batches_->start();
    random.restore();
  }

  /// Evaluates one pass over the loader.
  DeviceMeasurement operator()() {
    const torch::NoGradGuard without_gradients;
    const RandomState random(settings_.placement.device);
    DeviceMeasurement measured;
    mode_.evaluate();
    if (cache_.begin_kept()) {
      for (const auto& batch : cache_.batches()) add(*batch, measured);
    } else {
      read_loader(measured);
    }
    mode_.train();
    random.restore();
    const double samples = measured.loss.weight();
    return session_.mean(std::move(measured), samples);
  }

 private:
  void add(AnyBatch& batch, DeviceMeasurement& measured) {
    const torch::Tensor loss = evaluate(batch, settings_, &measured);
    measured.loss.add(loss, static_cast<double>(batch.samples()));
  }

  void read_loader(DeviceMeasurement& measured) {
    std::int64_t seen = 0;
    cache_.begin();
    batches_->for_each([&](std::unique_ptr<AnyBatch> batch) {
      cache_.detach(*batch);
      add(*batch, measured);
      cache_.store(std::move(batch));
      return ++seen < settings_.max_val_batches;
    });
    cache_.end();
  }

  std::unique_ptr<AnyBatchIterator> batches_;
  BatchCache& cache_;
  TrainingMode& mode_;
  const TrainingSettings& settings_;
  Session& session_;
};

}  // namespace lrfinder::detail
