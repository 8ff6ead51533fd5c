#include <catch2.hpp>
#include <cmath>
#include <curves.hpp>
#include <limits>
#include <vector>

#include <lrfinder/suggest/recipes.hpp>
#include <lrfinder/suggest/repeated.hpp>

using namespace lrfinder;

namespace {

std::vector<History> repeats(int count, double noise) {
  std::vector<History> histories;
  MadeUpCurve curve;
  curve.noise = noise;
  for (int i = 1; i <= count; ++i) {
    curve.seed = static_cast<unsigned>(i);
    histories.push_back(curve.history());
  }
  return histories;
}

}  // namespace

TEST_CASE("the median curve has the median loss of each iteration") {
  const std::vector<double> lr{1, 2};
  const auto curve =
      median({{lr, {1, 10}}, {lr, {2, 20}}, {lr, {3, 30}}, {lr, {4, 40}}, {lr, {9, 90}}});
  CHECK(curve.lr == lr);
  CHECK(curve.raw_loss == std::vector<double>{3, 30});
  CHECK(curve.loss == std::vector<double>{3, 30});
  CHECK(curve.stop_reason == StopReason::completed);
}

TEST_CASE("raw and smoothed losses each have their own median") {
  History first({1}, {5}), second({1}, {6}), third({1}, {7});
  first.loss = {9};
  second.loss = {8};
  third.loss = {1};
  CHECK(median({first, second, third}).raw_loss == std::vector<double>{6});
  CHECK(median({first, second, third}).loss == std::vector<double>{8});
}

TEST_CASE("the median curve ends where half of the tests have ended") {
  const auto curve = median({{{1, 2, 3}, {1, 1, 1}}, {{1, 2}, {3, 3}}, {{1}, {2}}});
  CHECK(curve.raw_loss == std::vector<double>{2, 3});
  CHECK(curve.stop_reason == StopReason::diverged);
}

TEST_CASE("the median of one history is that history") {
  const auto history = MadeUpCurve{}.history();
  CHECK(median({history}).raw_loss == history.raw_loss);
  CHECK(median({history}).lr == history.lr);
}

TEST_CASE("a loss that is not finite counts as infinite for the median") {
  const double loss = GENERATE(std::nan(""), std::numeric_limits<double>::infinity(),
                               -std::numeric_limits<double>::infinity());
  CHECK(median({{{1}, {1}}, {{1}, {2}}, {{1}, {loss}}}).raw_loss == std::vector<double>{2});
}

TEST_CASE("histories with other learning rates have no median") {
  CHECK_THROWS_WITH(median({}), contains("at least one"));
  CHECK_THROWS_AS(median({{{1, 2}, {1, 1}}, {{1, 3}, {1, 1}}}), InvalidHistory);
  CHECK_THROWS_WITH(median({{{1, 2}, {1, 1}}, {{1, 3}, {1, 1}}}), contains("same start_lr"));
  CHECK_THROWS_WITH(median({{{1e-7}, {1}}, {{1e-8}, {1}}}), contains("(1e-08 and 1e-07)"));
}

TEST_CASE("repeated range tests give a suggestion with its range") {
  const auto histories = repeats(5, 0.3);
  const auto suggestion = suggest::repeated(histories);
  CHECK(suggestion.lr == suggest::steepest(median(histories)).lr);
  CHECK(suggestion.low <= suggestion.lr);
  CHECK(suggestion.high >= suggestion.lr);
  CHECK(suggestion.high > suggestion.low);
  for (const auto& history : histories) {
    const double lr = suggest::steepest(history);
    CHECK(lr >= suggestion.low);
    CHECK(lr <= suggestion.high);
  }
}

TEST_CASE("any recipe may be repeated") {
  const auto histories = repeats(3, 0.01);
  CHECK(suggest::repeated(histories, suggest::minimum).recipe == "minimum");
}

TEST_CASE("a range test without a suggestion of its own is mentioned") {
  auto histories = repeats(3, 0.02);
  histories[1].raw_loss.assign(histories[1].size(), 2.3);
  CHECK_THAT(suggest::repeated(histories).caveat, contains("only 2 of 3"));
}
