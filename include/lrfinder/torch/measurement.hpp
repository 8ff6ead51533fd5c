#pragma once

#include <cstddef>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/torch.h>

#include <lrfinder/history/history.hpp>

namespace lrfinder::detail {

/// The weighted mean of values that stay on their device as tensors of one element.
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
  double weight() const { return std::accumulate(weights_.begin(), weights_.end(), 0.0); }

  /// The mean of the values, after they were copied to the host, in double precision. `first`:
  /// points to the first of the copied values.
  double of(const double* first) const {
    return std::inner_product(weights_.begin(), weights_.end(), first, 0.0) / weight();
  }

 private:
  std::vector<torch::Tensor> values_;
  std::vector<double> weights_;
};

/// The measured values of one iteration, on their way from the device to the host.
///
/// The device need not wait for the host. The values are copied into pinned memory in the queue of
/// the device: after the work that computes them, and before later work. So they can be read at any
/// time. Values that are already on the host are read at once.
class DeviceMeasurement {
 public:
  DeviceMean loss;
  DeviceMean untrained_loss;  // empty if it is not measured
  DeviceMean grad_norm;       // empty if it is not recorded
  std::vector<std::pair<std::string, DeviceMean>> metrics;

  /// Starts the copy. Must be called after all values were added.
  void send() {
    std::vector<torch::Tensor> on_device;
    const auto add = [&](const DeviceMean& mean) {
      for (const torch::Tensor& value : mean.values()) {
        const bool on_host = value.is_cpu();
        values_.push_back(on_host ? value.item<double>() : 0);
        if (on_host) continue;
        indices_.push_back(values_.size() - 1);
        on_device.push_back(
            value.to(on_device.empty() ? value.device() : on_device.front().device(), true));
      }
    };
    add(loss);
    add(untrained_loss);
    add(grad_norm);
    for (const auto& metric : metrics) add(metric.second);
    if (on_device.empty()) return;
    const torch::NoGradGuard without_gradients;
    const torch::Tensor stacked =
        on_device.size() == 1 ? on_device.front().reshape({1}) : torch::stack(on_device);
    if (!stacked.is_cuda()) {  // other devices may lack pinned memory or events
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

  /// Waits for the values, and returns them. Must be called only once, after send().
  Measurement receive() {
    if (copy_.defined()) {
      while (arrived_ && !arrived_->query()) std::this_thread::yield();
      const torch::Tensor copied = std::exchange(copy_, {}).to(torch::kDouble);
      for (std::size_t i = 0; i < indices_.size(); ++i) {
        values_[indices_[i]] = copied.data_ptr<double>()[i];
      }
    }
    const double* value = values_.data();
    const auto next = [&](const DeviceMean& mean) {
      const double* const first = value;
      value += mean.values().size();
      return mean.of(first);
    };
    Measurement measurement;
    measurement.raw_loss = next(loss);
    if (!untrained_loss.empty()) measurement.untrained_loss = next(untrained_loss);
    if (!grad_norm.empty()) measurement.grad_norm = next(grad_norm);
    for (const auto& [name, mean] : metrics) measurement.metrics[name] = next(mean);
    return measurement;
  }

  /// Copies the values to the host, waits for them, and returns them. Must be called only once.
  Measurement read() {
    send();
    return receive();
  }

 private:
  std::vector<double> values_;        // of all means, in the order of send()
  std::vector<std::size_t> indices_;  // of the copied values, in values_
  torch::Tensor copy_;
  std::optional<c10::Event> arrived_;
};

}  // namespace lrfinder::detail
