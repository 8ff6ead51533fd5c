#include <catch2.hpp>
#include <cmath>
#include <limits>

#include <lrfinder/find_options.hpp>

using lrfinder::FindOptions;
using lrfinder::History;
using lrfinder::InvalidOption;
using lrfinder::RangeTestOptions;
using lrfinder::TrainingPlan;

TEST_CASE("options of a search are made from a plan") {
  const auto plan_of = [](const FindOptions& options) { return options.plan(); };
  const TrainingPlan plan = TrainingPlan().steps(70).decay(lrfinder::Decay::cosine);
  CHECK(plan_of(plan) == plan);
  CHECK(plan_of({}) == TrainingPlan());
}

TEST_CASE("options of a search that make no sense are refused") {
  const double infinity = std::numeric_limits<double>::infinity();
  struct Case {
    FindOptions options;
    const char* message;
  };
  const auto wrong = GENERATE_COPY(values<Case>({
      {FindOptions().budget(1.9), "FindOptions: budget (1.9) must be at least 2"},
      {FindOptions().budget(infinity), "FindOptions: budget (inf) must be at least 2 and finite"},
      {FindOptions().budget(std::nan("")), "FindOptions: budget (nan)"},
      {FindOptions().range_test(RangeTestOptions().restore(false)), "FindOptions: range_test must"},
      {FindOptions().range_test(RangeTestOptions().num_iter(1)), "RangeTestOptions: num_iter (1)"},
      {FindOptions().history(History()), "FindOptions: history is empty"},
      {FindOptions().history(History({0.1, 1}, {std::nan(""), 1})), "a loss that is not finite"},
      {FindOptions().history(History({0.1, 0}, {2, 1})), "last rate of history (0) must be"},
  }));
  CHECK_THROWS_AS(wrong.options.check(), InvalidOption);
  CHECK_THROWS_WITH(wrong.options.check(), contains(wrong.message));
  CHECK_NOTHROW(FindOptions().history(History({0.1}, {1})).check());
}

TEST_CASE("a history whose columns differ in length is refused") {
  const History good({0.1, 0.2}, {2, 1});
  History without_losses = good, short_group = good;
  without_losses.raw_loss.clear();
  short_group.group_lr = {good.lr, {0.1}};
  CHECK_NOTHROW(FindOptions().history(good).check());
  CHECK_THROWS_AS(FindOptions().history(without_losses).check(), lrfinder::InvalidHistory);
  CHECK_THROWS_WITH(FindOptions().history(short_group).check(),
                    contains("column group_lr has 1 values but lr has 2"));
}
