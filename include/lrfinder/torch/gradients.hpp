#pragma once

#include <optional>
#include <vector>

#include <torch/torch.h>

namespace lrfinder::detail {

/// The parameters of an optimizer that have a gradient.
inline std::vector<torch::Tensor> parameters_with_gradient(
    const torch::optim::Optimizer& optimizer) {
  std::vector<torch::Tensor> found;
  for (const auto& group : optimizer.param_groups()) {
    for (const auto& parameter : group.params()) {
      if (parameter.grad().defined()) found.push_back(parameter);
    }
  }
  return found;
}

/// The Euclidean norm of all gradients together, a scalar on the device of the first parameter;
/// infinite or NaN where one of them is.
inline torch::Tensor gradient_norm(const std::vector<torch::Tensor>& parameters) {
  const torch::NoGradGuard without_gradients;
  std::vector<torch::Tensor> norms;
  for (const auto& parameter : parameters) {
    const torch::Tensor& gradient = parameter.grad();
    const torch::Tensor values = gradient.is_sparse() ? gradient.coalesce()._values() : gradient;
    const torch::Tensor norm = values.norm();
    norms.push_back(norm.to(parameters.front().device(),
                            torch::promote_types(norm.scalar_type(), torch::kFloat)));
  }
  return norms.empty() ? torch::zeros({}) : torch::stack(norms).norm();
}

/// Scales the gradients down to a norm of `max_norm`, given the `norm` that they have, as
/// torch::nn::utils::clip_grad_norm_ does. That one returns the norm as a number, for which the
/// host would have to wait.
inline void clip_to_norm(const std::vector<torch::Tensor>& parameters, const torch::Tensor& norm,
                         double max_norm) {
  const torch::NoGradGuard without_gradients;
  const torch::Tensor factor = (max_norm / (norm + 1e-6)).clamp_max(1);
  for (const auto& parameter : parameters) {
    const torch::Tensor& gradient = parameter.grad();
    gradient.mul_(factor.to(gradient.device()));
  }
}

/// What happens to the gradients before an update; see RangeTestOptions.
struct ClipOptions {
  std::optional<double> clip_grad_norm;
  std::optional<double> clip_grad_value;
  bool record_grad_norm = false;
};

/// Clips the gradients. Returns their norm before that, a scalar on the device; undefined where it
/// is not to be recorded.
inline torch::Tensor clip_gradients(const torch::optim::Optimizer& optimizer,
                                    const ClipOptions& options) {
  const bool clips = options.clip_grad_norm || options.clip_grad_value;
  if (!clips && !options.record_grad_norm) return {};
  const std::vector<torch::Tensor> parameters = parameters_with_gradient(optimizer);
  torch::Tensor norm = gradient_norm(parameters);
  if (options.clip_grad_norm) clip_to_norm(parameters, norm, *options.clip_grad_norm);
  if (options.clip_grad_value) {
    torch::nn::utils::clip_grad_value_(parameters, *options.clip_grad_value);
  }
  return norm;
}

}  // namespace lrfinder::detail
