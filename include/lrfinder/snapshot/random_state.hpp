#pragma once

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/torch.h>

namespace lrfinder::detail {

/// The state of the default random generators of the CPU, of one device, and of all others of its
/// type: a model may be on several. Leaves out a device for which LibTorch has no generator.
class RandomState {
 public:
  explicit RandomState(torch::Device device) {
    save(torch::Device(torch::kCPU));
    if (device.is_cpu()) return;
    save(device);
    const c10::impl::VirtualGuardImpl guard(device.type());
    for (int index = 0; index < guard.deviceCount(); ++index) {
      if (index != device.index()) {
        save(torch::Device(device.type(), static_cast<c10::DeviceIndex>(index)));
      }
    }
  }

  /// Whether random numbers have been drawn since the state was saved.
  bool has_changed() const {
    return std::any_of(states_.begin(), states_.end(), [](const auto& saved) {
      return !torch::equal(current(saved.first), saved.second);
    });
  }

  /// The tensors that hold the state, so that callers can read and overwrite them.
  std::vector<torch::Tensor> tensors() const {
    std::vector<torch::Tensor> all;
    for (const auto& [generator, state] : states_) all.push_back(state);
    return all;
  }

  void restore() const {
    for (auto [generator, state] : states_) {
      const std::lock_guard<std::mutex> lock(generator.mutex());
      generator.set_state(state);
    }
  }

 private:
  void save(torch::Device device) {
    at::Generator generator;
    try {
      generator = at::globalContext().defaultGenerator(device);
    } catch (const c10::Error&) {  // no generator; CUDA has one, so there the reason differs
      if (device.is_cuda()) throw;
    }
    if (generator.defined()) states_.emplace_back(generator, current(generator));
  }

  static torch::Tensor current(at::Generator generator) {
    const std::lock_guard<std::mutex> lock(generator.mutex());
    return generator.get_state();
  }

  std::vector<std::pair<at::Generator, torch::Tensor>> states_;
};

}  // namespace lrfinder::detail
