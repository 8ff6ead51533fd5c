#pragma once

#include <optional>

#include <ATen/autocast_mode.h>
#include <c10/util/SmallVector.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/torch/compatibility.hpp>

namespace lrfinder::detail {

/// Throws InvalidOption if the device does not support autocast to `dtype`. The CPU and CUDA
/// support bfloat16. CUDA supports half, and so does the CPU since LibTorch 2.4.
inline void require_autocast(torch::Device device, at::ScalarType dtype) {
  if (has_autocast(device.type(), dtype)) return;
  const char* const remedy = has_autocast(device.type(), torch::kHalf)
                                 ? "it can be torch::kBFloat16 or torch::kHalf"
                             : has_autocast(device.type()) ? "it can be torch::kBFloat16"
                                                           : "leave it out";
  throw InvalidOption(concat("TrainingOptions: autocast (", dtype, ") cannot be used on ", device,
                             " with LibTorch ", TORCH_VERSION, "; ", remedy));
}

/// Saves the grad mode of the calling thread, and its autocast for the CPU and one device. The
/// destructor restores them and drops the weights that autocast has cached.
class ThreadState {
 public:
  explicit ThreadState(torch::Device device) {
    for (const torch::DeviceType type : {torch::kCPU, device.type()}) {
      if (has_autocast(type)) modes_.push_back(autocast_mode(type));
    }
  }
  ~ThreadState() {
    for (const AutocastMode& mode : modes_) set_autocast(mode);
    at::autocast::set_autocast_cache_enabled(caches_weights_);
    while (nesting() < nesting_) at::autocast::increment_nesting();
    while (nesting() > nesting_) at::autocast::decrement_nesting();
    at::autocast::clear_cache();
    torch::GradMode::set_enabled(grad_mode_);
  }
  ThreadState(const ThreadState&) = delete;
  ThreadState& operator=(const ThreadState&) = delete;

 private:
  static int nesting() {
    at::autocast::increment_nesting();
    return at::autocast::decrement_nesting();
  }

  c10::SmallVector<AutocastMode, 2> modes_;
  int nesting_ = nesting();
  bool caches_weights_ = at::autocast::is_autocast_cache_enabled();
  bool grad_mode_ = torch::GradMode::is_enabled();
};

/// Runs one pass through the model and the criterion in mixed precision. During the lifetime of
/// this object, operators on the device compute in `dtype` if that is safe. The destructor restores
/// the state of the calling thread. Without a dtype, an autocast of the user stays in force.
///
/// The low-precision copies of the weights that LibTorch caches do not outlive the pass. LibTorch
/// keeps them until the outermost autocast ends; inside a user's own autocast, the model would not
/// see the updates of a range test, and the user's training would go on with the weights of its
/// end.
class Autocast : ThreadState {
 public:
  /// The device has autocast to `dtype`: see require_autocast().
  Autocast(torch::Device device, std::optional<at::ScalarType> dtype) : ThreadState(device) {
    if (dtype) set_autocast({device.type(), true, *dtype});
    at::autocast::increment_nesting();
    at::autocast::clear_cache();
  }
};

}  // namespace lrfinder::detail
