#include <catch2.hpp>
#include <curves.hpp>
#include <sstream>
#include <string>
#include <vector>

#include <lrfinder/suggest/table.hpp>

using namespace lrfinder;

TEST_CASE("the table has a row for every recipe, steepest first") {
  std::vector<std::string> names;
  for (const auto& row : suggest::all(MadeUpCurve{}.history())) {
    names.push_back(row.recipe);
    REQUIRE(row.suggestion);
    CHECK(row.suggestion->recipe == row.recipe);
    CHECK(row.reason.empty());
  }
  CHECK(names == std::vector<std::string>{"steepest", "gradient_argmin", "lightning", "ignite",
                                          "valley", "slide", "minimum", "steep"});
}

TEST_CASE("a recipe without an answer has a row that says why") {
  const SuggestionTable table = suggest::all(History({1, 2}, {2, 1}));
  REQUIRE(table.size() == 8);
  CHECK_FALSE(table[0].suggestion);
  CHECK_THAT(table[0].reason, contains("needs 3"));
  CHECK(table[1].suggestion);  // gradient_argmin needs two
}

TEST_CASE("the table prints a line for each recipe") {
  std::ostringstream out;
  out << suggest::all(History({1, 2}, {2, 1}));
  CHECK_THAT(out.str(), contains("steepest         none  ("));
  CHECK_THAT(out.str(), contains("minimum          0.2\n"));
}
