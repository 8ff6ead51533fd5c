#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>

#include <c10/core/DeviceGuard.h>
#include <torch/torch.h>

#include <lrfinder/detail/system.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/torch/module.hpp>

namespace lrfinder::detail {

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

}  // namespace lrfinder::detail

/// @file
/// How much memory is free, as far as it can be told without a device's own headers.

namespace lrfinder::detail {

// The number after a word in a file of the kernel's.
inline std::optional<std::int64_t> number_in(const char* file, const std::string& name) {
  std::ifstream in(file);
  std::int64_t number = 0;
  if (name.empty()) return in >> number ? std::optional(number) : std::nullopt;
  for (std::string word; in >> word;) {
    if (word == name && in >> number) return number;
  }
  return std::nullopt;
}

inline std::optional<std::int64_t> free_on_host() {
  std::optional<std::int64_t> free = number_in("/proc/meminfo", "MemAvailable:");
  if (free) *free *= 1024;
  // A container may be allowed less. "max" is no number.
  const auto most = number_in("/sys/fs/cgroup/memory.max", "");
  const auto used = number_in("/sys/fs/cgroup/memory.current", "");
  if (most && used) free = std::min(free.value_or(*most), std::max<std::int64_t>(*most - *used, 0));
  return free;
}

// Asks the runtime that LibTorch has loaded, which needs none of its headers.
inline std::optional<std::int64_t> free_on_cuda(torch::Device device) {
  using MemGetInfo = int(std::size_t*, std::size_t*);
  for (const char* name : {"cudaMemGetInfo", "hipMemGetInfo"}) {
    if (auto* const get_info = reinterpret_cast<MemGetInfo*>(find_symbol(name))) {
      const c10::DeviceGuard guard(device);
      std::size_t free = 0;
      std::size_t total = 0;
      if (get_info(&free, &total) == 0) return static_cast<std::int64_t>(free);
    }
  }
  return std::nullopt;
}

/// Bytes of memory that are free on a device; 1 GiB where nobody says.
inline std::int64_t free_memory(torch::Device device) {
  constexpr std::int64_t unknown = std::int64_t{1} << 30;
  std::optional<std::int64_t> free;
  if (device.is_cpu()) free = detail::free_on_host();
  if (device.is_cuda()) free = detail::free_on_cuda(device);
  return free.value_or(unknown);
}

}  // namespace lrfinder::detail
