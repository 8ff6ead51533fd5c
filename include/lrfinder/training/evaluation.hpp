#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/data/batch_cache.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/snapshot/modes.hpp>
#include <lrfinder/torch/autocast.hpp>
#include <lrfinder/torch/device.hpp>
#include <lrfinder/training/measurement.hpp>

namespace lrfinder::detail {

/// The means of the metrics of a test over some batches.
class MetricMeans {
 public:
  /// `options` live as long as this.
  explicit MetricMeans(const RangeTestOptions& options)
      : metrics_(options.metrics()), means_(options.metrics().size()) {}

  /// Evaluates all metrics on a batch.
  void add(const torch::Tensor& output, const torch::Tensor& target, double samples) {
    const torch::NoGradGuard without_gradients;
    for (std::size_t i = 0; i < metrics_.size(); ++i) {
      const auto& [name, metric] = metrics_[i];
      const torch::Tensor value = metric(output.detach(), target);
      if (!value.defined() || value.numel() != 1) {
        throw InvalidStep("range_test: the metric \"" + name + "\" must return a scalar");
      }
      means_[i].add(value, samples);
    }
  }

  /// The mean of each metric over the samples since the last call, by name.
  std::vector<std::pair<std::string, DeviceMean>> take() {
    std::vector<std::pair<std::string, DeviceMean>> means;
    for (std::size_t i = 0; i < metrics_.size(); ++i) {
      means.emplace_back(metrics_[i].first, std::exchange(means_[i], {}));
    }
    return means;
  }

  bool empty() const noexcept { return metrics_.empty(); }

 private:
  const std::vector<std::pair<std::string, Metric>>& metrics_;
  std::vector<DeviceMean> means_;
};

/// Throws InvalidStep unless the loss is one number.
inline void require_scalar(const torch::Tensor& loss) {
  if (loss.defined() && loss.numel() == 1) return;
  std::ostringstream message;
  message << "range_test: the criterion returned ";
  if (loss.defined()) {
    message << "a tensor of shape " << loss.sizes();
  } else {
    message << "an undefined tensor";
  }
  message << "; it must return a scalar: reduce the losses of the samples with .mean()";
  throw InvalidStep(message.str());
}

/// Evaluates batches on a device, in the precision that the options ask for.
class Evaluator {
 public:
  Evaluator(torch::Device device, const RangeTestOptions& options)
      : device_(device), autocast_(options.autocast()) {}

  /// The loss on a batch, a tensor of one element. Adds to the `metrics`, unless they are null.
  ///
  /// Throws InvalidStep when the batch has no tensors or the criterion returns no scalar.
  torch::Tensor operator()(AnyBatch& batch, MetricMeans* metrics) const {
    const Autocast in_mixed_precision(device_, autocast_);
    Evaluation evaluation = batch.evaluate();
    if (metrics && !metrics->empty()) {
      metrics->add(evaluation.output, evaluation.target, static_cast<double>(batch.samples()));
    }
    require_scalar(evaluation.loss);
    return std::move(evaluation.loss);
  }

 private:
  torch::Device device_;
  std::optional<at::ScalarType> autocast_;
};

/// How much of the device the batches of a validation loader may take: what the options say or, by
/// default, a quarter of what is free, of which every rank has its share.
inline std::int64_t max_cached_bytes(const RangeTestOptions& options, torch::Device device) {
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
             const RangeTestOptions& options, Session& team)
      : walk_(loader.walk(device)),
        evaluate_(device, options),
        cache_(cache),
        mode_(mode),
        team_(team),
        metrics_(options),
        max_batches_(options.val_batches().value_or(std::numeric_limits<std::int64_t>::max())) {
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
      return ++seen < max_batches_;
    });
    cache_.end();
  }

  void evaluate(AnyBatch& batch, DeviceMean& loss) {
    loss.add(evaluate_(batch, &metrics_), static_cast<double>(batch.samples()));
  }

  std::unique_ptr<AnyBatchIterator> walk_;
  Evaluator evaluate_;
  BatchCache& cache_;
  TrainingMode& mode_;
  Session& team_;
  MetricMeans metrics_;
  std::int64_t max_batches_;
};

}  // namespace lrfinder::detail
