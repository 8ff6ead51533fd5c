#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>

namespace lrfinder::detail {

struct Range {
  double low;
  double high;
};

/// A tick; without a label it is a minor one.
struct Tick {
  double position;
  std::string label;
};

struct Axis {
  Range range{0, 1};
  bool logarithmic = false;
  std::vector<Tick> ticks;

  bool holds(double value) const { return value >= range.low && value <= range.high; }

  /// Whether a value has a place on the axis, within its ends or beyond.
  bool defines(double value) const { return std::isfinite(value) && (!logarithmic || value > 0); }

  /// Where a value lies between the ends of the axis, from 0 to 1.
  double fraction(double value) const {
    return logarithmic ? (std::log(value) - std::log(range.low)) /
                             (std::log(range.high) - std::log(range.low))
                       : (value - range.low) / (range.high - range.low);
  }
};

/// A text with a proper minus sign instead of a hyphen.
inline std::string with_minus_sign(const std::string& number) {
  return number.front() == '-' ? "\u2212" + number.substr(1) : number;
}

/// "10⁻⁷"
inline std::string power_of_ten(int exponent) {
  static const char* const digits[] = {"\u2070", "\u00b9", "\u00b2", "\u00b3", "\u2074",
                                       "\u2075", "\u2076", "\u2077", "\u2078", "\u2079"};
  std::string text = exponent < 0 ? "10\u207b" : "10";
  for (const char digit : std::to_string(std::abs(exponent))) text += digits[digit - '0'];
  return text;
}

/// 10 to the power of `exponent`, rounded correctly, as std::pow does not on all systems.
inline double decade(double exponent) {
  const int whole = static_cast<int>(std::clamp(exponent, -400.0, 400.0));
  return number_from<double>("1e" + std::to_string(whole)).value_or(whole < 0 ? 0 : HUGE_VAL);
}

/// About `count` labelled ticks at multiples of 1, 2 or 5 times a power of ten.
inline std::vector<Tick> even_ticks(Range range, int count) {
  const double width = (range.high - range.low) / count;
  const double unit = decade(std::floor(std::log10(width)));
  double step = 10 * unit;
  for (const double nice : {5.0, 2.0, 1.0}) {
    if (nice * unit >= width) step = nice * unit;
  }
  const double largest = std::max(std::fabs(range.low), std::fabs(range.high));
  // Not an int yet: it is infinite where the narrowest ranges leave no step.
  const double decimals = std::max(0.0, -std::floor(std::log10(step) + 1e-9));
  const bool scientific = largest >= 1e5 || decimals > 5;
  std::vector<Tick> ticks;
  for (int i = 0; i <= 2 * count; ++i) {
    const double value = (std::ceil(range.low / step) + i) * step + 0.0;
    if (!(value <= range.high)) break;
    const std::string label =
        scientific ? rounded(value, 4) : fixed_text(value, static_cast<int>(decimals));
    ticks.push_back({value, with_minus_sign(label)});
  }
  return ticks;
}

/// Labelled ticks at powers of ten, not more than `count`, with minor ticks between them. Where
/// there are fewer than two powers of ten, ticks as on a linear axis.
inline std::vector<Tick> decade_ticks(Range range, int count) {
  const int first = static_cast<int>(std::floor(std::log10(range.low)));
  const int last = static_cast<int>(std::ceil(std::log10(range.high)));
  const auto within = [&](double value) {
    return value >= range.low * (1 - 1e-9) && value <= range.high * (1 + 1e-9);
  };
  int decades = 0;
  for (int exponent = first; exponent <= last; ++exponent) decades += within(decade(exponent));
  if (decades < 2 && range.high / range.low < 5) return even_ticks(range, count);
  const int step = std::max(1, (decades + count - 1) / count);
  std::vector<Tick> ticks;
  for (int exponent = first; exponent <= last; ++exponent) {
    for (int digit = 1; digit <= (step == 1 ? 9 : 1); ++digit) {
      const double position = digit * decade(exponent);
      if (!within(position)) continue;
      const bool labelled =
          digit == 1 ? exponent % step == 0 : decades < 3 && (digit == 2 || digit == 5);
      std::string label;
      if (labelled) label = decades < 3 ? rounded(position) : power_of_ten(exponent);
      ticks.push_back({position, label});
    }
  }
  return ticks;
}

inline Axis linear_axis(Range range, int count) { return {range, false, even_ticks(range, count)}; }
inline Axis log_axis(Range range, int count) { return {range, true, decade_ticks(range, count)}; }

/// The symmetric logarithm: linear around 0 up to the threshold, logarithmic beyond on both sides.
struct SymmetricLog {
  double threshold = 1;

  double operator()(double value) const {
    return std::copysign(std::log10(1 + std::fabs(value) / threshold), value);
  }
};

/// An axis of values that were put through the symmetric logarithm; its ticks say what they were,
/// at powers of ten that are not too near to 0.
inline Axis symmetric_log_axis(SymmetricLog scale, Range range) {
  Axis axis{range, false, {{0, "0"}}};
  const double nearest = 0.1 * (range.high - range.low);
  for (int exponent = static_cast<int>(std::ceil(std::log10(scale.threshold)));; ++exponent) {
    const double position = scale(decade(exponent));
    if (!(position < std::max(range.high, -range.low))) return axis;
    if (position < nearest) continue;
    if (position < range.high) axis.ticks.push_back({position, power_of_ten(exponent)});
    if (-position > range.low) {
      axis.ticks.push_back({-position, "\u2212" + power_of_ten(exponent)});
    }
  }
}

}  // namespace lrfinder::detail
