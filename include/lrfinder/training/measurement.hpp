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

namespace lrfinder::detail {

/// Figures on their way from a device to the host, which goes on meanwhile.
///
/// They are copied into pinned memory on the device's own queue, behind what computes them and
/// before what comes next, so it does not matter when they are looked at. Figures that are on the
/// host are read at once.
class AsyncCopy {
 public:
  /// Starts the copy. `figures`: tensors of one element.
  explicit AsyncCopy(const std::vector<torch::Tensor>& figures) : values_(figures.size()) {
    std::vector<torch::Tensor> elsewhere;
    for (std::size_t i = 0; i < figures.size(); ++i) {
      if (figures[i].is_cpu()) {
        values_[i] = figures[i].item<double>();
      } else {
        elsewhere.push_back(figures[i].to(
            elsewhere.empty() ? figures[i].device() : elsewhere.front().device(), true));
        places_.push_back(i);
      }
    }
    if (!elsewhere.empty()) start_copy(elsewhere);
  }

  /// The figures in their order, in double precision; waits until they are there.
  const std::vector<double>& wait() {
    if (!copy_.defined()) return values_;
    while (arrived_ && !arrived_->query()) std::this_thread::yield();
    const torch::Tensor copied = std::exchange(copy_, {}).to(torch::kDouble);
    for (std::size_t i = 0; i < places_.size(); ++i) {
      values_[places_[i]] = copied.data_ptr<double>()[i];
    }
    return values_;
  }

 private:
  void start_copy(const std::vector<torch::Tensor>& figures) {
    const torch::NoGradGuard without_gradients;
    const torch::Tensor together = torch::stack(figures);
    if (!together.is_cuda()) {  // what else there is may know neither pinned memory nor events
      copy_ = together.cpu();
      return;
    }
    copy_ =
        torch::empty(together.sizes(), together.options().device(torch::kCPU).pinned_memory(true));
    copy_.copy_(together, /*non_blocking=*/true);
    const torch::Device device = together.device();
    arrived_.emplace(device.type());
    arrived_->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  }

  std::vector<double> values_;
  std::vector<std::size_t> places_;  // of what is being copied, in values_
  torch::Tensor copy_;
  std::optional<c10::Event> arrived_;
};

}  // namespace lrfinder::detail

/// @file
/// What is measured on a device, before and after it is read.

namespace lrfinder::detail {

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
  AsyncCopy readback_;
};

/// The measurement, for which the host waits.
inline Measurement read(DeviceMeasurement measured) {
  return PendingMeasurement(std::move(measured)).wait();
}

}  // namespace lrfinder::detail
