#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>
#include <warnings.hpp>

#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>
#include <torch/torch.h>
#include <torch/version.h>

/// @file
/// Two CUDA devices for machines that have none, and for a LibTorch that knows CUDA by name only:
/// they compute on the CPU, in memory that the host cannot read, and go as far as small trainings
/// need.
///
/// What it computes is there at once. But what is copied to pinned memory without blocking arrives
/// late: only when an event recorded after it has been asked for several times. Until then there
/// are NaNs.
///
/// To be included by one source of a program.

namespace pretend {

inline constexpr auto device_type = c10::DeviceType::CUDA;

/// Copies that have not arrived, in their order.
inline std::vector<std::function<void()>> on_their_way;

inline void wait_for_all() {
  for (const auto& arrive : std::exchange(on_their_way, {})) arrive();
}

/// How many copies arrived late, in all.
inline int arrived_late = 0;

/// Bytes that are free on a device, by what it says.
inline constexpr std::size_t plenty = std::size_t{1} << 30;
inline std::size_t free_bytes = plenty;

/// How many allocations the devices grant until their memory is full; negative: any number.
inline int allocations_to_go = -1;

/// What the host has asked of the devices. What an operator does inside counts as little as inside
/// a kernel.
struct Counts {
  std::int64_t waits = 0;  // for all that was asked for before
  std::int64_t copies_to_host = 0;
  std::int64_t copies_to_device = 0;
  std::int64_t allocations = 0;
};
inline Counts counts;
inline thread_local bool inside_operator = false;
inline void count(std::int64_t Counts::*what) {
  if (!inside_operator) ++(counts.*what);
}

/// The memory of the host from which the last copy has gone that the host did not wait for.
inline const void* sent_from = nullptr;

inline constexpr c10::DeviceIndex device_count = 2;
inline thread_local c10::DeviceIndex current_device = 0;
inline c10::Device device_of(c10::optional<at::Device> asked_for) {
  const bool has_index = asked_for && asked_for->has_index();
  return {device_type, has_index ? asked_for->index() : current_device};
}

/// What lies between an address of the device and the memory of the host that is behind it. No
/// machine has an address like that: a program that reads it dies, as with a real device.
inline constexpr std::ptrdiff_t veil = std::ptrdiff_t{1} << 60;

// Memory of the device or, pinned, of the host.
class Memory final : public c10::Allocator {
 public:
  explicit Memory(c10::Device device) : device_(device) {}

  at::DataPtr operator()(std::size_t bytes) const {
    void* place = bytes == 0 ? nullptr : std::malloc(bytes);
    if (device_.is_cpu()) {
      if (place) pinned().insert(place);
      return {place, place, &release, device_};
    }
    ++counts.allocations;
    if (allocations_to_go >= 0 && allocations_to_go-- == 0) {
      allocations_to_go = 0;
      std::free(place);
      TORCH_CHECK_WITH(OutOfMemoryError, false, "the pretended device is out of memory");
    }
    if (place) place = static_cast<char*>(place) + veil;
    return {place, place, &release_veiled, device_};
  }
  at::DeleterFnPtr raw_deleter() const override {
    return device_.is_cpu() ? &release : &release_veiled;
  }

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
  at::DataPtr allocate(std::size_t bytes) override { return (*this)(bytes); }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
#else
  at::DataPtr allocate(std::size_t bytes) const override { return (*this)(bytes); }
#endif

  static std::set<const void*>& pinned() {
    static auto* const places = new std::set<const void*>();  // outlives all tensors
    return *places;
  }

 private:
  static void release(void* place) {
    pinned().erase(place);
    std::free(place);
  }
  static void release_veiled(void* place) {
    if (place) std::free(static_cast<char*>(place) - veil);
  }

  c10::Device device_;
};
inline Memory memories[device_count] = {Memory({device_type, 0}), Memory({device_type, 1})};
inline Memory pinned_memory{c10::Device(c10::kCPU)};

inline at::Tensor tensor_in(c10::Storage storage, std::int64_t offset, at::IntArrayRef sizes,
                            at::IntArrayRef strides, caffe2::TypeMeta dtype) {
  auto tensor = at::detail::make_tensor<c10::TensorImpl>(
      std::move(storage), c10::DispatchKeySet(c10::DispatchKey::CUDA), dtype);
  tensor.unsafeGetTensorImpl()->set_storage_offset(offset);
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides);
  return tensor;
}

