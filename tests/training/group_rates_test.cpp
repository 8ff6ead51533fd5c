#include <catch2.hpp>
#include <settings.hpp>
#include <vector>

#include <lrfinder/training/group_rates.hpp>

using lrfinder::History;
using lrfinder::InvalidOption;
using lrfinder::detail::group_rates;
using lrfinder::detail::present_rates;
using lrfinder::detail::spread_over_groups;

namespace {

using Rates = std::vector<double>;

// Two groups, of which the second comes from half of the first to its double.
History two_groups() {
  History history({0.25, 1, 4}, {3, 2, 1});
  history.group_lr = {history.lr, {0.125, 1, 8}};
  return history;
}

}  // namespace

TEST_CASE("the present rates are those of the groups") {
  CHECK(present_rates(sgd_with_rates({0.1, 0.02})) == Rates{0.1, 0.02});
}

TEST_CASE("an optimizer without parameters is refused") {
  const torch::optim::SGD none(std::vector<torch::Tensor>{}, torch::optim::SGDOptions(1e-3));
  CHECK_THROWS_WITH(present_rates(none), contains("the optimizer has no parameters"));
}

TEST_CASE("one rate is spread with the ratios of others, and one for each group is taken") {
  CHECK(spread_over_groups({1}, {0.5, 0.25}, "start_lr") == Rates{1, 0.5});
  CHECK(spread_over_groups({1, 7}, {0.5, 0.25}, "start_lr") == Rates{1, 7});
  CHECK(spread_over_groups({1}, {0.5, 0}, "start_lr") == Rates{1, 0});
  CHECK_THROWS_AS(spread_over_groups({1, 2, 3}, {0.5, 0.25}, "start_lr"), InvalidOption);
  CHECK_THROWS_WITH(spread_over_groups({1, 2, 3}, {0.5, 0.25}, "start_lr"),
                    contains("start_lr has 3 values but the optimizer has 2 parameter groups"));
}

TEST_CASE("rates that are all 0 count as equal") {
  CHECK(spread_over_groups({1e-6}, {0, 0, 0}, "start_lr") == Rates{1e-6, 1e-6, 1e-6});
}

TEST_CASE("one rate is for the first group that is not at 0, and those at 0 stay there") {
  CHECK(spread_over_groups({1e-6}, {0, 0.1, 0, 0.2}, "start_lr") == Rates{0, 1e-6, 0, 2e-6});
}

TEST_CASE("rates without a ratio need one value for each group") {
  CHECK_THROWS_AS(spread_over_groups({1e-6}, {1e-320, 0.1}, "start_lr"), InvalidOption);
  CHECK_THROWS_WITH(spread_over_groups({1e-6}, {1e-320, 0.1}, "start_lr"),
                    contains("the rate 0.1 of group 1 has no ratio") &&
                        contains("give one value for each group"));
}

TEST_CASE("a group that kept its rate in a history keeps it") {
  History history({0.25, 1, 4}, {3, 2, 1});
  history.group_lr = {{0, 0, 0}, history.lr, {0.5, 0.5, 0.5}};
  CHECK(group_rates(history, 8, {0, 1, 1}) == Rates{0, 8, 0.5});
}

TEST_CASE("a history tells the ratio where it came nearest to a rate") {
  CHECK(group_rates(two_groups(), 0.5, {1, 1}) == Rates{0.5, 0.25});
  CHECK(group_rates(two_groups(), 16, {1, 1}) == Rates{16, 32});
}

TEST_CASE("without the rates of all groups in the history the present ones tell the ratio") {
  const History one_column({0.25, 1, 4}, {3, 2, 1});
  CHECK(group_rates(one_column, 1, {1, 0.5}) == Rates{1, 0.5});
  CHECK(group_rates(two_groups(), 1, {1, 2, 3}) == Rates{1, 2, 3});
}
