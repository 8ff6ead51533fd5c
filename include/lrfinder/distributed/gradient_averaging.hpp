#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_set>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/communicator.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/torch/optimizer.hpp>

/// @file
/// Exchanges tensors between ranks in buckets: averages gradients, and sends tensors of rank 0.

namespace lrfinder::detail {

/// The maximum size of a bucket, as in DistributedDataParallel (bucket_cap_mb).
inline constexpr auto bucket_bytes = std::int64_t{25} << 20;

/// Tensors of one type on one device that are sent together.
struct Bucket {
  std::vector<torch::Tensor> tensors;
  std::int64_t bytes = 0;
};

/// Puts tensors into buckets of at most `max_bytes`. A larger tensor gets its own bucket.
inline std::vector<Bucket> in_buckets(const std::vector<torch::Tensor>& tensors,
                                      std::int64_t max_bytes) {
  std::vector<Bucket> buckets;
  for (const torch::Tensor& tensor : tensors) {
    const auto bytes = static_cast<std::int64_t>(tensor.nbytes());
    auto bucket = std::find_if(buckets.begin(), buckets.end(), [&](const Bucket& each) {
      const torch::Tensor& first = each.tensors.front();
      return each.bytes + bytes <= max_bytes && first.scalar_type() == tensor.scalar_type() &&
             first.device() == tensor.device();
    });
    if (bucket == buckets.end()) bucket = buckets.emplace(bucket);
    bucket->tensors.push_back(tensor);
    bucket->bytes += bytes;
  }
  return buckets;
}

/// Tensors of any types, without duplicates. Types, shapes and order are the same on all ranks.
class TensorList {
 public:
  /// Adds a tensor if it is not listed yet and has plain memory (not undefined, sparse or empty).
  void add(const torch::Tensor& tensor) {
    if (!tensor.defined() || tensor.layout() != torch::kStrided || tensor.numel() == 0) return;
    if (seen_.insert(tensor.unsafeGetTensorImpl()).second) tensors_.push_back(tensor);
  }

  const std::vector<torch::Tensor>& tensors() const noexcept { return tensors_; }

  /// Gives the tensors the values that they have on rank 0. Large tensors are sent without a copy.
  void broadcast(Communicator& ranks) const {
    const torch::NoGradGuard without_gradients;
    for (const Bucket& bucket : in_buckets(tensors_, bucket_bytes)) {
      std::vector<torch::Tensor> flat;
      for (const torch::Tensor& tensor : bucket.tensors) {
        flat.push_back(tensor.contiguous().view({-1}));
      }
      const torch::Tensor together = flat.size() == 1 ? flat.front() : torch::cat(flat);
      ranks.broadcast(together.view(torch::kByte));
      std::int64_t begin = 0;
      for (const torch::Tensor& tensor : bucket.tensors) {
        const torch::Tensor received = together.narrow(0, begin, tensor.numel());
        if (!received.is_alias_of(tensor)) tensor.copy_(received.view(tensor.sizes()));
        begin += tensor.numel();
      }
    }
  }

 private:
  std::vector<torch::Tensor> tensors_;
  std::unordered_set<const c10::TensorImpl*> seen_;
};

/// Averages the gradients of an optimizer's parameters over all ranks, as DistributedDataParallel
/// does: divides them by the number of ranks and sums them, in buckets of 25 MB. A parameter with a
/// gradient on some ranks counts as zero on the others. If no rank has one, nothing is done.
///
/// The gradients of a bucket move into one piece of memory and stay there. If a later backward pass
/// adds to them (after zeroing in place), they need not be copied again. DistributedDataParallel
/// begins during the backward pass. Here, averaging begins when all ranks are known to have
/// finished the backward pass (see HealthCheck).
class GradientAveraging {
 public:
  explicit GradientAveraging(const torch::optim::Optimizer& optimizer,
                             std::int64_t max_bucket_bytes = bucket_bytes)
      : bucket_bytes_(max_bucket_bytes) {
    for (const torch::Tensor& parameter : parameters_of(optimizer)) {
      if (parameter.requires_grad()) parameters_.add(parameter);
    }
  }

  /// The number of parameters without a gradient on this rank.
  ///
  /// Throws InvalidStep if a gradient is sparse, because it cannot be averaged.
  std::int64_t missing() const {
    std::int64_t count = 0;
    for (const torch::Tensor& parameter : parameters_.tensors()) {
      const torch::Tensor& gradient = parameter.grad();
      if (!gradient.defined()) {
        ++count;
      } else if (gradient.layout() != torch::kStrided) {
        throw InvalidStep(
            "LRFinder: a gradient is sparse, and several ranks can average only dense ones; "
            "construct the embedding with sparse(false)");
      }
    }
    return count;
  }