inline at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides,
                                c10::optional<at::ScalarType> dtype, c10::optional<at::Layout>,
                                c10::optional<at::Device> device, c10::optional<bool>) {
  const auto type = c10::scalarTypeToTypeMeta(dtype.value_or(at::kFloat));
  std::size_t elements = 1;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    elements += static_cast<std::size_t>((sizes[i] - 1) * strides[i]);
  }
  if (std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) elements = 0;
  const std::size_t bytes = elements * type.itemsize();
  Memory& memory = memories[device_of(device).index()];
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
  return at::from_blob(place ? place - veil + offset : place, tensor.sizes(), tensor.strides(),
                       torch::dtype(tensor.scalar_type()));
}

inline at::Tensor view(const at::Tensor& self, at::IntArrayRef sizes) {
  const at::Tensor as_on_cpu = unveiled(self).view(sizes);
  return reshape_alias(self, as_on_cpu.sizes(), as_on_cpu.strides());
}

inline at::Tensor& copy(at::Tensor& to, const at::Tensor& from, bool non_blocking) {
  if (to.is_cpu() || from.is_cpu()) {
    count(to.is_cpu() ? &Counts::copies_to_host : &Counts::copies_to_device);
    if (!non_blocking) count(&Counts::waits);
    if (non_blocking && from.is_cpu()) sent_from = from.storage().data_ptr().get();
  }
  if (non_blocking && to.is_cpu() && Memory::pinned().count(to.storage().data_ptr().get()) > 0) {
    const at::Tensor arriving = at::empty(to.sizes(), to.options().pinned_memory(false));
    arriving.copy_(unveiled(from));
    to.is_floating_point() ? to.fill_(std::numeric_limits<double>::quiet_NaN()) : to.fill_(-1);
    on_their_way.emplace_back([to, arriving] { to.copy_(arriving); });
  } else {
    unveiled(to).copy_(unveiled(from));
  }
  return to;
}

inline at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  at::Tensor target = to;
  return pretend::copy(target, from, non_blocking);
}

inline bool is_pinned(const at::Tensor& self, c10::optional<at::Device>) {
  return Memory::pinned().count(self.storage().data_ptr().get()) > 0;
}

inline at::Tensor pin_memory(const at::Tensor& self, c10::optional<at::Device>) {
  at::Tensor pinned = at::empty(self.sizes(), self.options().pinned_memory(true));
  return pinned.copy_(self);
}

inline at::Tensor copy_from_and_resize(const at::Tensor& self, const at::Tensor& to) {
  if (self.sizes() != to.sizes()) {
    const at::Tensor fresh =
        pretend::empty(self.sizes(), to.scalar_type(), {}, to.device(), {}, {});
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
  // Those whose result the host reads, or has to know the size of.
  static const std::set<std::string> waiting{"aten::_local_scalar_dense", "aten::equal",
                                             "aten::nonzero", "aten::masked_select"};
  if (waiting.count(op.schema().name()) > 0) {
    count(&Counts::waits);
    count(&Counts::copies_to_host);
  }
  const bool was_inside = std::exchange(inside_operator, true);
  const Warnings unheard;  // of how the fallback gets its results back
  try {
    at::native::cpu_fallback(op, stack);
  } catch (...) {
    inside_operator = was_inside;
    throw;
  }
  inside_operator = was_inside;
}

// Its schema does not say that it writes the running statistics.
inline std::tuple<at::Tensor, at::Tensor, at::Tensor> batch_norm(
    const at::Tensor& input, const c10::optional<at::Tensor>& weight,
    const c10::optional<at::Tensor>& bias, const c10::optional<at::Tensor>& mean,
    const c10::optional<at::Tensor>& variance, bool training, double momentum, double eps) {
  const auto on_host = [](const c10::optional<at::Tensor>& tensor) {
    return tensor && tensor->defined() ? unveiled(*tensor) : at::Tensor();
  };
  const auto [output, saved_mean, saved_variance] =
      at::native_batch_norm(unveiled(input), on_host(weight), on_host(bias), on_host(mean),
                            on_host(variance), training, momentum, eps);
  const bool was_inside = std::exchange(inside_operator, true);
  const auto back = [&](const at::Tensor& tensor) { return tensor.to(input.device()); };
  std::tuple<at::Tensor, at::Tensor, at::Tensor> results(back(output), back(saved_mean),
                                                         back(saved_variance));
  inside_operator = was_inside;
  return results;
}

// LibTorch's CPU has none, so this is put together from others, with their gradients.
inline std::tuple<at::Tensor, at::Tensor, at::Tensor> fused_lstm_cell(
    const at::Tensor& input, const at::Tensor& hidden, const at::Tensor& cell,
    const c10::optional<at::Tensor>& input_bias, const c10::optional<at::Tensor>& hidden_bias) {
  at::Tensor sum = input + hidden;
  if (input_bias && input_bias->defined()) sum = sum + *input_bias + *hidden_bias;
  const auto gates = sum.chunk(4, 1);
  const at::Tensor next = gates[1].sigmoid() * cell + gates[0].sigmoid() * gates[2].tanh();
  return {gates[3].sigmoid() * next.tanh(), next, sum};
}

// Each device has one queue.
class Guard final : public c10::impl::DeviceGuardImplInterface {
 public:
  c10::DeviceType type() const override { return device_type; }
  c10::Device exchangeDevice(c10::Device device) const override {
    return {device_type, std::exchange(current_device, device.index())};
  }
  c10::Device getDevice() const override { return {device_type, current_device}; }
  void setDevice(c10::Device device) const override { current_device = device.index(); }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    current_device = device.index();
  }
  c10::DeviceIndex deviceCount() const noexcept override { return device_count; }

  c10::Stream getStream(c10::Device device) const noexcept override { return queue(device); }
  c10::Stream getDefaultStream(c10::Device device) const override { return queue(device); }
  c10::Stream exchangeStream(c10::Stream stream) const noexcept override {
    return queue(stream.device());
  }
  bool queryStream(const c10::Stream&) const override { return on_their_way.empty(); }
  void synchronizeStream(const c10::Stream&) const override {
    count(&Counts::waits);
    wait_for_all();
  }

  // An event is how often it has been asked for.
  void record(void** event, const c10::Stream&, c10::DeviceIndex, c10::EventFlag) const override {
    if (!*event) *event = new int(0);
  }
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void* event) const override {
    if (++*static_cast<int*>(event) < 3) return false;
    arrived_late += static_cast<int>(on_their_way.size());
    wait_for_all();
    return true;
  }
  void destroyEvent(void* event, c10::DeviceIndex) const noexcept override {
    delete static_cast<int*>(event);
  }

 private:
  static c10::Stream queue(c10::Device device) {
    return c10::Stream(c10::Stream::DEFAULT, device_of(device));
  }
};
C10_REGISTER_GUARD_IMPL(CUDA, Guard);  // NOLINT

