#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <tuple>
#include <unordered_set>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/torch/compatibility.hpp>
#include <lrfinder/training_options.hpp>

/// @file
/// Functions for gradients, after the backward pass and before the update.

namespace lrfinder::detail {

/// The parameters of an optimizer that have a gradient, each once.
inline std::vector<torch::Tensor> parameters_with_gradient(
    const torch::optim::Optimizer& optimizer) {
  std::vector<torch::Tensor> found;
  std::unordered_set<const c10::TensorImpl*> seen;  // the optimizer may have a tensor twice
  for (const auto& group : optimizer.param_groups()) {
    for (const auto& parameter : group.params()) {
      const bool is_new = seen.insert(parameter.unsafeGetTensorImpl()).second;
      if (is_new && parameter.grad().defined()) found.push_back(parameter);
    }
  }
  return found;
}

/// The Euclidean norm of all gradients together, as a scalar on the device of the first parameter.
/// Infinite or NaN if a gradient is.
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

/// Clips the gradients as the options say. Returns their norm before clipping, as a scalar on the
/// device. The result is undefined if the norm is not needed.
inline torch::Tensor clip_gradients(const torch::optim::Optimizer& optimizer,
                                    const TrainingOptions& options) {
  const bool clips = options.clip_grad_norm() || options.clip_grad_value();
  if (!clips && !options.record_grad_norm()) return {};
  const std::vector<torch::Tensor> parameters = parameters_with_gradient(optimizer);
  torch::Tensor norm = gradient_norm(parameters);
  if (options.clip_grad_norm()) {
    // Like torch::nn::utils::clip_grad_norm_, but that function returns the norm as a number, for
    // which the host would have to wait.
    const torch::NoGradGuard without_gradients;
    const torch::Tensor factor = (*options.clip_grad_norm() / (norm + 1e-6)).clamp_max(1);
    for (const auto& parameter : parameters) {
      parameter.grad().mul_(factor.to(parameter.grad().device()));
    }
  }
  if (options.clip_grad_value()) {
    for (const auto& parameter : parameters) {
      const torch::Tensor& gradient = parameter.grad();
      if (gradient.layout() == torch::kStrided && !gradient.is_complex()) continue;
      throw InvalidStep(concat("TrainingOptions: clip_grad_value cannot clip the ",
                               gradient.is_complex() ? "complex" : "sparse",
                               " gradient of a parameter of shape ", parameter.sizes(),
                               "; use clip_grad_norm"));
    }
    torch::nn::utils::clip_grad_value_(parameters, *options.clip_grad_value());
  }
  return norm;
}

/// Keeps small gradients from vanishing in half precision. Scales the loss up before the backward
/// pass, and the gradients down after it. Finds the largest scale that does not overflow.
///
///     scaler.scale(loss).backward();
///     scaler.unscale(optimizer);      // then the gradients may be clipped
///     scaler.step(optimizer);         // skipped after an overflow; adapts the scale
///
/// A copy is independent of the original. Follows torch.amp.GradScaler of PyTorch and "Mixed
/// Precision Training", Micikevicius et al. 2018, section 3.2.
class GradientScaler {
 public:
  /// Throws InvalidOption if an option makes no sense.
  explicit GradientScaler(const GradientScalerOptions& options = {})
      : options_(options), scale_(static_cast<float>(options.init_scale())) {
    const auto require = [](bool holds, const char* name, const auto& value, const char* rule) {
      require_option(holds, "GradientScalerOptions: ", name, " (", value, ") must ", rule);
    };
    const double growth = options.growth_factor(), backoff = options.backoff_factor();
    require(scale_ > 0 && std::isfinite(scale_), "init_scale", options.init_scale(), "be positive");
    require(growth > 1, "growth_factor", growth, "be greater than 1");
    require(backoff > 0 && backoff < 1, "backoff_factor", backoff, "lie between 0 and 1");
    require(options.growth_interval() >= 1, "growth_interval", options.growth_interval(),
            "be at least 1");
  }

  bool enabled() const noexcept { return options_.enabled(); }

  /// The present scale; 1 if scaling is not enabled.
  double scale() const noexcept { return enabled() ? static_cast<double>(scale_) : 1; }

  /// The loss times the scale, in float32 or better, as half precision ends at 65504.
  torch::Tensor scale(const torch::Tensor& loss) const {
    if (!enabled()) return loss;
    return loss.to(c10::promoteTypes(loss.scalar_type(), torch::kFloat)) * scale();
  }

  /// Divides the gradients of the optimizer's parameters by the scale, in place. Returns whether
  /// all gradients are finite. If they are not, the next step() is skipped.
  ///
  /// Must be called exactly once between the backward pass (the last one of an accumulation) and
  /// step(). Waits for the device. Throws InvalidStep for gradients in half precision, because they
  /// have already lost what scaling would save.
  bool unscale(const torch::optim::Optimizer& optimizer) {
    if (!enabled()) return true;
    const torch::NoGradGuard no_grad;
    finite_ = true;
    using DeviceAndType = std::tuple<torch::DeviceType, torch::DeviceIndex, at::ScalarType>;
    std::map<DeviceAndType, std::vector<torch::Tensor>> places;
    for (const torch::Tensor& parameter : parameters_with_gradient(optimizer)) {
      const torch::Tensor& gradient = parameter.grad();
      if (gradient.scalar_type() == torch::kHalf) {
        throw InvalidStep(
            "GradientScaler: a gradient is in half precision; keep the parameters in float32 and "
            "let autocast cast them");
      }
      const torch::Device device = gradient.device();
      // The values of a sparse gradient share its memory.
      places[{device.type(), device.index(), gradient.scalar_type()}].push_back(
          gradient.is_sparse() ? gradient._values() : gradient);
    }
    for (const auto& [place, gradients] : places) {
      const auto options = torch::device(gradients.front().device()).dtype(torch::kFloat);
      const torch::Tensor factor = torch::full({1}, 1 / scale(), options);
      torch::Tensor found_non_finite = torch::zeros({1}, options);
      unscale_and_check(gradients, factor, found_non_finite);
      finite_ = finite_ && found_non_finite.item<float>() == 0;
    }
    return finite_;
  }

  /// Updates the parameters, unless unscale() has found a gradient that is not finite. Adapts the
  /// scale in both cases. Returns whether the parameters were updated.
  bool step(torch::optim::Optimizer& optimizer) {
    if (finite_) optimizer.step();
    if (!enabled()) return true;
    if (!finite_) {
      scale_ = static_cast<float>(static_cast<double>(scale_) * options_.backoff_factor());
      growth_tracker_ = 0;
    } else if (++growth_tracker_ == options_.growth_interval()) {
      const auto grown = static_cast<float>(static_cast<double>(scale_) * options_.growth_factor());
      if (std::isfinite(grown)) scale_ = grown;
      growth_tracker_ = 0;
    }
    return finite_;
  }

 private:
  GradientScalerOptions options_;
  float scale_;
  std::int64_t growth_tracker_ = 0;
  bool finite_ = true;  // the result of the last unscale()
};

}  // namespace lrfinder::detail
