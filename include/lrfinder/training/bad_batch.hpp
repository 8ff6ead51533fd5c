#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>

namespace lrfinder::detail {

/// The first sample of a batch with a value that is not finite; none if all values that can be seen
/// are finite. The samples lie along the first dimension.
inline std::optional<std::int64_t> first_bad_sample(const AnyBatch& batch) {
  const torch::NoGradGuard without_gradients;
  for (const torch::Tensor& tensor : batch.tensors().tensors) {
    if (!tensor.is_floating_point() || tensor.dim() == 0 || tensor.numel() == 0) continue;
    const torch::Tensor is_bad =
        tensor.isfinite().logical_not().reshape({tensor.size(0), -1}).any(1);
    if (is_bad.any().item<bool>()) return is_bad.to(torch::kLong).argmax().item<std::int64_t>();
  }
  return std::nullopt;
}

/// Throws BadBatch for a batch whose loss is not finite although nothing has been trained. `index`:
/// the number of the batch in the order of the loader.
[[noreturn]] inline void throw_bad_batch(const AnyBatch& batch, std::int64_t index, double loss) {
  const auto sample = first_bad_sample(batch);
  const std::string look_at =
      sample ? concat("its sample ", *sample, " holds a value that is not finite. Look at the data")
             : "its values are finite, so look at the criterion (the logarithm of 0, a division by "
               "0) and at the weights of the model";
  throw BadBatch(
      concat("LRFinder: the loss of batch ", index, " (counted from 0) is ",
             to_text(std::fabs(loss)), " before any update, so no learning rate is to blame; ",
             look_at, ", or leave such batches out with TrainingOptions().skip_bad_batches(true)"),
      index);
}

}  // namespace lrfinder::detail
