#pragma once

#include <cstddef>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/curve/error.hpp>
#include <lrfinder/training/any_loader.hpp>
#include <lrfinder/training/autocast.hpp>
#include <lrfinder/training/means.hpp>
#include <lrfinder/training/options.hpp>

namespace lrfinder::training {

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

}  // namespace lrfinder::training
