#pragma once

#include <optional>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/training/options.hpp>

namespace lrfinder::training {

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

/// The Euclidean norm of all gradients together; infinite or NaN where one of them is.
inline double gradient_norm(const std::vector<torch::Tensor>& parameters) {
  const torch::NoGradGuard without_gradients;
  std::vector<torch::Tensor> norms;
  for (const auto& parameter : parameters) {
    const torch::Tensor& gradient = parameter.grad();
    const torch::Tensor values = gradient.is_sparse() ? gradient.coalesce()._values() : gradient;
    norms.push_back(values.norm().to(parameters.front().device(), torch::kFloat));
  }
  return norms.empty() ? 0 : torch::stack(norms).norm().item<double>();
}

/// Clips the gradients as the options ask for. Returns their norm before that, where it is to be
/// recorded.
inline std::optional<double> clip_gradients(const torch::optim::Optimizer& optimizer,
                                            const RangeTestOptions& options) {
  const bool clips = options.clip_grad_norm() || options.clip_grad_value();
  if (!clips && !options.record_grad_norm()) return std::nullopt;
  const std::vector<torch::Tensor> parameters = parameters_with_gradient(optimizer);
  const double norm = gradient_norm(parameters);
  if (options.clip_grad_norm()) {
    torch::nn::utils::clip_grad_norm_(parameters, *options.clip_grad_norm());
  }
  if (options.clip_grad_value()) {
    torch::nn::utils::clip_grad_value_(parameters, *options.clip_grad_value());
  }
  return norm;
}

}  // namespace lrfinder::training
