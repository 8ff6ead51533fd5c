#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/curve/iteration.hpp>
#include <lrfinder/training/readback.hpp>

/// @file
/// What is measured on a device, before and after it is read.

namespace lrfinder::training {

/// The weighted mean of figures that lie on a device as tensors of one element, and stay there.
class DeviceMean {
 public:
  DeviceMean() = default;
  /// The mean of one figure.
  explicit DeviceMean(const torch::Tensor& value) { add(value, 1); }

  void add(const torch::Tensor& value, double weight) {
    figures_.push_back(value.dim() == 0 ? value.detach() : value.detach().reshape({}));
    weights_.push_back(weight);
  }

  /// The figures, in the order in which they were added.
  const std::vector<torch::Tensor>& figures() const noexcept { return figures_; }

  /// The sum of the weights.
  double weight() const {
    double sum = 0;
    for (const double weight : weights_) sum += weight;
    return sum;
  }

  /// The mean of the figures that were read, from `value` on, of which there are as many as
  /// figures(). Computed in double precision.
  double of(const double* value) const {
    double sum = 0;
    for (const double weight : weights_) sum += weight * *value++;
    return sum / weight();
  }

 private:
  std::vector<torch::Tensor> figures_;
  std::vector<double> weights_;
};

/// What is measured in one iteration, on the device.
struct DeviceMeasurement {
  DeviceMean loss;
  /// Empty where it is not recorded.
  DeviceMean grad_norm;
  std::vector<std::pair<std::string, DeviceMean>> metrics;
};

/// A measurement on its way from the device to the host.
class PendingMeasurement {
 public:
  /// Sends it on its way.
  explicit PendingMeasurement(DeviceMeasurement measured)
      : measured_(std::move(measured)), readback_(figures_of(measured_)) {}

  /// The measurement, once it has arrived.
  Measurement wait() {
    const double* value = readback_.wait().data();
    const auto next = [&](const DeviceMean& mean) {
      const double* const first = value;
      value += mean.figures().size();
      return mean.of(first);
    };
    Measurement measurement;
    measurement.loss = next(measured_.loss);
    if (!measured_.grad_norm.figures().empty()) measurement.grad_norm = next(measured_.grad_norm);
    for (const auto& [name, mean] : measured_.metrics) measurement.metrics[name] = next(mean);
    return measurement;
  }

 private:
  static std::vector<torch::Tensor> figures_of(const DeviceMeasurement& measured) {
    std::vector<torch::Tensor> figures = measured.loss.figures();
    const auto append = [&](const DeviceMean& mean) {
      figures.insert(figures.end(), mean.figures().begin(), mean.figures().end());
    };
    append(measured.grad_norm);
    for (const auto& metric : measured.metrics) append(metric.second);
    return figures;
  }

  DeviceMeasurement measured_;
  Readback readback_;
};

/// The measurement, for which the host waits.
inline Measurement read(DeviceMeasurement measured) {
  return PendingMeasurement(std::move(measured)).wait();
}

}  // namespace lrfinder::training
