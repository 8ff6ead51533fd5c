#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_set>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed/broadcast.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/ranks.hpp>

namespace lrfinder::detail {

/// Averages the gradients of an optimizer's parameters over ranks, as DistributedDataParallel does:
/// divided by the number of ranks and summed, in buckets of 25 MB. A parameter that got a gradient
/// only on some ranks counts as zero on the others; one that got none anywhere stays without.
///
/// The gradients of a bucket move into one piece of memory and stay there, so that a backward pass
/// that adds to them (after zeroing in place) leaves nothing to copy the next time.
/// DistributedDataParallel begins during the backward pass; here it comes after, when all ranks are
/// known to have reached this point (see HealthCheck).
class GradientAveraging {
 public:
  explicit GradientAveraging(const torch::optim::Optimizer& optimizer,
                             std::int64_t max_bucket_bytes = bucket_bytes)
      : bucket_bytes_(max_bucket_bytes) {
    std::unordered_set<const c10::TensorImpl*> seen;
    for (const auto& group : optimizer.param_groups()) {
      for (const auto& parameter : group.params()) {
        if (parameter.requires_grad() && seen.insert(parameter.unsafeGetTensorImpl()).second) {
          parameters_.push_back(parameter);
        }
      }
    }
  }

  /// How many parameters have no gradient on this rank.
  ///
  /// Throws InvalidStep for a sparse gradient, which cannot be averaged.
  std::int64_t missing() const {
    std::int64_t count = 0;
    for (const torch::Tensor& parameter : parameters_) {
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

  /// Averages. `some_missing`: whether missing() was positive on any rank; the same on all.
  ///
  /// Throws what the ranks throw, when nothing is under way any more.
  void operator()(Ranks& ranks, bool some_missing) const {
    const torch::NoGradGuard without_gradients;
    if (some_missing) fill_in(ranks);
    std::vector<Sum> under_way;
    try {
      for (const std::vector<torch::Tensor>& bucket : buckets()) {
        under_way.push_back(begin_sum(in_one_piece(bucket), ranks));
      }
      for (Sum& sum : under_way) finish(sum);
    } catch (...) {
      // A sum that is still under way could write into gradients that have been restored.
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

  // Zeros where another rank has a gradient and this one has none.
  void fill_in(Ranks& ranks) const {
    std::vector<double> has_gradient;
    for (const torch::Tensor& parameter : parameters_) {
      has_gradient.push_back(parameter.grad().defined() ? 1 : 0);
    }
    has_gradient = ranks.sum(std::move(has_gradient));
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      if (has_gradient[i] == 0 || parameters_[i].grad().defined()) continue;
      parameters_[i].mutable_grad() = torch::zeros_like(parameters_[i]);
    }
  }

  // The parameters that have a gradient, in their order, each bucket of one type on one device.
  std::vector<std::vector<torch::Tensor>> buckets() const {
    std::vector<std::vector<torch::Tensor>> found;
    std::int64_t bytes = 0;
    for (const torch::Tensor& parameter : parameters_) {
      const torch::Tensor& gradient = parameter.grad();
      if (!gradient.defined()) continue;
      const auto more = static_cast<std::int64_t>(gradient.nbytes());
      const bool fits = !found.empty() && bytes + more <= bucket_bytes_ &&
                        gradient.scalar_type() == found.back().front().grad().scalar_type() &&
                        gradient.device() == found.back().front().grad().device();
      if (!fits) {
        found.emplace_back();
        bytes = 0;
      }
      found.back().push_back(parameter);
      bytes += more;
    }
    return found;
  }

  // The gradients of a bucket as one flat tensor, whose memory they share from here on.
  static torch::Tensor in_one_piece(const std::vector<torch::Tensor>& bucket) {
    const torch::Tensor& first = bucket.front().grad();
    std::int64_t numel = 0;
    bool in_place = true;
    std::vector<torch::Tensor> flat;
    for (const torch::Tensor& parameter : bucket) {
      const torch::Tensor& gradient = parameter.grad();
      in_place = in_place && gradient.is_contiguous() && gradient.is_alias_of(first) &&
                 gradient.storage_offset() == first.storage_offset() + numel;
      numel += gradient.numel();
    }
    if (in_place) return part(first, first.storage_offset(), {numel});
    for (const torch::Tensor& parameter : bucket) flat.push_back(parameter.grad().reshape({-1}));
    torch::Tensor together = torch::cat(flat);
    std::int64_t begin = 0;
    for (const torch::Tensor& parameter : bucket) {
      parameter.mutable_grad() = part(together, begin, parameter.sizes());
      begin += parameter.numel();
    }
    return together;
  }

  // Not a view, which zero_grad() could not detach.
  static torch::Tensor part(const torch::Tensor& whole, std::int64_t begin,
                            torch::IntArrayRef sizes) {
    torch::Tensor tensor = torch::empty({0}, whole.options());
    return tensor.set_(whole.storage(), begin, sizes, c10::contiguous_strides(sizes));
  }

  static Sum begin_sum(const torch::Tensor& gradients, Ranks& ranks) {
    torch::Tensor summed = gradients.is_complex() ? torch::view_as_real(gradients) : gradients;
    // Half precision has too few digits to sum in, and not every engine knows it.
    const auto type = gradients.scalar_type();
    if (type == torch::kHalf || type == torch::kBFloat16) summed = gradients.to(torch::kFloat);
    // Before the sum, as DistributedDataParallel does it: large gradients do not overflow.
    summed.div_(ranks.size());
    return {gradients, summed, ranks.begin_sum(summed)};
  }

  static void finish(Sum& sum) {
    std::exchange(sum.wait, nullptr)();
    if (!sum.summed.is_alias_of(sum.gradients)) sum.gradients.copy_(sum.summed);
  }

  static void give_up(Sum& sum) noexcept {
    try {
      if (sum.wait) sum.wait();
    } catch (...) {  // what came first is thrown
    }
  }

  std::vector<torch::Tensor> parameters_;
  std::int64_t bucket_bytes_;
};

}  // namespace lrfinder::detail
