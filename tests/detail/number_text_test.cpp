#include <catch2.hpp>
#include <cfenv>
#include <clocale>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <lrfinder/detail/number_text.hpp>

using namespace lrfinder::detail;

namespace {

/// Numbers of every size, among them all powers of two and of ten.
std::vector<double> numbers() {
  std::vector<double> values = {0,    -0.0,   1,     0.1,     100000, 123456,
                                1e15, 5e-324, 1e308, 1.0 / 3, 0.3,    9007199254740994.0};
  for (int exponent = -1074; exponent < 1024; ++exponent) values.push_back(std::ldexp(1, exponent));
  for (int exponent = -323; exponent < 309; ++exponent) values.push_back(std::pow(10, exponent));
  std::mt19937_64 bits(7);
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t pattern = bits();
    double value = 0;
    std::memcpy(&value, &pattern, sizeof(value));
    if (std::isfinite(value)) values.push_back(value);
  }
  return values;
}

}  // namespace

TEST_CASE("a number that is written is read back exactly") {
  std::vector<double> changed;
  for (const double value : numbers()) {
    const auto read = number_from<double>(to_text(value));
    if (!read || std::memcmp(&*read, &value, sizeof(value)) != 0) changed.push_back(value);
  }
  CHECK(changed == std::vector<double>());
}

TEST_CASE("a number is read back exactly whatever the rounding mode") {
  std::vector<double> values = numbers();
  values.resize(values.size() / 4);
  const int mode = GENERATE(FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO);
  std::vector<double> changed;
  std::fesetround(mode);
  for (const double value : values) {
    bool is_same = number_from<double>(to_text(value)) == value;
#ifndef _WIN32
    is_same = is_same && fallback::double_from(fallback::to_text(value)) == value;
#endif
    if (!is_same) changed.push_back(value);
  }
  const int mode_after = std::fegetround();
  std::fesetround(FE_TONEAREST);
  CHECK(mode_after == mode);
  CHECK(changed == std::vector<double>());
}

TEST_CASE("numbers look the same on all systems") {
  CHECK(to_text(0.1) == "0.1");
  CHECK(to_text(1e-7) == "1e-07");
  CHECK(to_text(100000) == "1e+05");
  CHECK(to_text(123456) == "123456");
  CHECK(to_text(1e22) == "1e+22");
  CHECK(to_text(5e-324) == "5e-324");
  CHECK(to_text(-0.0) == "-0");
  CHECK(to_text(-std::numeric_limits<double>::infinity()) == "-inf");
  CHECK(to_text(std::nan("")) == "nan");
  CHECK(rounded(0.012345) == "0.0123");
  CHECK(rounded(0.000012) == "1.2e-5");
  CHECK(rounded(1.5e10) == "1.5e10");
}

TEST_CASE("what spells no number, or one out of range, is none") {
  const std::string text = GENERATE("", " 1", "1 ", "+1", "0x10", "1e", "1,5", "1.5.2", "e5", "--1",
                                    "1e400", "-1e400", "1e-400", "infinit", "na");
  CAPTURE(text);
  CHECK_FALSE(number_from<double>(text));
  CHECK_FALSE(number_from<double>(std::string("1\0", 2)));
}

TEST_CASE("infinities and NaN are spelled in words") {
  CHECK(number_from<double>("inf") == std::numeric_limits<double>::infinity());
  CHECK(number_from<double>("-INFINITY") == -std::numeric_limits<double>::infinity());
  CHECK(std::isnan(*number_from<double>("nan")));
}

TEST_CASE("a locale with a comma in numbers changes nothing") {
  const std::string old = std::setlocale(LC_ALL, nullptr);
  if (std::setlocale(LC_ALL, "de_DE.UTF-8") == nullptr &&
      std::setlocale(LC_ALL, "German") == nullptr) {
    std::cout << "skipped: there is no German locale\n";
    return;
  }
  REQUIRE(std::string(std::localeconv()->decimal_point) == ",");
  CHECK(to_text(0.5) == "0.5");
  CHECK(rounded(0.5) == "0.5");
  CHECK(number_from<double>("0.5") == 0.5);
  CHECK_FALSE(number_from<double>("0,5"));
#ifndef _WIN32
  CHECK(fallback::to_text(0.5) == "0.5");
  CHECK(fallback::double_from("0.5") == 0.5);
#endif
  std::setlocale(LC_ALL, old.c_str());
}

#if !defined(_WIN32) && defined(__cpp_lib_to_chars)
TEST_CASE("the fallback reads and writes as the standard library does") {
  std::vector<double> different;
  for (const double value : numbers()) {
    const std::string text = fallback::to_text(value);
    int exponent = 0;
    const bool power_of_two = std::fabs(std::frexp(value, &exponent)) == 0.5;
    // Where doubles are closer on one side than on the other, the standard library may find a
    // shorter text.
    if ((text != to_text(value) && !power_of_two) || fallback::double_from(text) != value) {
      different.push_back(value);
    }
  }
  CHECK(different == std::vector<double>());
  for (const char* text : {"", " 1", "1 ", "+1", "0x10", "1e", "1,5", "1e400", "1e-400", "inf",
                           "-infinity", "4e-324", "1e5", ".5", "5.", "-.5e-3", "."}) {
    CAPTURE(text);
    CHECK(fallback::double_from(text) == number_from<double>(text));
  }
}
#endif
