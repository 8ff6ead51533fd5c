#pragma once

#include <algorithm>
#include <cerrno>
#include <cfenv>
#include <charconv>
#include <clocale>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <ios>
#include <locale>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#ifdef __APPLE__
#include <xlocale.h>
#endif

// Numbers as text. They are read and written alike in all locales.
namespace lrfinder::detail {

/// Rounds to the nearest number for as long as it lives, whatever mode the program has set. Only
/// then is a number read back exactly.
class NearestRounding {
 public:
  NearestRounding() {
    if (before_ != FE_TONEAREST) std::fesetround(FE_TONEAREST);
  }
  NearestRounding(const NearestRounding&) = delete;
  NearestRounding& operator=(const NearestRounding&) = delete;
  ~NearestRounding() {
    if (before_ != FE_TONEAREST) std::fesetround(before_);
  }

 private:
  const int before_ = std::fegetround();
};

/// A number with `digits` significant digits. With `format` std::ios::fixed: with so many decimals.
inline std::string printed(double value, int digits, std::ios::fmtflags format = {}) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text.flags(format);
  text.precision(digits);
  text << value;
  return text.str();
}

#ifndef _WIN32
// Some standard libraries lack std::to_chars or std::from_chars for double: libc++ (macOS) and that
// of GCC 10. There, the C library is used. strtod and printf of glibc and macOS round correctly, so
// a written number is read back exactly. fast_float would be faster, but can only read, and users
// would have to install it.
namespace fallback {

/// Like std::from_chars, but the whole text must be a number.
inline std::optional<double> double_from(std::string_view text) {
  // strtod also takes blanks, a plus sign and hexadecimal numbers.
  const bool begins_well =
      !text.empty() && std::string_view("-.0123456789iInN").find(text[0]) != std::string_view::npos;
  if (!begins_well || text.find_first_of("xX") != std::string_view::npos) return std::nullopt;
  const std::string terminated(text);
  static const ::locale_t with_point = ::newlocale(LC_ALL_MASK, "C", nullptr);
  char* stop = nullptr;
  const NearestRounding rounding;
  errno = 0;
  const double value = ::strtod_l(terminated.c_str(), &stop, with_point);
  const bool out_of_range = errno == ERANGE && (std::isinf(value) || value == 0);
  if (out_of_range || stop != terminated.c_str() + terminated.size()) return std::nullopt;
  return value;
}

/// Like std::to_chars.
inline std::string to_text(double value) {
  if (!std::isfinite(value)) return printed(value, 1);
  const NearestRounding rounding;
  int digits = 0;  // behind the first one
  std::string scientific = printed(value, digits, std::ios::scientific);
  while (double_from(scientific) != value) {
    scientific = printed(value, ++digits, std::ios::scientific);
  }
  const int exponent = std::atoi(scientific.c_str() + scientific.find('e') + 1);
  const std::string fixed = printed(value, std::max(0, digits - exponent), std::ios::fixed);
  return fixed.size() <= scientific.size() ? fixed : scientific;
}

}  // namespace fallback
#endif

#ifdef __cpp_lib_to_chars
/// The shortest text that reads back as the same number, with or without an exponent: "0.1",
/// "1e-07", "-inf".
inline std::string to_text(double value) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof(digits), value).ptr};
}
#else
using fallback::to_text;
#endif

/// The number in `text`. Nothing if the whole text is not a number, or is out of range.
template <class Number>
std::optional<Number> number_from(std::string_view text) {
  Number value{};
  const char* const end = text.data() + text.size();
  const NearestRounding rounding;
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

/// A number for people: rounded to some significant digits, and without padding in the exponent:
/// "0.0123", "1.2e-5".
inline std::string rounded(double value, int significant_digits = 3) {
  std::string text = printed(value, significant_digits);
  const std::size_t exponent = text.find('e') + 1;
  if (exponent == 0) return text;
  return text.substr(0, exponent) + std::to_string(std::atoi(text.c_str() + exponent));
}

}  // namespace lrfinder::detail
