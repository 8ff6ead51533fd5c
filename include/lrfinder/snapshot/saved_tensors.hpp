#pragma once

#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/error.hpp>
#include <lrfinder/snapshot/restore_errors.hpp>
#include <lrfinder/snapshot/store.hpp>
#include <lrfinder/torch/device.hpp>

namespace lrfinder::detail {

/// What becomes of the gradients that are there when the test begins.
enum class Gradients {
  set_aside,  ///< the test works with its own, in new memory
  copied      ///< the test works in their memory, where it can
};

/// Tensors as they were: their bytes, which storage they point to, their `requires_grad` flags and
/// their gradients.
///
/// Storages are copied byte by byte and each only once, however many tensors share it (tied
/// weights, views), so that every dtype and layout comes back bit for bit.
class SavedTensors {
 public:
  /// The storages of tensors that are about to move are left alone by the test and not copied. The
  /// store outlives this.
  SavedTensors(SnapshotStore& store, Gradients gradients, const Placement& placement)
      : store_(store), gradients_(gradients), placement_(placement) {}

  /// Saves a tensor, and that of which it is a view; one that was saved before is left alone.
  void save(const torch::Tensor& tensor) {
    if (!tensor.defined() || !seen_tensors_.insert(tensor.unsafeGetTensorImpl()).second) return;
    const torch::NoGradGuard without_gradients;
    try {
      Saved saved{tensor,
                  has_storage(tensor) ? tensor.variable_data() : tensor.clone(),
                  tensor.is_leaf() ? tensor.grad() : torch::Tensor(),
                  tensor.requires_grad(),
                  tensor.is_leaf(),
                  true};
      save_storage(tensor);
      if (gradients_ == Gradients::copied && can_work_in(saved.gradient)) {
        save_storage(saved.gradient);
        saved.gradient_aside = false;
      }
      tensors_.push_back(std::move(saved));
      // A forward pass that draws a view into its graph draws in what it is a view of.
      if (tensor.is_view()) save(torch::Tensor(tensor._base()));
    } catch (const c10::Error& error) {
      std::ostringstream message;
      message << "LRFinder: a tensor of type " << tensor.dtype() << " and shape " << tensor.sizes()
              << " on " << tensor.device() << " cannot be saved, and so could not be restored. "
              << "LibTorch says: " << error.what_without_backtrace();
      throw SnapshotError(message.str());
    }
  }

  /// Takes away the gradients that the test must not touch.
  void set_gradients_aside() const {
    for (const Saved& saved : tensors_) {
      if (saved.gradient.defined() && saved.gradient_aside) {
        saved.tensor.mutable_grad() = torch::Tensor();
      }
    }
  }

  /// Makes all saved tensors what they were. Those whose copy is damaged keep the values that they
  /// have, and are added to `errors`.
  void restore(RestoreErrors& errors) {
    const torch::NoGradGuard without_gradients;
    for (const Storage& storage : storages_) {
      errors.unless(storage.description, [&] { store_.load(storage.copy, storage.bytes); });
    }
    for (const Saved& saved : tensors_) {
      errors.unless("a tensor's place, its requires_grad or its gradient", [&] { restore(saved); });
    }
  }

 private:
  struct Saved {
    torch::Tensor tensor;
    torch::Tensor original;  // another handle on the same storage; a copy where there is none
    torch::Tensor gradient;
    bool requires_grad;
    bool is_leaf;
    bool gradient_aside;
  };

  struct Storage {
    torch::Tensor bytes;
    std::size_t copy;
    std::string description;
  };

  static void restore(const Saved& saved) {
    const torch::Tensor& tensor = saved.tensor;
    // A forward pass may have drawn a buffer into its graph. LibTorch's detach_() takes no views.
    if (saved.is_leaf && !tensor.is_leaf()) torch::autograd::impl::set_gradient_edge(tensor, {});
    if (tensor.is_leaf()) tensor.mutable_grad() = torch::Tensor();
    if (!is_same_view(tensor, saved.original)) tensor.set_data(saved.original);
    if (!tensor.is_leaf()) return;
    if (tensor.requires_grad() != saved.requires_grad) {
      tensor.set_requires_grad(saved.requires_grad);
    }
    if (saved.gradient.defined()) tensor.mutable_grad() = saved.gradient;
  }

  // Whether the test can work in the memory of a gradient. LibTorch cannot detach a view in place,
  // nor add to elements that share memory, and would detach the user's gradient from its graph.
  bool can_work_in(const torch::Tensor& gradient) const {
    return gradient.defined() && has_copyable_storage(gradient) && !gradient.is_view() &&
           !gradient.requires_grad() && gradient.is_non_overlapping_and_dense() &&
           seen_storages_.count(gradient.storage().unsafeGetStorageImpl()) == 0;
  }

  void save_storage(const torch::Tensor& tensor) {
    if (!has_copyable_storage(tensor)) return;
    const at::Storage& storage = tensor.storage();
    if (!seen_storages_.insert(storage.unsafeGetStorageImpl()).second) return;
    const auto size = static_cast<std::int64_t>(storage.nbytes());
    torch::Tensor bytes =
        torch::empty({0}, torch::TensorOptions().dtype(torch::kByte).device(tensor.device()));
    bytes.set_(storage, 0, {size}, {1});
    std::ostringstream description;
    description << tensor.dtype() << tensor.sizes();
    storages_.push_back({bytes, store_.save(bytes), description.str()});
  }

  // False also for tensors on the device "meta", which have no values.
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
  Gradients gradients_;
  Placement placement_;
  std::vector<Saved> tensors_;
  std::vector<Storage> storages_;
  std::unordered_set<const void*> seen_tensors_;
  std::unordered_set<const void*> seen_storages_;
};

}  // namespace lrfinder::detail
