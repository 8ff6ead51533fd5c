#pragma once

#include <optional>
#include <string>

#include <torch/torch.h>

#include <lrfinder/curve/error.hpp>
#include <lrfinder/training/module_handle.hpp>

namespace lrfinder::training {

/// Where a range test runs, and whether the model has to go there.
struct Placement {
  /// The model's own device or, where one was asked for, that one.
  ///
  /// Throws InvalidOption when the device cannot be used.
  Placement(const ModuleHandle& model, const torch::optim::Optimizer& optimizer,
            std::optional<torch::Device> asked_for) {
    std::optional<torch::Device> home;
    const auto look_at = [&](const torch::Tensor& tensor) {
      if (!home) home = tensor.device();
      if (asked_for && tensor.device() != *asked_for) moves = true;
    };
    if (asked_for) asked_for = with_index(*asked_for);
    model.each_parameter(look_at);
    model.each_buffer(look_at);
    if (!home) {
      for (const auto& group : optimizer.param_groups()) {
        for (const auto& parameter : group.params()) look_at(parameter);
      }
    }
    device = asked_for.value_or(home.value_or(torch::Device(torch::kCPU)));
  }

  /// True for a tensor that is about to move.
  bool moves_tensor(const torch::Tensor& tensor) const {
    return moves && tensor.device() != device;
  }

  torch::Device device = torch::kCPU;
  bool moves = false;

 private:
  // "cuda" stands for the current CUDA device, which tensors know by its index.
  static torch::Device with_index(torch::Device device) {
    try {
      return torch::empty({0}, torch::TensorOptions().device(device)).device();
    } catch (const c10::Error& error) {
      throw InvalidOption("LRFinder: device " + device.str() +
                          " cannot be used. LibTorch says: " + error.what_without_backtrace());
    }
  }
};

}  // namespace lrfinder::training
