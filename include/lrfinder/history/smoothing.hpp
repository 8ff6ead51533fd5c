#pragma once

#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>

namespace lrfinder {

/// How a tool smooths the losses that it saves: `s[i] = f l[i] + (1-f) s[i-1]`.
struct Smoothing {
  /// Weight `f` of the newest loss, above 0 and at most 1. 1: no smoothing.
  double factor = 1;
  /// 0: `s[0] = l[0]`. Otherwise the mean begins at `s[-1] = 0`, and
  /// `s[i] / (1 - (1-f)^(i+c))` is saved, with `c` = `bias_correction`.
  int bias_correction = 0;
};

/// The smoothing of "pytorch-lr-finder", "ignite", "fastai" or "lightning" (1.6 or newer) with
/// their default settings, or that of a factor: "0.05".
///
/// Throws InvalidOption for another text.
inline Smoothing smoothing_of(const std::string& tool_or_factor) {
  static const std::pair<std::string_view, Smoothing> tools[] = {{"pytorch-lr-finder", {0.05, 0}},
                                                                 {"ignite", {0.05, 0}},
                                                                 {"fastai", {0.02, 1}},
                                                                 {"lightning", {0.02, 2}}};
  for (const auto& [tool, smoothing] : tools) {
    if (tool == tool_or_factor) return smoothing;
  }
  const auto factor = detail::number_from<double>(tool_or_factor);
  detail::require_option(factor && *factor > 0 && *factor <= 1, "smoothing is \"",
                         detail::printable(tool_or_factor),
                         "\"; it must be the weight of the newest loss, above 0 and at most 1, or "
                         "the name of a tool: pytorch-lr-finder, ignite, fastai or lightning");
  return {*factor, 0};
}

}  // namespace lrfinder

namespace lrfinder::detail {

/// The losses before they were smoothed.
inline std::vector<double> without_smoothing(const std::vector<double>& losses,
                                             const Smoothing& smoothing) {
  const auto& [factor, bias_correction] = smoothing;
  detail::require_option(factor > 0 && factor <= 1, "Smoothing: factor (", factor,
                         ") must be above 0 and at most 1");
  if (factor == 1) return losses;
  std::vector<double> raw;
  double last = 0;
  for (const double loss : losses) {
    const auto age = static_cast<double>(raw.size()) + bias_correction;
    const double mean = bias_correction > 0 ? loss * (1 - std::pow(1 - factor, age)) : loss;
    const bool is_raw = raw.empty() && bias_correction == 0;
    raw.push_back(is_raw ? loss : (mean - (1 - factor) * last) / factor);
    last = mean;
  }
  return raw;
}

}  // namespace lrfinder::detail