  /// Averages the gradients. `some_missing`: whether missing() is positive on any rank.
  ///
  /// If `ranks` throws, waits for all sums in progress, and then throws the same exception.
  void run(Communicator& ranks, bool some_missing) const {
    const torch::NoGradGuard without_gradients;
    if (some_missing) fill_in(ranks);
    std::vector<torch::Tensor> parameters;
    for (const torch::Tensor& parameter : parameters_.tensors()) {
      if (parameter.grad().defined()) parameters.push_back(parameter);
    }
    std::vector<Sum> under_way;
    try {
      for (const Bucket& bucket : in_buckets(parameters, bucket_bytes_)) {
        under_way.push_back(begin_sum(gradients_in_one_piece(bucket.tensors), ranks));
      }
      for (Sum& sum : under_way) {
        std::exchange(sum.wait, nullptr)();
        if (!sum.summed.is_alias_of(sum.gradients)) sum.gradients.copy_(sum.summed);
      }
    } catch (...) {
      // A sum that is still in progress could write into gradients that were restored meanwhile.
      for (Sum& sum : under_way) give_up(sum);
      throw;
    }
  }

 private:
  struct Sum {
    torch::Tensor gradients;
    torch::Tensor summed;  // the gradients themselves, or a copy in another type
    std::function<void()> wait;
  };

  // Sets a gradient to zeros if this rank has none and another rank has one.
  void fill_in(Communicator& ranks) const {
    const std::vector<torch::Tensor>& parameters = parameters_.tensors();
    std::vector<double> has_gradient;
    for (const torch::Tensor& parameter : parameters) {
      has_gradient.push_back(parameter.grad().defined() ? 1 : 0);
    }
    has_gradient = ranks.sum(std::move(has_gradient));
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (has_gradient[i] == 0 || parameters[i].grad().defined()) continue;
      parameters[i].mutable_grad() = torch::zeros_like(parameters[i]);
    }
  }

  // Moves the gradients of some parameters into one flat tensor, and returns that tensor.
  static torch::Tensor gradients_in_one_piece(const std::vector<torch::Tensor>& parameters) {
    const torch::Tensor first = parameters.front().grad();
    std::int64_t numel = 0;
    bool in_place = true;
    std::vector<torch::Tensor> flat;
    for (const torch::Tensor& parameter : parameters) {
      const torch::Tensor& gradient = parameter.grad();
      in_place = in_place && gradient.is_contiguous() && gradient.is_alias_of(first) &&
                 gradient.storage_offset() == first.storage_offset() + numel;
      numel += gradient.numel();
      flat.push_back(gradient.reshape({-1}));
    }
    if (in_place) return part(first, first.storage_offset(), {numel});
    torch::Tensor together = torch::cat(flat);
    std::int64_t begin = 0;
    for (const torch::Tensor& parameter : parameters) {
      parameter.mutable_grad() = part(together, begin, parameter.sizes());
      begin += parameter.numel();
    }
    return together;
  }

  // The result is not a view, because zero_grad() could not detach a view.
  static torch::Tensor part(const torch::Tensor& whole, std::int64_t begin,
                            torch::IntArrayRef sizes) {
    torch::Tensor tensor = torch::empty({0}, whole.options());
    return tensor.set_(whole.storage(), begin, sizes, c10::contiguous_strides(sizes));
  }

  static Sum begin_sum(const torch::Tensor& gradients, Communicator& ranks) {
    torch::Tensor summed = gradients.is_complex() ? torch::view_as_real(gradients) : gradients;
    // Half precision has too few digits for a sum, and some process groups do not support it.
    const auto type = gradients.scalar_type();
    if (type == torch::kHalf || type == torch::kBFloat16) summed = gradients.to(torch::kFloat);
    // Divides before the sum, as DistributedDataParallel does, so that the sum does not overflow.
    summed.div_(ranks.size());
    return {gradients, summed, ranks.begin_sum(summed)};
  }

  static void give_up(Sum& sum) noexcept {
    try {
      if (sum.wait) sum.wait();
    } catch (...) {  // the caller throws the first exception
    }
  }

  TensorList parameters_;
  std::int64_t bucket_bytes_;
};

}  // namespace lrfinder::detail
