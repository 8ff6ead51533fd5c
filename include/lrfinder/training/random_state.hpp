#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include <torch/torch.h>

namespace lrfinder::training {

/// The state of the default random generators of the CPU and of one device, where LibTorch gives
/// that one a generator.
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

  // Undefined where there is none, which LibTorch says by an error. CUDA has one, so that its
  // errors have other reasons.
  static at::Generator default_generator(torch::Device device) {
    try {
      return at::globalContext().defaultGenerator(device);
    } catch (const c10::Error&) {
      if (device.is_cuda()) throw;
      return {};
    }
  }

  std::vector<std::pair<at::Generator, torch::Tensor>> states_;
};

}  // namespace lrfinder::training
