#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/snapshot/store.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/training_options.hpp>

namespace lrfinder::detail {

/// Saved tensors: their bytes, the storage that each points to, their `requires_grad` flags and
/// their gradients.
///
/// Tensors are copied byte by byte, so every dtype and layout is restored bit for bit. What else is
/// in the storage is not touched. Bytes that tied weights share are copied only once.
class SavedTensors {
 public:
  /// The store must outlive this object. If a tensor will move to another device for the test, its
  /// storage is not copied, because the test does not change it.
  ///
  /// With Snapshot::device, existing gradients are set aside, and the test makes new ones. The
  /// other kinds save device memory: if possible, a gradient is copied, and the test overwrites it.
  SavedTensors(SnapshotStore& store, Snapshot kind, const DevicePlacement& placement)
      : store_(store), copies_gradients_(kind != Snapshot::device), placement_(placement) {}

  /// Saves a tensor. Does nothing if it is already saved.
  void save(const torch::Tensor& tensor) {
    if (!tensor.defined()) return;
    const torch::NoGradGuard without_gradients;
    try {
      save_bytes(tensor);
      save_place(tensor);
    } catch (const c10::Error& error) {
      throw SnapshotError(concat("LRFinder: a tensor of type ", tensor.dtype(), " and shape ",
                                 tensor.sizes(), " on ", tensor.device(),
                                 " cannot be saved, and so could not be restored. LibTorch says: ",
                                 error.what_without_backtrace()));
    }
  }

  /// Removes the gradients in whose memory the test must not work.
  void set_gradients_aside() const {
    for (const torch::Tensor& tensor : without_gradient_) tensor.mutable_grad() = torch::Tensor();
  }

  /// Restores all saved tensors. If the copy of a tensor is damaged, the tensor keeps its present
  /// values and is added to `errors`.
  void restore(RestoreErrors& errors) {
    const torch::NoGradGuard without_gradients;
    for (const Bytes& saved : bytes_) {
      errors.unless(saved.description, [&] { store_.load(saved.copy, saved.bytes); });
    }
    for (const Saved& saved : tensors_) {
      errors.unless("a tensor's place, its requires_grad or its gradient", [&] { restore(saved); });
    }
  }

 private:
  struct Saved {
    torch::Tensor tensor;
    torch::Tensor original;  // on the same storage; a copy if there is no storage
    torch::Tensor gradient;
    bool requires_grad;
    bool is_leaf;
  };

  using Range = std::pair<std::int64_t, std::int64_t>;  // in bytes, without the end

  struct Bytes {
    torch::Tensor bytes;  // in the storage of the tensor
    std::uint64_t copy;   // in the store
    std::string description;
  };

  // Saves all of a tensor but its bytes, and the same of the base of a view: a forward pass that
  // adds the view to its graph also adds the base.
  void save_place(const torch::Tensor& tensor) {
    if (!seen_tensors_.insert(tensor.unsafeGetTensorImpl()).second) return;
    const torch::Tensor gradient = tensor.is_leaf() ? tensor.grad() : torch::Tensor();
    tensors_.push_back({tensor, has_storage(tensor) ? tensor.variable_data() : tensor.clone(),
                        gradient, tensor.requires_grad(), tensor.is_leaf()});
    if (copies_gradients_ && can_work_in(gradient)) {
      save_bytes(gradient);
    } else if (gradient.defined()) {
      without_gradient_.push_back(tensor);
    }
    if (tensor.is_view()) save_place(torch::Tensor(tensor._base()));
  }

  static void restore(const Saved& saved) {
    const torch::Tensor& tensor = saved.tensor;
    // A forward pass may have added a buffer to its graph. detach_() of LibTorch refuses views.
    if (saved.is_leaf && !tensor.is_leaf()) torch::autograd::impl::set_gradient_edge(tensor, {});
    if (tensor.is_leaf()) tensor.mutable_grad() = torch::Tensor();
    // set_data() of LibTorch does nothing for the layouts CSR, CSC, BSR and BSC.
    if (tensor.key_set().has_any(c10::sparse_csr_ks)) {
      if (tensor._nnz() != saved.original._nnz()) tensor.resize_as_sparse_(saved.original);
      tensor.copy_(saved.original);
    } else if (!is_same_view(tensor, saved.original)) {
      tensor.set_data(saved.original);
    }
    if (!tensor.is_leaf()) return;
    tensor.set_requires_grad(saved.requires_grad);
    if (saved.gradient.defined()) tensor.mutable_grad() = saved.gradient;
  }

  // Whether the test can work in the memory of a gradient. LibTorch can neither detach a view in
  // place nor add to elements that share memory. It would also detach a gradient of the user that
  // has a graph.
  bool can_work_in(const torch::Tensor& gradient) const {
    return gradient.defined() && has_copyable_storage(gradient) && !gradient.is_view() &&
           !gradient.requires_grad() && gradient.is_non_overlapping_and_dense() &&
           ranges_.count(gradient.storage().unsafeGetStorageImpl()) == 0;
  }

  void save_bytes(const torch::Tensor& tensor) {
    if (!has_copyable_storage(tensor) || tensor.numel() == 0) return;
    const at::Storage& storage = tensor.storage();
    std::int64_t end = tensor.storage_offset() + 1;
    for (std::int64_t i = 0; i < tensor.dim(); ++i) end += (tensor.size(i) - 1) * tensor.stride(i);
    const auto item = static_cast<std::int64_t>(tensor.dtype().itemsize());
    const auto size = static_cast<std::int64_t>(storage.nbytes());  // user code may have cut it
    const Range range(tensor.storage_offset() * item, std::min(end * item, size));
    if (range.first >= range.second) return;
    auto& saved = ranges_[storage.unsafeGetStorageImpl()];
    const auto holds = [&](const Range& other) {
      return other.first <= range.first && range.second <= other.second;
    };
    if (std::any_of(saved.begin(), saved.end(), holds)) return;
    saved.push_back(range);
    torch::Tensor bytes = torch::empty({0}, torch::device(tensor.device()).dtype(torch::kByte));
    bytes.set_(storage, range.first, {range.second - range.first}, {1});
    bytes_.push_back({bytes, store_.save(bytes), concat(tensor.dtype(), tensor.sizes())});
  }

  // Also false for tensors on the device "meta", which have no values.
  bool has_copyable_storage(const torch::Tensor& tensor) const {
    return has_storage(tensor) && !tensor.is_meta() && !placement_.moves_tensor(tensor);
  }

  // False for sparse tensors and others that keep their values elsewhere.
  static bool has_storage(const torch::Tensor& tensor) {
    return tensor.has_storage() && tensor.layout() == torch::kStrided;
  }

  static bool is_same_view(const torch::Tensor& a, const torch::Tensor& b) {
    return has_storage(a) && has_storage(b) && a.is_alias_of(b) &&
           a.storage_offset() == b.storage_offset() && a.sizes() == b.sizes() &&
           a.strides() == b.strides() && a.dtype() == b.dtype();
  }

  SnapshotStore& store_;
  bool copies_gradients_;
  DevicePlacement placement_;
  std::vector<Saved> tensors_;
  std::vector<torch::Tensor> without_gradient_;  // during the test
  std::vector<Bytes> bytes_;
  std::unordered_set<const void*> seen_tensors_;
  std::unordered_map<const void*, std::vector<Range>> ranges_;  // saved, of each storage
};

}  // namespace lrfinder::detail
