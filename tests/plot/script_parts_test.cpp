#include <catch2.hpp>
#include <hostile.hpp>
#include <random>
#include <string>
#include <vector>

#include <lrfinder/plot/gnuplot.hpp>
#include <lrfinder/plot/script_parts.hpp>

using lrfinder::detail::characters;
using lrfinder::detail::gnuplot_string;

namespace {

/// What gnuplot prints for these texts, one after the other.
std::string printed(const std::vector<std::string>& texts) {
  std::string script = "set encoding utf8\nset print '-'\n";
  for (const std::string& text : texts) script += "print " + gnuplot_string(text) + "\n";
  return lrfinder::run_gnuplot(script);
}

std::string expected(const std::vector<std::string>& texts) {
  std::string output;
  for (const std::string& text : texts) {
    for (const std::string& character : characters(text)) output += character;
    output += '\n';
  }
  return output;
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
