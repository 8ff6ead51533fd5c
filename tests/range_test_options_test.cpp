#include <catch2.hpp>
#include <limits>
#include <vector>

#include <lrfinder/range_test_options.hpp>

using lrfinder::GroupRates;
using lrfinder::InvalidOption;
using lrfinder::RangeTestOptions;

TEST_CASE("rates of groups are given as one, as a list, or as a vector") {
  using Rates = std::vector<double>;
  CHECK(GroupRates().values().empty());
  CHECK(GroupRates(0.1).values() == Rates{0.1});
  CHECK(GroupRates({0.1, 0.2}).values() == Rates{0.1, 0.2});
  CHECK(RangeTestOptions().start_lr(Rates{1, 2, 3}).start_lr().values() == Rates{1, 2, 3});
}

TEST_CASE("options of a range test that make no sense are refused") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  struct Case {
    RangeTestOptions options;
    const char* message;
  };
  const RangeTestOptions good;
  const auto wrong = GENERATE_COPY(values<Case>({
      {RangeTestOptions(good).num_iter(1), "num_iter (1) must be at least 2"},
      {RangeTestOptions(good).num_iter(-5), "num_iter (-5) must be at least 2"},
      {RangeTestOptions(good).smooth_f(1), "smooth_f (1) must be at least 0 and less than 1"},
      {RangeTestOptions(good).smooth_f(-0.1), "smooth_f (-0.1)"},
      {RangeTestOptions(good).smooth_f(nan), "smooth_f (nan)"},
      {RangeTestOptions(good).diverge_th(0.5), "diverge_th (0.5) must be at least 1"},
      {RangeTestOptions(good).diverge_th(nan), "diverge_th (nan)"},
      {RangeTestOptions(good).iterations_in_flight(0), "iterations_in_flight (0) must be at least"},
  }));
  CHECK_THROWS_AS(wrong.options.check(), InvalidOption);
  CHECK_THROWS_WITH(wrong.options.check(),
                    contains("RangeTestOptions: ") && contains(wrong.message));
  CHECK_NOTHROW(good.check());
}
