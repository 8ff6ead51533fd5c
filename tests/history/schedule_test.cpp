#include <catch2.hpp>
#include <cmath>
#include <string>

#include <lrfinder/history/schedule.hpp>

using lrfinder::Schedule;
using lrfinder::scheduled_lr;

TEST_CASE("a schedule begins at start_lr and ends at end_lr") {
  const auto schedule = GENERATE(Schedule::exponential, Schedule::linear);
  const auto num_iter = GENERATE(2, 3, 100, 1000);
  CHECK(scheduled_lr(schedule, 1e-7, 10, 0, num_iter) == Approx(1e-7).epsilon(1e-14));
  CHECK(scheduled_lr(schedule, 1e-7, 10, num_iter - 1, num_iter) == Approx(10).epsilon(1e-14));
}

TEST_CASE("an exponential schedule multiplies by the same factor every iteration") {
  for (int i = 0; i < 6; ++i) {
    CHECK(scheduled_lr(Schedule::exponential, 1e-5, 1, i, 6) ==
          Approx(std::pow(10.0, i - 5)).epsilon(1e-14));
  }
}

TEST_CASE("a linear schedule adds the same step every iteration") {
  for (int i = 0; i < 5; ++i) {
    CHECK(scheduled_lr(Schedule::linear, 1, 9, i, 5) == Approx(1 + 2 * i).epsilon(1e-14));
  }
}

TEST_CASE("a ratio of the rates beyond the range of doubles gives no infinite rate") {
  constexpr int n = 601;
  const auto rate = [](int i) { return scheduled_lr(Schedule::exponential, 1e-300, 1e300, i, n); };
  CHECK(rate(0) == 1e-300);
  CHECK(rate(n - 1) == 1e300);
  const int i = GENERATE(1, 150, 300, 301, 450, n - 1);
  CHECK(rate(i) / rate(i - 1) == Approx(10));
  CHECK(scheduled_lr(Schedule::exponential, 1e300, 1e-300, 300, n) == Approx(1));
}

TEST_CASE("a schedule has a name") {
  CHECK(to_string(Schedule::exponential) == std::string("exponential"));
  CHECK(to_string(Schedule::linear) == std::string("linear"));
}
