#pragma once

#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

// Numbers as text, read and written the same in any locale.
//
// libc++, the standard library of macOS, and that of GCC 10 do not have all of std::to_chars and
// std::from_chars for double. There the C library serves: see number_text_fallback.hpp.
#ifndef __cpp_lib_to_chars
#include <lrfinder/detail/number_text_fallback.hpp>
#endif

namespace lrfinder::detail {

#ifdef __cpp_lib_to_chars
/// What std::to_chars writes for a number.
template <class... Format>
std::string converted(double value, Format... format) {
  char digits[512];  // without an exponent a number has up to 309 digits before the point
  return {digits, std::to_chars(digits, digits + sizeof(digits), value, format...).ptr};
}

inline std::string shortest_text(double value) { return converted(value); }
inline std::string general_text(double value, int precision) {
  return converted(value, std::chars_format::general, precision);
}
inline std::string fixed_text(double value, int decimals) {
  return converted(value, std::chars_format::fixed, decimals);
}
#else
using fallback::fixed_text;
using fallback::general_text;
using fallback::shortest_text;
#endif

/// The shortest text that reads back as the same number: "0.1", "1e-07", "-inf".
inline std::string to_text(double value) { return shortest_text(value); }

/// The number that the whole of `text` spells; nothing where it spells none, or one out of range.
template <class Number>
std::optional<Number> number_from(std::string_view text) {
  Number value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

#ifndef __cpp_lib_to_chars
template <>
inline std::optional<double> number_from(std::string_view text) {
  return fallback::double_from(text);
}
#endif

/// A number as people write it: rounded to some significant digits, its exponent without padding:
/// "0.0123", "1.2e-5".
inline std::string rounded(double value, int significant_digits = 3) {
  std::string text = general_text(value, significant_digits);
  const std::size_t exponent = text.find('e');
  if (exponent == std::string::npos) return text;
  std::size_t padding = exponent + 2;
  if (text[exponent + 1] == '+') text.erase(exponent + 1, 1), --padding;
  while (padding + 1 < text.size() && text[padding] == '0') text.erase(padding, 1);
  return text;
}

}  // namespace lrfinder::detail