// What LibTorch asks of a CUDA that is there. Versions differ in what they ask, so not all of these
// override something in each, and none says so.
struct Hooks final : at::CUDAHooksInterface {
  explicit Hooks(at::CUDAHooksArgs) {}
  void initCUDA() const {}
  void init() const {}
  bool hasCUDA() const { return true; }
  bool isBuilt() const { return true; }
  bool isAvailable() const { return true; }
  bool hasPrimaryContext(std::int64_t) const { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const { return true; }
  int getNumGPUs() const { return device_count; }
  decltype(std::declval<at::CUDAHooksInterface>().current_device()) current_device() const {
    return pretend::current_device;
  }
  const at::Generator& getDefaultCUDAGenerator(c10::DeviceIndex index = -1) const {
    return generator(index);
  }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex index = -1) const {
    return generator(index);
  }
  at::Allocator* getPinnedMemoryAllocator() const { return &pinned_memory; }
  bool isPinnedPtr(void* place) const { return Memory::pinned().count(place) > 0; }
  bool isPinnedPtr(const void* place) const { return Memory::pinned().count(place) > 0; }

 private:
  static const at::Generator& generator(c10::DeviceIndex index) {
    static const at::Generator all[device_count] = {at::detail::createCPUGenerator(1),
                                                    at::detail::createCPUGenerator(2)};
    return all[index < 0 ? pretend::current_device : index];
  }
};
}  // namespace pretend

namespace at {
C10_REGISTER_CLASS(CUDAHooksRegistry, CUDAHooks, pretend::Hooks)  // NOLINT
}  // namespace at

TORCH_LIBRARY_IMPL(_, CUDA, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&pretend::compute_on_cpu>());
}
TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("empty.memory_format", &pretend::empty);
  library.impl("empty_strided", &pretend::empty_strided);
  library.impl("as_strided", &pretend::as_strided);
  library.impl("view", &pretend::view);
  library.impl("_reshape_alias", &pretend::reshape_alias);
  library.impl("copy_", &pretend::copy);
  library.impl("_copy_from", &pretend::copy_from);
  library.impl("_copy_from_and_resize", &pretend::copy_from_and_resize);
  library.impl("native_batch_norm", &pretend::batch_norm);
  library.impl("is_pinned", &pretend::is_pinned);
  library.impl("_pin_memory", &pretend::pin_memory);
  library.impl("set_.source_Storage_storage_offset", &pretend::set_storage);
}

TORCH_LIBRARY_IMPL(aten, AutogradCUDA, library) {
  library.impl("_thnn_fused_lstm_cell", &pretend::fused_lstm_cell);
}

/// What is asked for by name, where CUDA is there. The program has to export it.
extern "C" int cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *free = pretend::free_bytes;
  *total = pretend::plenty;
  return 0;
}
