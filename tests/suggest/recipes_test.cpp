#include <catch2.hpp>
#include <csv.hpp>
#include <curves.hpp>
#include <limits>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/suggest/recipes.hpp>

using lrfinder::History;
using lrfinder::NoSuggestion;
using lrfinder::Recipe;
namespace suggest = lrfinder::suggest;

namespace {

constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

/// The recipe that a row of expected.csv names.
Recipe recipe_of(const std::string& method) {
  if (method == "gradient_argmin_0_0") return [](auto& h) { return suggest::gradient_argmin(h); };
  if (method == "gradient_argmin_10_5") {
    return [](auto& h) { return suggest::gradient_argmin(h, 10, 5); };
  }
  if (method == "lightning_10_1") return [](auto& h) { return suggest::lightning(h); };
  if (method == "ignite") return suggest::ignite;
  if (method == "fastai_valley") return suggest::valley;
  if (method == "fastai_slide") return suggest::slide;
  if (method == "fastai_minimum") return suggest::minimum;
  if (method == "fastai_steep") return suggest::steep;
  throw std::runtime_error("no recipe for " + method);
}

History curve(const std::string& name) {
  std::vector<double> lr, loss;
  for (const auto& row : read_csv("suggestion/" + name + ".csv", false)) {
    lr.push_back(number(row[0]));
    loss.push_back(number(row[1]));
  }
  return {lr, loss};
}

/// A curve whose learning rates are 1, 2, 3, ...
History counted(std::vector<double> loss) {
  std::vector<double> lr;
  while (lr.size() < loss.size()) lr.push_back(static_cast<double>(lr.size() + 1));
  return {lr, std::move(loss)};
}

}  // namespace

TEST_CASE("the recipes of other tools give the results of those tools") {
  const auto rows = read_csv("suggestion/expected.csv");
  REQUIRE(rows.size() == 168);
  for (const auto& row : rows) {
    const History history = curve(row[0]);
    const Recipe recipe = recipe_of(row[1]);
    CAPTURE(row[0], row[1]);
    if (row[2] == "none") {
      CHECK_THROWS_AS(recipe(history), NoSuggestion);
    } else {
      // One part in 1e15: `minimum` divides, and a CSV holds 17 digits.
      CHECK(recipe(history).lr == Approx(number(row[2])).epsilon(1e-15).margin(0));
    }
  }
}

TEST_CASE("a suggestion names its recipe, its iteration and the loss there") {
  const History history = counted({10, 8, 4, 1, 4, 16});
  const auto [recipe, name] = GENERATE(table<Recipe, std::string>({
      {recipe_of("gradient_argmin_0_0"), "gradient_argmin"},
      {suggest::ignite, "ignite"},
      {suggest::valley, "valley"},
      {suggest::steep, "steep"},
      {[](auto& h) { return suggest::lightning(h, 0, 1); }, "lightning"},
  }));
  const auto suggestion = recipe(history);
  CHECK(suggestion.recipe == name);
  CHECK(suggestion.lr == history.lr[suggestion.index]);
  CHECK(suggestion.loss == history.loss[suggestion.index]);
  CHECK(suggestion.caveat.empty());
}

TEST_CASE("minimum points at the iteration nearest to a tenth of the rate") {
  const auto suggestion = suggest::minimum(History({1, 2, 15, 16}, {4, 3, 2, 1}));
  CHECK(suggestion.lr == 1.6);
  CHECK(suggestion.index == 1);
  CHECK(suggestion.loss == 3);
}

TEST_CASE("a recipe that skips more than there is has no suggestion") {
  const History history = counted({5, 4, 3, 2, 1});
  const auto most = std::numeric_limits<std::size_t>::max();
  CHECK_THROWS_WITH(suggest::gradient_argmin(history, most, 5), contains("skip less"));
  CHECK_THROWS_WITH(suggest::gradient_argmin(history, 2, most), contains("skip less"));
  CHECK_THROWS_WITH(suggest::lightning(history, most, 5), contains("skip less"));
  CHECK_THROWS_WITH(suggest::lightning(history, 2, most), contains("skip less"));
}

