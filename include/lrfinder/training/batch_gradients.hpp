#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <unordered_map>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>

namespace lrfinder::detail {

/// What a training leaves on the tensors of its batches besides values: gradients, and that they
/// require some, as for adversarial examples. It is taken off when this object ends or restores, so
/// that a later training on the same tensors does the same.
class BatchGradients {
 public:
  BatchGradients() = default;
  BatchGradients(const BatchGradients&) = delete;
  BatchGradients& operator=(const BatchGradients&) = delete;
  ~BatchGradients() { restore(); }

  /// Saves what a batch has, unless it is saved. Does not keep the batch alive.
  void save(const AnyBatch& batch) {
    for (const torch::Tensor& tensor : batch.tensors().tensors) {
      if (!tensor.is_leaf() || saved_.count(tensor.unsafeGetTensorImpl()) > 0) continue;
      const torch::Tensor gradient = tensor.grad();
      saved_.emplace(tensor.unsafeGetTensorImpl(),
                     Saved{Weak(tensor.getIntrusivePtr()), tensor.requires_grad(), gradient});
      if (gradient.defined()) tensor.mutable_grad() = gradient.clone();
    }
    if (saved_.size() > most_) forget_gone();
  }

  void restore() {
    for (const auto& [address, saved] : saved_) {
      const torch::Tensor tensor(saved.tensor.lock());
      if (!tensor.defined() || !tensor.is_leaf()) continue;
      if (tensor.grad().defined() || saved.gradient.defined()) {
        tensor.mutable_grad() = saved.gradient;
      }
      if (tensor.requires_grad() != saved.requires_grad) {
        tensor.set_requires_grad(saved.requires_grad);
      }
    }
    saved_.clear();
  }

 private:
  using Weak = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;

  struct Saved {
    Weak tensor;  // while it lives, no other tensor gets the same address
    bool requires_grad;
    torch::Tensor gradient;
  };

  // Most loaders make new tensors for each batch.
  void forget_gone() {
    for (auto each = saved_.begin(); each != saved_.end();) {
      each = each->second.tensor.expired() ? saved_.erase(each) : std::next(each);
    }
    most_ = std::max(most_, 2 * saved_.size());
  }

  std::unordered_map<const c10::TensorImpl*, Saved> saved_;
  std::size_t most_ = 128;
};

}  // namespace lrfinder::detail
