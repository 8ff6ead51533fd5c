#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <sstream>
#include <tuple>
#include <unordered_set>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/error.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/torch/compatibility.hpp>

namespace lrfinder::detail {

/// Keeps small gradients from vanishing in half precision: scales the loss up before backward and
/// the gradients down after it, and finds the largest scale that does not overflow.
///
///     scaler.scale(loss).backward();
///     scaler.unscale(optimizer);      // gradients may be clipped after it
///     scaler.step(optimizer);         // skipped after an overflow
///     scaler.update();
///
/// A value: a copy is a snapshot. After torch.amp.GradScaler of PyTorch and "Mixed Precision
/// Training", Micikevicius et al. 2018, section 3.2.
class GradientScaler {
 public:
  /// Throws InvalidOption for options that make no sense.
  explicit GradientScaler(const GradientScalerOptions& options = {})
      : options_(options), scale_(static_cast<float>(options.init_scale())) {
    require(scale_ > 0 && std::isfinite(scale_), "init_scale", options.init_scale(), "be positive");
    require(options.growth_factor() > 1, "growth_factor", options.growth_factor(),
            "be greater than 1");
    require(options.backoff_factor() > 0 && options.backoff_factor() < 1, "backoff_factor",
            options.backoff_factor(), "lie between 0 and 1");
    require(options.growth_interval() >= 1, "growth_interval",
            static_cast<double>(options.growth_interval()), "be at least 1");
  }

  bool enabled() const noexcept { return options_.enabled(); }

  /// The present scale; 1 when not enabled.
  double scale() const noexcept { return enabled() ? scale_ : 1; }

  /// The loss times the scale, in float32 or better, because half holds nothing above 65504.
  torch::Tensor scale(const torch::Tensor& loss) const {
    if (!enabled()) return loss;
    return loss.to(c10::promoteTypes(loss.scalar_type(), torch::kFloat)) * scale();
  }

  /// Divides the gradients of the optimizer's parameters by the scale, in place. Returns whether
  /// all of them are finite; if not, the next step() is skipped.
  ///
  /// To be called once for each optimizer between backward, the last one of an accumulation, and
  /// step(). Waits for the device. Throws InvalidStep for gradients in half precision, which have
  /// already lost what scaling would save.
  bool unscale(const torch::optim::Optimizer& optimizer) {
    if (!enabled()) return true;
    const torch::NoGradGuard no_grad;
    bool finite = true;
    for (const auto& [place, gradients] : gradients_by_device_and_type(optimizer)) {
      const auto options = torch::device(gradients.front().device()).dtype(torch::kFloat);
      const torch::Tensor factor = torch::full({1}, 1 / scale(), options);
      torch::Tensor found_non_finite = torch::zeros({1}, options);
      unscale_and_check(gradients, factor, found_non_finite);
      finite = finite && found_non_finite.item<float>() == 0;
    }
    all_finite_ = finite && all_finite_.value_or(true);
    return finite;
  }

  /// Updates the parameters, unless unscale() has met a gradient that is not finite. Returns
  /// whether it did.
  bool step(torch::optim::Optimizer& optimizer) {
    if (enabled() && !all_finite_) {
      throw InvalidStep("GradientScaler: unscale() has to come before step()");
    }
    if (enabled() && !*all_finite_) return false;
    optimizer.step();
    return true;
  }

  /// Adapts the scale to what unscale() has met since the last update().
  void update() {
    if (!all_finite_) return;
    if (!*all_finite_) {
      scale_ = static_cast<float>(scale_ * options_.backoff_factor());
      growth_tracker_ = 0;
    } else if (++growth_tracker_ == options_.growth_interval()) {
      const auto grown = static_cast<float>(scale_ * options_.growth_factor());
      if (std::isfinite(grown)) scale_ = grown;
      growth_tracker_ = 0;
    }
    all_finite_.reset();
  }

 private:
  using DeviceAndType = std::tuple<torch::DeviceType, torch::DeviceIndex, at::ScalarType>;

  static void require(bool holds, const char* name, double value, const char* rule) {
    if (holds) return;
    std::ostringstream message;
    message << "GradientScalerOptions: " << name << " (" << value << ") must " << rule;
    throw InvalidOption(message.str());
  }

  // A tensor that the optimizer has twice (tied weights) is here once. The values of a sparse
  // gradient share its memory.
  static std::map<DeviceAndType, std::vector<torch::Tensor>> gradients_by_device_and_type(
      const torch::optim::Optimizer& optimizer) {
    std::map<DeviceAndType, std::vector<torch::Tensor>> places;
    std::unordered_set<const c10::TensorImpl*> seen;
    for (const auto& group : optimizer.param_groups()) {
      for (const auto& parameter : group.params()) {
        const torch::Tensor& gradient = parameter.grad();
        if (!gradient.defined() || !seen.insert(gradient.unsafeGetTensorImpl()).second) continue;
        if (gradient.scalar_type() == torch::kHalf) {
          throw InvalidStep(
              "GradientScaler: a gradient is in half precision; keep the parameters in float32 and "
              "let autocast cast them");
        }
        const torch::Device device = gradient.device();
        places[{device.type(), device.index(), gradient.scalar_type()}].push_back(
            gradient.is_sparse() ? gradient._values() : gradient);
      }
    }
    return places;
  }

  GradientScalerOptions options_;
  float scale_;
  std::int64_t growth_tracker_ = 0;
  std::optional<bool> all_finite_;  // since the last update
};

}  // namespace lrfinder::detail
