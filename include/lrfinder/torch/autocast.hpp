#pragma once

#include <optional>
#include <sstream>

#include <ATen/autocast_mode.h>
#include <c10/util/SmallVector.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <lrfinder/error.hpp>
#include <lrfinder/torch/compatibility.hpp>

namespace lrfinder::detail {

/// Throws InvalidOption when the device has no autocast to `dtype`: bfloat16 serves on the CPU and
/// on CUDA, half on CUDA and, with LibTorch 2.4 and later, on the CPU.
inline void require_autocast(torch::Device device, at::ScalarType dtype) {
  if (has_autocast(device.type(), dtype)) return;
  std::ostringstream message;
  message << "RangeTestOptions: autocast (" << dtype << ") cannot be used on " << device
          << " with LibTorch " << TORCH_VERSION << "; ";
  if (has_autocast(device.type(), torch::kHalf)) {
    message << "it can be torch::kBFloat16 or torch::kHalf";
  } else if (has_autocast(device.type())) {
    message << "it can be torch::kBFloat16";
  } else {
    message << "leave it out";
  }
  throw InvalidOption(message.str());
}

/// The state of autocast on the calling thread, for the CPU and one device: on or off, the type
/// that is cast to, how deeply it is nested, and whether cast weights are cached.
class AutocastState {
 public:
  explicit AutocastState(torch::Device device)
      : nesting_(nesting()), caches_weights_(at::autocast::is_autocast_cache_enabled()) {
    save(torch::kCPU);
    if (device.type() != torch::kCPU) save(device.type());
  }

  /// Puts the state back, on the thread that saved it, and drops the cached weights.
  void restore() const {
    for (const Mode& mode : modes_) set_autocast(mode.type, mode.enabled, mode.dtype);
    at::autocast::set_autocast_cache_enabled(caches_weights_);
    while (nesting() < nesting_) at::autocast::increment_nesting();
    while (nesting() > nesting_) at::autocast::decrement_nesting();
    at::autocast::clear_cache();
  }

 private:
  struct Mode {
    torch::DeviceType type;
    bool enabled;
    at::ScalarType dtype;
  };

  void save(torch::DeviceType type) {
    if (has_autocast(type)) modes_.push_back({type, autocast_enabled(type), autocast_dtype(type)});
  }

  static int nesting() {
    at::autocast::increment_nesting();
    return at::autocast::decrement_nesting();
  }

  c10::SmallVector<Mode, 2> modes_;
  int nesting_;
  bool caches_weights_;
};

/// One pass through the model and the criterion in mixed precision: while it lives, LibTorch's
/// operators on the device compute in `dtype` where that is safe. Afterwards the calling thread is
/// as it was.
///
/// Without a dtype the user's own autocast, if there is one, stays in force.
///
/// The low-precision copies of the weights that LibTorch caches do not outlive the pass. LibTorch
/// keeps them until the outermost autocast ends; inside a user's own autocast, the model would not
/// see the updates of a range test, and the user's training would go on with the weights of its
/// end.
class Autocast {
 public:
  /// Throws InvalidOption, before anything changes, when the device has no autocast to `dtype`.
  Autocast(torch::Device device, std::optional<at::ScalarType> dtype) : before_(device) {
    if (dtype) {
      require_autocast(device, *dtype);
      set_autocast(device.type(), true, *dtype);
    }
    at::autocast::increment_nesting();
    at::autocast::clear_cache();
  }
  ~Autocast() { before_.restore(); }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  AutocastState before_;
};

}  // namespace lrfinder::detail
