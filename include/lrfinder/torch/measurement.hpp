#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/torch.h>

#include <lrfinder/history/iteration.hpp>

/// @file
/// What is measured in an iteration, on its way: on the device (DeviceMeasurement), under way to
/// the host (PendingMeasurement), on the host (Measurement).

namespace lrfinder::detail {

/// The weighted mean of values that stay on a device, as tensors of one element.
class DeviceMean {
 public:
  DeviceMean() = default;
  /// The mean of one value.
  explicit DeviceMean(const torch::Tensor& value) { add(value, 1); }

  void add(const torch::Tensor& value, double weight) {
    torch::Tensor detached = value.requires_grad() ? value.detach() : value;
    if (detached.dim() != 0) detached = detached.reshape({});
    values_.push_back(std::move(detached));
    weights_.push_back(weight);
  }

  bool empty() const noexcept { return values_.empty(); }
  /// The values, in the order in which they were added.
  const std::vector<torch::Tensor>& values() const noexcept { return values_; }

  /// The sum of the weights.
  double weight() const {
    double sum = 0;
    for (const double weight : weights_) sum += weight;
    return sum;
  }

  /// The mean, once the values are on the host: `first` points to as many as values() has. Computed
  /// in double precision.
  double of(const double* first) const {
    double sum = 0;
    for (const double weight : weights_) sum += weight * *first++;
    return sum / weight();
  }

 private:
  std::vector<torch::Tensor> values_;
  std::vector<double> weights_;
};

/// What is measured in one iteration, on the device.
struct DeviceMeasurement {
  DeviceMean loss;
  /// Empty where it is not recorded.
  DeviceMean grad_norm;
  std::vector<std::pair<std::string, DeviceMean>> metrics;
};

/// A measurement under way from the device to the host, which goes on meanwhile.
///
/// The values are copied into pinned memory on the device's own queue, behind what computes them
/// and before what comes next, so it does not matter when they are read. Values that are on the
/// host already are read at once.
class PendingMeasurement {
 public:
  /// Starts the copy.
  explicit PendingMeasurement(DeviceMeasurement measured) : measured_(std::move(measured)) {
    std::vector<torch::Tensor> on_device;
    for_each_mean([&](const DeviceMean& mean) {
      for (const torch::Tensor& value : mean.values()) {
        const bool on_host = value.is_cpu();
        values_.push_back(on_host ? value.item<double>() : 0);
        if (on_host) continue;
        indices_.push_back(values_.size() - 1);
        on_device.push_back(
            value.to(on_device.empty() ? value.device() : on_device.front().device(), true));
      }
    });
    if (!on_device.empty()) start_copy(on_device);
  }

  /// The measurement; waits until it has arrived. To be called once.
  Measurement wait() {
    finish_copy();
    Measurement measurement;
    const double* value = values_.data();
    const auto next = [&](const DeviceMean& mean) {
      const double* const first = value;
      value += mean.values().size();
      return mean.of(first);
    };
    measurement.loss = next(measured_.loss);
    if (!measured_.grad_norm.empty()) measurement.grad_norm = next(measured_.grad_norm);
    for (const auto& [name, mean] : measured_.metrics) measurement.metrics[name] = next(mean);
    return measurement;
  }

 private:
  template <class Visit>
  void for_each_mean(Visit&& visit) const {
    visit(measured_.loss);
    visit(measured_.grad_norm);
    for (const auto& metric : measured_.metrics) visit(metric.second);
  }

  void start_copy(const std::vector<torch::Tensor>& on_device) {
    const torch::NoGradGuard without_gradients;
    const torch::Tensor stacked = torch::stack(on_device);
    if (!stacked.is_cuda()) {  // other devices may know neither pinned memory nor events
      copy_ = stacked.cpu();
      return;
    }
    copy_ =
        torch::empty(stacked.sizes(), stacked.options().device(torch::kCPU).pinned_memory(true));
    copy_.copy_(stacked, /*non_blocking=*/true);
    const torch::Device device = stacked.device();
    arrived_.emplace(device.type());
    arrived_->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  }

  void finish_copy() {
    if (!copy_.defined()) return;
    while (arrived_ && !arrived_->query()) std::this_thread::yield();
    const torch::Tensor copied = std::exchange(copy_, {}).to(torch::kDouble);
    for (std::size_t i = 0; i < indices_.size(); ++i) {
      values_[indices_[i]] = copied.data_ptr<double>()[i];
    }
  }

  DeviceMeasurement measured_;
  std::vector<double> values_;        // of all means, in the order of for_each_mean()
  std::vector<std::size_t> indices_;  // in values_, of those that are being copied
  torch::Tensor copy_;
  std::optional<c10::Event> arrived_;
};

/// The measurement, for which the host waits.
inline Measurement read(DeviceMeasurement measured) {
  return PendingMeasurement(std::move(measured)).wait();
}

}  // namespace lrfinder::detail
