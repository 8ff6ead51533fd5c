#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include <torch/torch.h>

/// @file
/// Interfaces for batches and loaders of any type, which hide the types of the user.

namespace lrfinder::detail {

/// A hash of the shape and the bits of a tensor; 0 if it is undefined, not strided or meta. Off the
/// CPU, each row is reduced to the sum of its bytes first, so that little is copied.
inline std::size_t hash_of_bits(const torch::Tensor& tensor) {
  if (!tensor.defined() || tensor.layout() != torch::kStrided || tensor.is_meta()) return 0;
  torch::Tensor bits = tensor.detach().contiguous();
  if (!bits.is_cpu()) {
    const std::int64_t rows = bits.dim() > 0 && bits.numel() > 0 ? bits.size(0) : 1;
    bits = bits.view({-1}).view(torch::kByte).view({rows, -1}).sum(1).cpu();
  }
  std::size_t hash =
      std::hash<std::string_view>{}({static_cast<const char*>(bits.data_ptr()), bits.nbytes()});
  for (const std::int64_t size : tensor.sizes()) hash = 31 * hash + static_cast<std::size_t>(size);
  return hash;
}

/// The tensors of a batch that can be reached.
struct VisibleTensors {
  void add(const torch::Tensor& tensor) {
    if (!tensor.defined()) return;
    if (tensor.layout() != torch::kStrided) {
      are_all = false;
      return;
    }
    tensors.push_back(tensor);
    writes += tensor.is_inference() ? 0 : static_cast<std::size_t>(tensor._version());
    bytes += static_cast<std::int64_t>(tensor.nbytes());
    require_grad = require_grad || tensor.requires_grad();
  }

  std::size_t hash() const {
    std::size_t all = 0;
    for (const auto& tensor : tensors) all = 31 * all + hash_of_bits(tensor);
    return all;
  }

  std::vector<torch::Tensor> tensors;
  std::size_t writes = 0;  // into these tensors, all together
  std::int64_t bytes = 0;
  bool require_grad = false;  // at least one of the tensors
  bool are_all = true;        // no sparse tensor, and no type that hides its tensors
};

/// What the model and the criterion return for a batch.
struct ForwardResult {
  /// The loss that the criterion returned, unchanged.
  torch::Tensor loss;
  /// The output of the model and the target, for metrics; undefined if they are not tensors.
  torch::Tensor output, target;
};

/// A batch, ready for the model, together with the model and the criterion.
class AnyBatch {
 public:
  virtual ~AnyBatch() = default;

  /// Runs the model and the criterion on the batch.
  ///
  /// Throws InvalidStep if the batch has no tensors.
  virtual ForwardResult forward_loss() = 0;

  /// Number of samples in the batch; see samples_in(). A batch of unknown size counts as one
  /// sample, so that all such batches weigh the same.
  virtual std::int64_t samples() const = 0;

  virtual VisibleTensors tensors() const = 0;

  /// Returns the batch with copies of its tensors, because a loader may write to the tensors.
  virtual std::shared_ptr<AnyBatch> copy() const = 0;
};

/// Iterates over the batches of a loader repeatedly, on the calling thread.
///
/// Fetches the batches in the same order and at the same moments as a range-based for loop, so that
/// a loader that draws random numbers draws the same ones. The worker threads of a LibTorch loader
/// are idle between two calls; see WorkerPass.
class AnyBatchIterator {
 public:
  virtual ~AnyBatchIterator() = default;

  /// Goes to the first batch. Throws EmptyLoader if there is none.
  virtual void start() = 0;

  /// Returns the next batch. After the last batch comes the first again.
  virtual std::shared_ptr<AnyBatch> next() = 0;

  /// Calls `visit` with every batch of one pass, until `visit` returns false.
  virtual void for_each(const std::function<bool(const std::shared_ptr<AnyBatch>&)>& visit) = 0;
};

/// A loader, together with the model and the criterion that its batches are for.
struct AnyLoader {
  /// Makes an iterator whose batches are on the given device.
  std::function<std::unique_ptr<AnyBatchIterator>(torch::Device)> iterate;
  /// Whether metrics can be evaluated on the batches.
  bool has_metrics = false;
  /// The loader itself if it allows only one pass at a time, otherwise null.
  const void* single_pass = nullptr;
  /// Ends a pass of the user over the loader whose workers are still at work, with a warning.
  std::function<void()> drop_pass = [] {};
};

}  // namespace lrfinder::detail
