#pragma once

#include <cstdint>
#include <unordered_set>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/ranks.hpp>

namespace lrfinder::detail {

/// Bytes that travel together: as in DistributedDataParallel (bucket_cap_mb).
inline constexpr auto bucket_bytes = std::int64_t{25} << 20;

/// Tensors that have on all ranks the values that they have on rank 0, of whatever types.
class TensorBroadcast {
 public:
  /// Adds a tensor: of the same type and shape on all ranks, in the same order. One without memory
  /// of its own (undefined, sparse) is left out, one that was added before as well.
  void add(const torch::Tensor& tensor) {
    if (!tensor.defined() || tensor.layout() != torch::kStrided || tensor.numel() == 0) return;
    if (!seen_.insert(tensor.unsafeGetTensorImpl()).second) return;
    tensors_.push_back(tensor);
  }

  bool empty() const noexcept { return tensors_.empty(); }
  const std::vector<torch::Tensor>& tensors() const noexcept { return tensors_; }

  /// Gives them the values of rank 0. Small tensors travel together, large ones without a copy.
  void operator()(Ranks& ranks) const {
    const torch::NoGradGuard without_gradients;
    std::vector<Bytes> bucket;
    std::int64_t size = 0;
    for (const torch::Tensor& tensor : tensors_) {
      Bytes bytes = bytes_of(tensor);
      const std::int64_t more = bytes.view.numel();
      const bool fits =
          size + more <= bucket_bytes && (bucket.empty() || same_device(bytes, bucket));
      if (!fits && !bucket.empty()) {
        send(std::exchange(bucket, {}), ranks);
        size = 0;
      }
      bucket.push_back(std::move(bytes));
      size += more;
    }
    if (!bucket.empty()) send(bucket, ranks);
  }

 private:
  struct Bytes {
    torch::Tensor tensor;
    torch::Tensor dense;  // the tensor itself where it is contiguous, else a copy
    torch::Tensor view;   // the bytes of `dense`
  };

  static Bytes bytes_of(const torch::Tensor& tensor) {
    const torch::Tensor dense = tensor.detach().contiguous();
    return {tensor, dense, dense.view({-1}).view(torch::kByte)};
  }

  static bool same_device(const Bytes& bytes, const std::vector<Bytes>& bucket) {
    return bytes.view.device() == bucket.front().view.device();
  }

  static void send(const std::vector<Bytes>& bucket, Ranks& ranks) {
    if (bucket.size() == 1) {
      ranks.broadcast(bucket.front().view);
    } else {
      std::vector<torch::Tensor> views;
      for (const Bytes& bytes : bucket) views.push_back(bytes.view);
      const torch::Tensor together = torch::cat(views);
      ranks.broadcast(together);
      std::int64_t begin = 0;
      for (const Bytes& bytes : bucket) {
        torch::Tensor(bytes.view).copy_(together.narrow(0, begin, bytes.view.numel()));
        begin += bytes.view.numel();
      }
    }
    for (const Bytes& bytes : bucket) {
      if (!bytes.dense.is_alias_of(bytes.tensor)) torch::Tensor(bytes.tensor).copy_(bytes.dense);
    }
  }

  std::vector<torch::Tensor> tensors_;
  std::unordered_set<const c10::TensorImpl*> seen_;
};

}  // namespace lrfinder::detail
