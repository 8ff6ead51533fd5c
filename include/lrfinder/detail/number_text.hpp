#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace lrfinder::detail {

/// The shortest text that reads back as the same number, in any locale: "0.1", "1e-07", "-inf".
inline std::string to_text(double value) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof(digits), value).ptr};
}

/// The number that the whole of `text` spells; nothing where it spells none, or one out of range.
template <class Number>
std::optional<Number> number_from(std::string_view text) {
  Number value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

/// A number as people write it: rounded to some significant digits, its exponent without padding:
/// "0.0123", "1.2e-5".
inline std::string rounded(double value, int significant_digits = 3) {
  char digits[64];
  std::string text(digits, std::to_chars(digits, digits + sizeof(digits), value,
                                         std::chars_format::general, significant_digits)
                               .ptr);
  const std::size_t exponent = text.find('e');
  if (exponent == std::string::npos) return text;
  std::size_t padding = exponent + 2;
  if (text[exponent + 1] == '+') text.erase(exponent + 1, 1), --padding;
  while (padding + 1 < text.size() && text[padding] == '0') text.erase(padding, 1);
  return text;
}

}  // namespace lrfinder::detail
