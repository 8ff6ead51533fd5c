#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include <torch/torch.h>

namespace lrfinder::training {

/// The state of the default random generators of the CPU and of one device.
class RandomState {
 public:
  explicit RandomState(torch::Device device) {
    save(torch::Device(torch::kCPU));
    if (device.type() != torch::kCPU) save(device);
  }

  void restore() const {
    for (auto [generator, state] : states_) {
      const std::lock_guard<std::mutex> lock(generator.mutex());
      generator.set_state(state);
    }
  }

 private:
  void save(torch::Device device) {
    at::Generator generator = default_generator(device);
    if (!generator.defined()) return;
    const std::lock_guard<std::mutex> lock(generator.mutex());
    states_.emplace_back(generator, generator.get_state());
  }

  // Undefined for a device to which LibTorch gives no generator.
  static at::Generator default_generator(torch::Device device) {
    try {
      return at::globalContext().defaultGenerator(device);
    } catch (const c10::Error&) {
      return {};
    }
  }

  std::vector<std::pair<at::Generator, torch::Tensor>> states_;
};

}  // namespace lrfinder::training
