#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include <ATen/native/CPUFallback.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>
#include <torch/torch.h>

/// @file
/// An accelerator for machines that have none: a device of its own, whose tensors the host cannot
/// read, that computes on the CPU. It is made of what LibTorch offers to makers of accelerators
/// (the device PrivateUse1), and goes as far as small trainings need.
///
/// It shows that what is written for any device holds on one that is not the CPU, and that the
/// figures are the same. It has no queue: nothing on it is ever late.
///
/// To be included by one source of a program.

namespace pretend {

inline constexpr auto device_type = c10::DeviceType::PrivateUse1;

class Memory final : public c10::Allocator {
 public:
  at::DataPtr operator()(std::size_t bytes) const {
    void* place = bytes == 0 ? nullptr : std::malloc(bytes);
    return {place, place, &std::free, at::Device(device_type, 0)};
  }
  at::DeleterFnPtr raw_deleter() const override { return &std::free; }

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
  at::DataPtr allocate(std::size_t bytes) override { return (*this)(bytes); }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
#else
  at::DataPtr allocate(std::size_t bytes) const override { return (*this)(bytes); }
#endif
};
inline Memory memory;

inline at::Tensor tensor_in(c10::Storage storage, std::int64_t offset, at::IntArrayRef sizes,
                            at::IntArrayRef strides, caffe2::TypeMeta dtype) {
  auto tensor = at::detail::make_tensor<c10::TensorImpl>(
      std::move(storage), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), dtype);
  tensor.unsafeGetTensorImpl()->set_storage_offset(offset);
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides);
  return tensor;
}

inline at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides,
                                c10::optional<at::ScalarType> dtype, c10::optional<at::Layout>,
                                c10::optional<at::Device>, c10::optional<bool>) {
  const auto type = c10::scalarTypeToTypeMeta(dtype.value_or(at::kFloat));
  std::size_t elements = 1;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    elements += static_cast<std::size_t>((sizes[i] - 1) * strides[i]);
  }
  if (std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) elements = 0;
  const std::size_t bytes = elements * type.itemsize();
  auto storage = c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), bytes,
                                                       memory(bytes), &memory, /*resizable=*/true);
  return tensor_in(c10::Storage(std::move(storage)), 0, sizes, strides, type);
}

inline at::Tensor empty(at::IntArrayRef sizes, c10::optional<at::ScalarType> dtype,
                        c10::optional<at::Layout> layout, c10::optional<at::Device> device,
                        c10::optional<bool> pinned, c10::optional<at::MemoryFormat>) {
  std::vector<std::int64_t> strides(sizes.size());
  std::int64_t stride = 1;
  for (std::size_t i = sizes.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= std::max<std::int64_t>(sizes[i], 1);
  }
  return pretend::empty_strided(sizes, strides, dtype, layout, device, pinned);
}

inline at::Tensor as_strided(const at::Tensor& self, at::IntArrayRef sizes, at::IntArrayRef strides,
                             c10::optional<std::int64_t> offset) {
  return tensor_in(self.storage(), offset.value_or(self.storage_offset()), sizes, strides,
                   self.dtype());
}

inline at::Tensor reshape_alias(const at::Tensor& self, at::IntArrayRef sizes,
                                at::IntArrayRef strides) {
  return pretend::as_strided(self, sizes, strides, self.storage_offset());
}

// The device's own view of its memory.
inline at::Tensor unveiled(const at::Tensor& tensor) {
  if (tensor.is_cpu()) return tensor;
  auto* const place = static_cast<char*>(tensor.storage().unsafeGetStorageImpl()->data_ptr().get());
  const auto offset = static_cast<std::size_t>(tensor.storage_offset()) * tensor.itemsize();
  return at::from_blob(place + offset, tensor.sizes(), tensor.strides(),
                       torch::dtype(tensor.scalar_type()));
}

inline at::Tensor view(const at::Tensor& self, at::IntArrayRef sizes) {
  const at::Tensor as_on_cpu = unveiled(self).view(sizes);
  return reshape_alias(self, as_on_cpu.sizes(), as_on_cpu.strides());
}

inline at::Tensor copy_from(const at::Tensor& self, const at::Tensor& to, bool) {
  unveiled(to).copy_(unveiled(self));
  return to;
}

inline at::Tensor copy_from_and_resize(const at::Tensor& self, const at::Tensor& to) {
  if (self.sizes() != to.sizes()) {
    const at::Tensor fresh = pretend::empty(self.sizes(), to.scalar_type(), {}, {}, {}, {});
    to.unsafeGetTensorImpl()->set_storage_keep_dtype(fresh.storage());
    to.unsafeGetTensorImpl()->set_sizes_and_strides(fresh.sizes(), fresh.strides());
  }
  return copy_from(self, to, false);
}

inline at::Tensor& set_storage(at::Tensor& self, at::Storage storage, std::int64_t offset,
                               at::IntArrayRef sizes, at::IntArrayRef strides) {
  self.unsafeGetTensorImpl()->set_storage_keep_dtype(std::move(storage));
  self.unsafeGetTensorImpl()->set_storage_offset(offset);
  self.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides);
  return self;
}

inline void compute_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  at::native::cpu_fallback(op, stack);
}

using Guard = c10::impl::NoOpDeviceGuardImpl<device_type>;
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);  // NOLINT

}  // namespace pretend

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&pretend::compute_on_cpu>());
}
TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &pretend::empty);
  library.impl("empty_strided", &pretend::empty_strided);
  library.impl("as_strided", &pretend::as_strided);
  library.impl("view", &pretend::view);
  library.impl("_reshape_alias", &pretend::reshape_alias);
  library.impl("_copy_from", &pretend::copy_from);
  library.impl("_copy_from_and_resize", &pretend::copy_from_and_resize);
  library.impl("set_.source_Storage_storage_offset", &pretend::set_storage);
}
