#pragma once

#include <cstdint>
#include <unordered_set>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/training/placement.hpp>

namespace lrfinder::training {

/// Tensors as they were: their bytes, which storage they point to, their `requires_grad` flags and
/// their gradients.
///
/// Storages are copied byte by byte and each only once, however many tensors share it (tied
/// weights, views), so that every dtype and layout comes back bit for bit. Gradients are not copied
/// but set aside: the tensor gets no gradient, and later the same one again.
class SavedTensors {
 public:
  /// The storages of tensors that are about to move are left alone by the test and not copied.
  explicit SavedTensors(const Placement& placement) : placement_(placement) {}

  /// Saves one tensor; a tensor that was saved before is left alone.
  void save(const torch::Tensor& tensor) {
    if (!tensor.defined() || !seen_tensors_.insert(tensor.unsafeGetTensorImpl()).second) return;
    const torch::NoGradGuard without_gradients;
    tensors_.push_back({tensor, has_storage(tensor) ? tensor.variable_data() : tensor.clone(),
                        tensor.is_leaf() ? tensor.grad() : torch::Tensor(),
                        tensor.requires_grad()});
    if (has_storage(tensor) && !placement_.moves_tensor(tensor)) save_storage(tensor);
  }

  /// Takes the gradients off the tensors, so that the test works with its own.
  void set_gradients_aside() const {
    for (const Saved& saved : tensors_) {
      if (saved.gradient.defined()) saved.tensor.mutable_grad() = torch::Tensor();
    }
  }

  /// Makes all saved tensors what they were.
  void restore() const {
    const torch::NoGradGuard without_gradients;
    for (const auto& [bytes, copy] : storages_) bytes.copy_(copy);
    for (const Saved& saved : tensors_) {
      const torch::Tensor& tensor = saved.tensor;
      if (tensor.is_leaf()) tensor.mutable_grad() = torch::Tensor();
      if (!is_same_view(tensor, saved.original)) tensor.set_data(saved.original);
      if (tensor.is_leaf()) {
        if (tensor.requires_grad() != saved.requires_grad) {
          tensor.set_requires_grad(saved.requires_grad);
        }
        if (saved.gradient.defined()) tensor.mutable_grad() = saved.gradient;
      }
    }
  }

 private:
  struct Saved {
    torch::Tensor tensor;
    torch::Tensor original;  // another handle on the same storage; a copy where there is none
    torch::Tensor gradient;
    bool requires_grad;
  };

  void save_storage(const torch::Tensor& tensor) {
    const at::Storage storage = tensor.storage();
    if (!seen_storages_.insert(storage.unsafeGetStorageImpl()).second) return;
    const auto size = static_cast<std::int64_t>(storage.nbytes());
    torch::Tensor bytes =
        torch::empty({0}, torch::TensorOptions().dtype(torch::kByte).device(tensor.device()));
    bytes.set_(storage, 0, {size}, {1});
    storages_.emplace_back(bytes, bytes.clone());
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

  Placement placement_;
  std::vector<Saved> tensors_;
  std::vector<std::pair<torch::Tensor, torch::Tensor>> storages_;  // the bytes, a copy of them
  std::unordered_set<const void*> seen_tensors_;
  std::unordered_set<const void*> seen_storages_;
};

}  // namespace lrfinder::training
