#pragma once

#include <cstddef>
#include <optional>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/curve/error.hpp>
#include <lrfinder/training/autocast.hpp>
#include <lrfinder/training/batch.hpp>
#include <lrfinder/training/criterion.hpp>
#include <lrfinder/training/loader.hpp>
#include <lrfinder/training/means.hpp>
#include <lrfinder/training/model.hpp>
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

/// Throws InvalidStep unless the tensor is there.
inline void require_defined(const torch::Tensor& tensor, const char* what) {
  if (!tensor.defined()) {
    throw InvalidStep(std::string("range_test: the batch has no ") + what +
                      ": its tensor is undefined");
  }
}
template <class T>
void require_defined(const T&, const char*) {}

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

/// What is evaluated on every batch: the loss of a model under a criterion, and the metrics.
template <class Model, class Criterion>
class Objective {
 public:
  Objective(Model& model, Criterion& criterion, torch::Device device,
            const RangeTestOptions& options)
      : model_(model), criterion_(criterion), device_(device), autocast_(options.autocast()) {}

  /// The device where batches are evaluated.
  torch::Device device() const noexcept { return device_; }

  /// The batch as it is evaluated: collated where the criterion takes an output and a target, and
  /// on the device.
  template <class Batch>
  auto prepared(const Batch& batch) const {
    if constexpr (takes_output_and_target<Model, Criterion, Batch>) {
      return on_device(collated(batch), device_);
    } else {
      return on_device(batch, device_);
    }
  }

  /// True when metrics can be evaluated on batches of this type.
  template <class Batch>
  static constexpr bool has_metrics() {
    if constexpr (takes_output_and_target<Model, Criterion, Batch>) {
      using Prepared = std::decay_t<decltype(collated(std::declval<const Batch&>()))>;
      using Output =
          decltype(forward(std::declval<Model&>(), input_of(std::declval<const Prepared&>())));
      using Target = decltype(target_of(std::declval<const Prepared&>()));
      return std::is_convertible_v<Output, torch::Tensor> &&
             std::is_convertible_v<Target, torch::Tensor>;
    } else {
      return false;
    }
  }

  /// The loss on a prepared batch, a tensor of one element. Adds to the `metrics` where they are
  /// wanted.
  ///
  /// Throws InvalidStep when the batch has no tensors or the criterion returns no scalar.
  template <class Batch>
  torch::Tensor operator()(const Batch& batch, MetricMeans* metrics = nullptr) {
    const Autocast in_mixed_precision(device_, autocast_);
    torch::Tensor loss;
    if constexpr (takes_output_and_target<Model, Criterion, Batch>) {
      require_defined(input_of(batch), "input");
      require_defined(target_of(batch), "target");
      const auto output = forward(model_, input_of(batch));
      loss = call_criterion(criterion_, output, target_of(batch));
      if constexpr (has_metrics<Batch>()) {
        if (metrics && !metrics->empty()) {
          metrics->add(output, target_of(batch), static_cast<double>(samples_in(batch)));
        }
      }
    } else {
      loss = call_criterion(criterion_, model_, batch);
    }
    require_scalar(loss);
    return loss;
  }

 private:
  Model& model_;
  Criterion& criterion_;
  torch::Device device_;
  std::optional<at::ScalarType> autocast_;
};

/// What the objective evaluates in place of the batches of a loader.
template <class Model, class Criterion, class Loader>
using Prepared = std::decay_t<decltype(std::declval<const Objective<Model, Criterion>&>().prepared(
    std::declval<const traits::batch_t<Loader>&>()))>;

}  // namespace lrfinder::training
