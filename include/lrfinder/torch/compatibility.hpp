#pragma once

#include <memory>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/torch.h>
#include <torch/version.h>

/// @file
/// What differs between versions of LibTorch, or has to be worked around in all of them.

namespace lrfinder::detail {

/// The state of an optimizer, by parameter. The key is a string before LibTorch 2.1 and a pointer
/// since.
using OptimizerState = std::decay_t<decltype(std::declval<torch::optim::Optimizer&>().state())>;

inline void* state_key(const torch::Tensor& parameter, void* const*) {
  return parameter.unsafeGetTensorImpl();
}
inline std::string state_key(const torch::Tensor& parameter, const std::string*) {
  std::ostringstream key;
  key << static_cast<const void*>(parameter.unsafeGetTensorImpl());
  return key.str();
}

/// What an optimizer remembers of a parameter; null where that is nothing.
inline torch::optim::OptimizerParamState* state_of(torch::optim::Optimizer& optimizer,
                                                   const torch::Tensor& parameter) {
  OptimizerState& states = optimizer.state();
  const auto found = states.find(
      detail::state_key(parameter, static_cast<const OptimizerState::key_type*>(nullptr)));
  return found == states.end() ? nullptr : found->second.get();
}

/// Zeroes the gradients of the optimizer's parameters as its own zero_grad() does, or in place.
/// LibTorch 1.13 always zeroes in place; since 2.0 zero_grad() leaves them undefined.
template <class Optimizer>
auto zero_gradients(Optimizer& optimizer, bool in_place)
    -> decltype(optimizer.zero_grad(!in_place)) {
  optimizer.zero_grad(/*set_to_none=*/!in_place);
}
inline void zero_gradients(torch::optim::Optimizer& optimizer, ...) { optimizer.zero_grad(); }

inline void drop_pending_batches(void*) {}

template <class Dataset, class Batch, class BatchRequest>
void drop_pending_batches(torch::data::DataLoaderBase<Dataset, Batch, BatchRequest>* loader) {
  using Base = torch::data::DataLoaderBase<Dataset, Batch, BatchRequest>;
  struct Access : Base {
    static auto& shuttle(Base& base) { return base.*(&Access::shuttle_); }
  };
  if (loader->options().workers > 0) Access::shuttle(*loader).drain();
}

/// Makes a loader whose pass ended before its last batch ready for the next pass.
///
/// A `torch::data` loader with worker threads refuses a new pass while batches of the old one are
/// under way ("another iterator is not yet exhausted"), and reading on to the end can take an
/// epoch. What is under way is dropped instead, as DataLoaderBase::join() does it.
template <class Loader>
void abandon_pass(Loader& loader) {
  if constexpr (std::is_object_v<Loader> && !std::is_const_v<Loader> && !std::is_array_v<Loader>) {
    detail::drop_pending_batches(std::addressof(loader));
  }
}

/// Autocast of the calling thread for one type of device. The functions for any type are there
/// since LibTorch 2.4; before, each type had its own, of which those of the CPU, for bfloat16, and
/// of CUDA serve here.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
inline bool has_autocast(torch::DeviceType type) {
  return at::autocast::is_autocast_available(type);
}
inline bool has_autocast(torch::DeviceType type, at::ScalarType dtype) {
  return has_autocast(type) && (dtype == torch::kBFloat16 || dtype == torch::kHalf);
}
inline bool autocast_enabled(torch::DeviceType type) {
  return at::autocast::is_autocast_enabled(type);
}
inline at::ScalarType autocast_dtype(torch::DeviceType type) {
  return at::autocast::get_autocast_dtype(type);
}
inline void set_autocast(torch::DeviceType type, bool enabled, at::ScalarType dtype) {
  at::autocast::set_autocast_dtype(type, dtype);
  at::autocast::set_autocast_enabled(type, enabled);
}
#else
inline bool has_autocast(torch::DeviceType type) {
  return type == torch::kCPU || type == torch::kCUDA;
}
inline bool has_autocast(torch::DeviceType type, at::ScalarType dtype) {
  return has_autocast(type) &&
         (dtype == torch::kBFloat16 || (dtype == torch::kHalf && type == torch::kCUDA));
}
inline bool autocast_enabled(torch::DeviceType type) {
  return type == torch::kCPU ? at::autocast::is_cpu_enabled() : at::autocast::is_enabled();
}
inline at::ScalarType autocast_dtype(torch::DeviceType type) {
  return type == torch::kCPU ? at::autocast::get_autocast_cpu_dtype()
                             : at::autocast::get_autocast_gpu_dtype();
}
inline void set_autocast(torch::DeviceType type, bool enabled, at::ScalarType dtype) {
  if (type == torch::kCPU) {
    at::autocast::set_autocast_cpu_dtype(dtype);
    at::autocast::set_cpu_enabled(enabled);
  } else {
    at::autocast::set_autocast_gpu_dtype(dtype);
    at::autocast::set_enabled(enabled);
  }
}
#endif

/// Multiplies the tensors, all of one device and type, by `factor` in place; sets `found` to 1 when
/// one of them holds an infinity or a NaN. `factor` and `found` are float tensors of one element on
/// the same device.
///
/// The operator that does it in one go exists for CUDA, for the CPU since LibTorch 2.3, and not for
/// every accelerator; elsewhere the same is done tensor by tensor.
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

}  // namespace lrfinder::detail
