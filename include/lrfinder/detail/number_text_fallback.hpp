#pragma once

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#ifdef __APPLE__
#include <xlocale.h>
#else
#include <locale.h>
#endif

// std::to_chars and std::from_chars for double by the C library, where the standard library lacks
// them. strtod and printf of glibc and of macOS round correctly, so a number that is written is
// read back exactly; and they are there. fast_float would be faster, but it only reads, and users
// would have to install it.
namespace lrfinder::detail::fallback {

/// Gives this thread the "C" locale, with a point in numbers, for as long as it lives.
class NumbersWithPoint {
 public:
  NumbersWithPoint() {
    static const ::locale_t c_locale = ::newlocale(LC_ALL_MASK, "C", nullptr);
    old_ = ::uselocale(c_locale);
  }
  NumbersWithPoint(const NumbersWithPoint&) = delete;
  NumbersWithPoint& operator=(const NumbersWithPoint&) = delete;
  ~NumbersWithPoint() { ::uselocale(old_); }

 private:
  ::locale_t old_;
};

/// What printf writes; `conversion` is 'e', 'f' or 'g'.
inline std::string printed(double value, char conversion, int precision) {
  const NumbersWithPoint numbers_with_point;
  const char format[] = {'%', '.', '*', conversion, '\0'};
  char text[512];  // without an exponent a number has up to 309 digits before the point
  const int size = std::snprintf(text, sizeof(text), format, precision, value);
  return {text, static_cast<std::size_t>(size)};
}

inline std::string general_text(double value, int precision) {
  return printed(value, 'g', precision);
}
inline std::string fixed_text(double value, int decimals) { return printed(value, 'f', decimals); }

/// As std::from_chars, of a whole text.
inline std::optional<double> double_from(std::string_view text) {
  // strtod also takes blanks, a plus sign and hexadecimal numbers.
  const bool begins_well =
      !text.empty() && std::string_view("-.0123456789iInN").find(text[0]) != std::string_view::npos;
  if (!begins_well || text.find_first_of("xX") != std::string_view::npos) return std::nullopt;
  const std::string terminated(text);
  const NumbersWithPoint numbers_with_point;
  char* stop = nullptr;
  errno = 0;
  const double value = std::strtod(terminated.c_str(), &stop);
  const bool out_of_range = errno == ERANGE && (std::isinf(value) || value == 0);
  if (out_of_range || stop != terminated.c_str() + terminated.size()) return std::nullopt;
  return value;
}

/// The shortest text that reads back as the same number; with an exponent where that is shorter.
inline std::string shortest_text(double value) {
  if (!std::isfinite(value)) return printed(value, 'g', 1);
  int too_few = -1;
  int enough = 16;  // digits after the first
  while (enough - too_few > 1) {
    const int middle = (enough + too_few) / 2;
    (double_from(printed(value, 'e', middle)) == value ? enough : too_few) = middle;
  }
  const std::string scientific = printed(value, 'e', enough);
  const int exponent = std::atoi(scientific.c_str() + scientific.find('e') + 1);
  const std::string fixed = fixed_text(value, std::max(0, enough - exponent));
  return fixed.size() <= scientific.size() ? fixed : scientific;
}

}  // namespace lrfinder::detail::fallback
