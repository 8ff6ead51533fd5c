#include <catch2.hpp>
#include <cmath>
#include <hostile.hpp>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <lrfinder/plot/figure.hpp>
#include <lrfinder/plot/plot_format.hpp>

using lrfinder::detail::Axis;
using lrfinder::detail::characters;
using lrfinder::detail::gnuplot_string;
using lrfinder::detail::Range;

namespace {

/// What gnuplot prints for these texts, one after the other.
std::string printed(const std::vector<std::string>& texts) {
  std::string script = "set encoding utf8\nset print '-'\n";
  for (const std::string& text : texts) script += "print " + gnuplot_string(text) + "\n";
  return lrfinder::detail::run_gnuplot(script);
}

std::string expected(const std::vector<std::string>& texts) {
  std::string output;
  for (const std::string& text : texts) {
    for (const std::string& character : characters(text)) output += character;
    output += '\n';
  }
  return output;
}

/// How many labels gnuplot gives an axis of so many pixels.
int labels_of(const Axis& axis, const std::string& name, int pixels) {
  const std::string other = name == "x" ? "y" : "x";
  const std::string svg = lrfinder::detail::run_gnuplot(
      "set encoding utf8\nset terminal svg enhanced size " + std::to_string(pixels + 40) + "," +
      std::to_string(pixels + 40) + "\nset " + (name == "x" ? "l" : "b") + "margin 0\nunset key\n" +
      "unset " + other + "tics\nset " + other + "range [0:1]\n" +
      axis.commands(name, "10^{%L}", static_cast<std::size_t>(std::min(10, pixels / 24))) +
      "plot '+' using (" + lrfinder::detail::to_text(axis.range.high) + "):(" +
      lrfinder::detail::to_text(axis.range.high) + ") every ::::0\n");
  int count = 0;
  for (auto at = svg.find("<text>"); at != std::string::npos; at = svg.find("<text>", at + 1)) {
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("gnuplot reads a string as the text it was made of", "[gnuplot]") {
  std::vector<std::string> texts = hostile_texts();
  CHECK(printed(texts) == expected(texts));
  std::mt19937 bits(7);
  const std::vector<std::string> pieces = {"'", "''", "\"", "\\", "`",   "$(", ")", "@",
                                           "{", "}",  "\n", ";",  "#",   "!",  "x", " ",
                                           ".", "%",  "|",  "<",  "047", "ü"};
  for (int script = 0; script < 10; ++script) {
    texts.clear();
    for (int i = 0; i < 300; ++i) {
      std::string text;
      for (auto size = bits() % 12 + 1; size > 0; --size) text += pieces[bits() % pieces.size()];
      texts.push_back(text);
    }
    REQUIRE(printed(texts) == expected(texts));
  }
}

TEST_CASE("an axis has more than one tick, and not too many", "[gnuplot]") {
  const bool logarithmic = GENERATE(false, true);
  const double low = GENERATE(1e-7, 0.9999, 7.3);
  const double ratio = GENERATE(1.0001, 1.3, 4.9, 5.1, 9, 99, 101, 1e12, 1e40);
  CAPTURE(low, ratio);
  const Axis axis{{low, low * ratio}, logarithmic};
  const int across = labels_of(axis, "x", 700);
  CHECK(across >= 2);
  CHECK(across <= 14);
  CHECK(labels_of(axis, "y", 80) >= 2);
}

TEST_CASE("the steps of a plan have whole ticks, and the last one has one") {
  using Ticks = std::vector<double>;
  const auto ticks_to = [](double end) { return Axis{{0, end}, false, /*counts=*/true}.ticks(5); };
  CHECK(ticks_to(1) == Ticks{0, 1});
  CHECK(ticks_to(3) == Ticks{0, 1, 2, 3});
  CHECK(ticks_to(10000) == Ticks{0, 2000, 4000, 6000, 8000, 10000});
  CHECK(ticks_to(937) == Ticks{0, 200, 400, 600, 937});
}

TEST_CASE("the narrowest and the widest axes can be drawn", "[gnuplot]") {
  const bool logarithmic = GENERATE(false, true);
  const Range range =
      GENERATE(Range{1, std::nextafter(1.0, 2.0)}, Range{1, 1 + 1e-9}, Range{1e-300, 1e300},
               Range{1e-150, 2e-150}, Range{1e308, std::numeric_limits<double>::max()});
  CAPTURE(range.low, range.high);
  CHECK_NOTHROW(labels_of({range, logarithmic}, "x", 700));
}
