#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <fstream>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/DeviceGuard.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <lrfinder/detail/system.hpp>
#include <lrfinder/detail/text.hpp>

/// @file
/// Differences between versions of LibTorch, and workarounds for all versions.

namespace lrfinder::detail {

/// The message of an exception, without the stack trace that LibTorch adds to its own.
inline std::string message_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception that is not a std::exception";
  }
}

/// The first sentence of the message, because LibTorch may add a list of all its backends.
inline std::string first_sentence_of(const std::exception_ptr& exception) {
  const std::string message = message_of(exception);
  return message.substr(0, std::min(message.find(". "), message.find('\n')));
}

/// The type of the map from parameters to their state in an optimizer.
using OptimizerState = std::decay_t<decltype(std::declval<torch::optim::Optimizer&>().state())>;

/// The key of a parameter in this map: a string before LibTorch 2.1, a pointer since.
template <class Key = OptimizerState::key_type>
Key state_key(const torch::Tensor& parameter) {
  void* const key = parameter.unsafeGetTensorImpl();
  if constexpr (std::is_pointer_v<Key>) {
    return key;
  } else {
    return concat(key);
  }
}

/// The state of a parameter in an optimizer; null if there is none.
inline torch::optim::OptimizerParamState* state_of(torch::optim::Optimizer& optimizer,
                                                   const torch::Tensor& parameter) {
  const auto found = optimizer.state().find(state_key(parameter));
  return found == optimizer.state().end() ? nullptr : found->second.get();
}

/// Zeroes the gradients of the parameters of an optimizer: in place, or as its zero_grad() does it.
/// Since LibTorch 2.0, zero_grad() makes them undefined. In 1.13, it zeroes them in place.
template <class Optimizer>
auto zero_gradients(Optimizer& optimizer, bool in_place)
    -> decltype(optimizer.zero_grad(!in_place)) {
  optimizer.zero_grad(/*set_to_none=*/!in_place);
}
inline void zero_gradients(torch::optim::Optimizer& optimizer, ...) { optimizer.zero_grad(); }

/// The autocast settings of the calling thread for one type of device.
struct AutocastMode {
  torch::DeviceType type;
  bool enabled;
  at::ScalarType dtype;
};

// Since LibTorch 2.4, the same functions serve all types of device. Before, each type had its own.
// Before 2.4, only the CPU, with bfloat16, and CUDA are supported here.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
inline bool has_autocast(torch::DeviceType type, at::ScalarType dtype = torch::kBFloat16) {
  return at::autocast::is_autocast_available(type) &&
         (dtype == torch::kBFloat16 || dtype == torch::kHalf);
}
inline AutocastMode autocast_mode(torch::DeviceType type) {
  return {type, at::autocast::is_autocast_enabled(type), at::autocast::get_autocast_dtype(type)};
}
inline void set_autocast(const AutocastMode& mode) {
  at::autocast::set_autocast_dtype(mode.type, mode.dtype);
  at::autocast::set_autocast_enabled(mode.type, mode.enabled);
}
#else
inline bool has_autocast(torch::DeviceType type, at::ScalarType dtype = torch::kBFloat16) {
  return (dtype == torch::kBFloat16 && type == torch::kCPU) ||
         ((dtype == torch::kBFloat16 || dtype == torch::kHalf) && type == torch::kCUDA);
}
inline AutocastMode autocast_mode(torch::DeviceType type) {
  if (type == torch::kCPU) {
    return {type, at::autocast::is_cpu_enabled(), at::autocast::get_autocast_cpu_dtype()};
  }
  return {type, at::autocast::is_enabled(), at::autocast::get_autocast_gpu_dtype()};
}
inline void set_autocast(const AutocastMode& mode) {
  if (mode.type == torch::kCPU) {
    at::autocast::set_autocast_cpu_dtype(mode.dtype);
    at::autocast::set_cpu_enabled(mode.enabled);
  } else {
    at::autocast::set_autocast_gpu_dtype(mode.dtype);
    at::autocast::set_enabled(mode.enabled);
  }
}
#endif

/// Multiplies the tensors by `factor` in place. Sets `found` to 1 if a tensor contains an infinity
/// or a NaN. All tensors have one device and type. `factor` and `found` are float tensors of one
/// element on the same device.
///
/// LibTorch has one operator for all of this: for CUDA, since 2.3 for the CPU, and for some other
/// accelerators. Without that operator, the tensors are processed one by one.
inline void unscale_and_check(const std::vector<torch::Tensor>& tensors,
                              const torch::Tensor& factor, torch::Tensor& found) {
  static const auto in_one_go = c10::Dispatcher::singleton().findSchemaOrThrow(
      "aten::_amp_foreach_non_finite_check_and_unscale_", "");
  if (in_one_go.hasKernelForDispatchKey(c10::legacyExtractDispatchKey(found.key_set()))) {
    at::_amp_foreach_non_finite_check_and_unscale_(tensors, found, factor);
    return;
  }
  for (const torch::Tensor& tensor : tensors) {
    found.logical_or_(tensor.isfinite().all().logical_not());
    tensor.mul_(factor.squeeze());
  }
}

// Reads the number after a word in a file of the kernel, or the first number without a word.
inline std::optional<std::int64_t> number_in(const std::string& file,
                                             const std::string& name = "") {
  std::ifstream in(file);
  std::string word;
  while (word != name && in >> word) {
  }
  std::int64_t number = 0;
  return in >> number ? std::optional(number) : std::nullopt;
}

inline std::optional<std::int64_t> free_on_host() {
  constexpr std::int64_t kib = 1024;
  std::optional<std::int64_t> free = number_in("/proc/meminfo", "MemAvailable:");
  if (free) *free *= kib;
  const auto limit = [&](std::optional<std::int64_t> most, std::optional<std::int64_t> used) {
    if (most && used) {
      free = std::min(free.value_or(*most), std::max<std::int64_t>(*most - *used, 0));
    }
  };
  // The address space (ulimit -v). Without a limit the files say "unlimited" and "max".
  limit(number_in("/proc/self/limits", "space"),
        number_in("/proc/self/status", "VmSize:").value_or(0) * kib);
  // The control group of the process and those around it, by version 2 or 1: "0::/a/b" or
  // "5:memory:/a/b". A container may see its own group as the root.
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const bool is_v1 = line.find(":memory:") != line.npos;
    if (!is_v1 && line.substr(0, 3) != "0::") continue;
    std::string path = "/sys/fs/cgroup";
    if (is_v1) path += "/memory";
    const std::size_t root = path.size();
    for (path += line.substr(is_v1 ? line.find(":memory:") + 8 : 3); path.size() >= root;
         path.resize(path.rfind('/'))) {
      limit(number_in(path + (is_v1 ? "/memory.limit_in_bytes" : "/memory.max")),
            number_in(path + (is_v1 ? "/memory.usage_in_bytes" : "/memory.current")));
    }
  }
  return free;
}

// Calls the CUDA or HIP runtime that LibTorch has loaded. This needs none of its headers.
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

/// The free memory of a device in bytes, if it can be found without the headers of the device;
/// otherwise 1 GiB.
inline std::int64_t free_memory(torch::Device device) {
  std::optional<std::int64_t> free;
  if (device.is_cpu()) free = free_on_host();
  if (device.is_cuda()) free = free_on_cuda(device);
  return free.value_or(std::int64_t{1} << 30);
}

}  // namespace lrfinder::detail