TEST_CASE("gradient_argmin takes one-sided gradients at the ends and the first of equals") {
  CHECK(suggest::gradient_argmin(counted({10, 8, 4, 1, 4, 16})).index == 2);
  CHECK(suggest::gradient_argmin(counted({1, 0, 1, 2, 3, 4})).index == 0);
  CHECK(suggest::gradient_argmin(counted({0, 1, 2, 3, 4, 3})).index == 5);
  CHECK(suggest::gradient_argmin(counted({3, 2, 1, 0})).index == 0);
  CHECK(suggest::gradient_argmin(counted({9, 0, 5, 4, 9, 0}), 2, 2).index == 2);
}

TEST_CASE("valley counts as fastai does, into the end of the list where its start is -1") {
  const auto [losses, index] = GENERATE(table<std::vector<double>, std::size_t>({
      {{5, 4, 3, 2, 1, 0}, 2},
      {{3, 2, 1}, 0},
      {{2, 1}, 1},
      {{1, 2, 3}, 0},
      {{7}, 0},
      {{no_number, 3, 2, no_number, 1}, 2},
  }));
  CHECK(suggest::valley(counted(losses)).index == index);
}

TEST_CASE("slide stays fifteen iterations from the end of a straight curve") {
  std::vector<double> straight;
  for (int i = 0; i < 40; ++i) straight.push_back(40 - i);
  CHECK(suggest::slide(counted(straight)).index == 24);
  CHECK_THROWS_AS(suggest::slide(counted({straight.begin(), straight.begin() + 15})), NoSuggestion);
}

TEST_CASE("lightning leaves out losses that are not finite") {
  const History history({1, 2, 3, 4, 5, 6}, {9, 9, no_number, 9, 1, 1});
  CHECK(suggest::lightning(history, 0, 1).index == 4);
  CHECK(suggest::lightning(history, 0, 1).caveat.empty());
  CHECK_THROWS_WITH(suggest::lightning(history, 0, 0), contains("0 usable losses"));
}

TEST_CASE("a recipe that reads a NaN as the smallest loss says so") {
  const History history = counted({5, 4, 3, no_number});
  CHECK(suggest::minimum(history).lr == Approx(0.4));
  CHECK_THAT(suggest::minimum(history).caveat, contains("not finite"));
}

TEST_CASE("a curve that is too short is refused with what to change") {
  const auto recipe =
      GENERATE(recipe_of("gradient_argmin_0_0"), recipe_of("lightning_10_1"),
               Recipe(suggest::ignite), Recipe(suggest::valley), Recipe(suggest::slide),
               Recipe(suggest::minimum), Recipe(suggest::steep));
  CHECK_THROWS_WITH(recipe(History{}), contains("raise num_iter"));
}

TEST_CASE("a recipe refuses a history without one loss for each iteration") {
  History history = counted(std::vector<double>(20, 1));
  history.loss.pop_back();
  const auto recipe =
      GENERATE(recipe_of("gradient_argmin_0_0"), recipe_of("lightning_10_1"),
               Recipe(suggest::ignite), Recipe(suggest::valley), Recipe(suggest::slide),
               Recipe(suggest::minimum), Recipe(suggest::steep));
  CHECK_THROWS_AS(recipe(history), lrfinder::InvalidHistory);
  CHECK_THROWS_WITH(recipe(history), contains("column loss has 19 values but lr has 20"));
}

TEST_CASE("ignite refuses a curve that is lowest at its start") {
  CHECK_THROWS_WITH(suggest::ignite(counted({1, 2, 3, 4})), contains("lower start_lr"));
}

TEST_CASE("the other tools' recipes read the smoothed loss") {
  History history = counted({5, 4, 1, 1, 1});
  history.raw_loss.assign(5, 0);
  CHECK(suggest::minimum(history).lr == Approx(0.3));
}

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
  const auto table = suggest::all(History({1, 2}, {2, 1}));
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
  out << lrfinder::SuggestionTable{{"a recipe with a longer name", std::nullopt, "why"}};
  CHECK_THAT(out.str(), contains("a recipe with a longer name none  (why)\n"));
}
