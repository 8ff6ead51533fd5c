#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <dlfcn.h>
#include <fstream>
#include <optional>
#include <string>

#include <c10/core/DeviceGuard.h>
#include <torch/torch.h>

/// @file
/// How much memory is free, as far as it can be told without a device's own headers.

namespace lrfinder::training {

namespace detail {

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
    if (auto* const get_info = reinterpret_cast<MemGetInfo*>(::dlsym(RTLD_DEFAULT, name))) {
      const c10::DeviceGuard guard(device);
      std::size_t free = 0;
      std::size_t total = 0;
      if (get_info(&free, &total) == 0) return static_cast<std::int64_t>(free);
    }
  }
  return std::nullopt;
}

}  // namespace detail

/// Bytes of memory that are free on a device; 1 GiB where nobody says.
inline std::int64_t free_memory(torch::Device device) {
  constexpr std::int64_t unknown = std::int64_t{1} << 30;
  std::optional<std::int64_t> free;
  if (device.is_cpu()) free = detail::free_on_host();
  if (device.is_cuda()) free = detail::free_on_cuda(device);
  return free.value_or(unknown);
}

}  // namespace lrfinder::training
