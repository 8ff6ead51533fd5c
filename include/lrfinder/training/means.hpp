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
    torch::Tensor figure = value.requires_grad() ? value.detach() : value;
    if (figure.dim() != 0) figure = figure.reshape({});
    figures_.push_back({std::move(figure), weight});
  }

  /// One of the figures, and its weight.
  struct Figure {
    torch::Tensor value;
    double weight;
  };

  /// The figures, in the order in which they were added.
  const std::vector<Figure>& figures() const noexcept { return figures_; }

  /// The sum of the weights.
  double weight() const {
    double sum = 0;
    for (const Figure& figure : figures_) sum += figure.weight;
    return sum;
  }

  /// The mean of the figures that were read, from `value` on, of which there are as many as
  /// figures(). Computed in double precision.
  double of(const double* value) const {
    double sum = 0;
    for (const Figure& figure : figures_) sum += figure.weight * *value++;
    return sum / weight();
  }

 private:
  std::vector<Figure> figures_;
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
    std::vector<torch::Tensor> values;
    const auto append = [&](const DeviceMean& mean) {
      for (const DeviceMean::Figure& figure : mean.figures()) values.push_back(figure.value);
    };
    append(measured.loss);
    append(measured.grad_norm);
    for (const auto& metric : measured.metrics) append(metric.second);
    return values;
  }

  DeviceMeasurement measured_;
  Readback readback_;
};

/// The measurement, for which the host waits.
inline Measurement read(DeviceMeasurement measured) {
  return PendingMeasurement(std::move(measured)).wait();
}

}  // namespace lrfinder::training
