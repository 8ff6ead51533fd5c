#pragma once

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include <torch/torch.h>

namespace lrfinder::detail {

/// The state of the default random generators of the CPU and of one device. Leaves out a device for
/// which LibTorch has no generator.
class RandomState {
 public:
  explicit RandomState(torch::Device device) {
    save(torch::Device(torch::kCPU));
    if (device.type() != torch::kCPU) save(device);
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
