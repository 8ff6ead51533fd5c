#pragma once

#include <cstdint>

#include <torch/torch.h>

namespace lrfinder {

/// Options of a GradientScaler. Names, rules and defaults are those of torch.amp.GradScaler.
struct GradientScalerOptions {
  /// Whether anything is scaled; when not, every operation passes its argument on. Default: true.
  TORCH_ARG(bool, enabled) = true;
  /// The first scale, positive. Default: 65536.
  TORCH_ARG(double, init_scale) = 65536;
  /// What the scale is multiplied by after `growth_interval` updates in a row without overflow;
  /// greater than 1. Default: 2.
  TORCH_ARG(double, growth_factor) = 2;
  /// What the scale is multiplied by after an overflow, between 0 and 1. Default: 0.5.
  TORCH_ARG(double, backoff_factor) = 0.5;
  /// Number of updates in a row without overflow before the scale grows, at least 1. Default: 2000.
  TORCH_ARG(std::int64_t, growth_interval) = 2000;
};

}  // namespace lrfinder
