#include <catch2.hpp>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include <lrfinder/history/history.hpp>

using namespace lrfinder;

TEST_CASE("a history from columns takes the losses for raw and smoothed") {
  const History history({1e-3, 1e-2}, {2, std::nan("")});
  CHECK(history.size() == 2);
  CHECK_FALSE(history.empty());
  CHECK(history.loss[0] == 2);
  CHECK(history.raw_loss[0] == 2);
  CHECK(std::isnan(history.raw_loss[1]));
  CHECK(history.stop_reason == StopReason::completed);
  CHECK(History{}.empty());
}

TEST_CASE("paired losses differ by what training has changed, not by the batches") {
  History history({1e-3, 1e-2, 1e-1}, {5, 1, 0.5});
  CHECK(history.paired_loss() == history.raw_loss);
  history.untrained_loss = {5, 1, 3};  // with the mean 3
  CHECK(history.paired_loss() == std::vector<double>{3, 3, 0.5});
  history.untrained_loss.pop_back();
  CHECK_THROWS_AS(history.paired_loss(), InvalidHistory);
}

TEST_CASE("columns that do not make up a history are refused with what is wrong") {
  CHECK_THROWS_WITH(History({1, 2}, {1}), contains("column loss has 1 values but lr has 2"));
  const double lr = GENERATE(-1.0, std::numeric_limits<double>::infinity());
  CHECK_THROWS_AS(History({lr}, {1}), InvalidHistory);
  CHECK_THROWS_WITH(History({lr}, {1}), contains("must be finite and not negative"));
  CHECK_THROWS_WITH(History({-1e-9}, {1}), contains("learning rate 0 is -1e-09;"));
}

TEST_CASE("a stop reason has a name in plain words") {
  CHECK(std::string(to_string(StopReason::completed)) == "completed");
  CHECK(std::string(to_string(StopReason::diverged)) == "diverged");
  CHECK(std::string(to_string(StopReason::non_finite_loss)) == "non-finite loss");
  CHECK(std::string(to_string(StopReason::stopped_by_caller)) == "stopped by the caller");
  CHECK(std::string(to_string(StopReason::failed)) == "failed");
}

TEST_CASE("a history prints in one line, with what a search has found after it") {
  const auto printed = [](const auto& value) {
    std::ostringstream text;
    text << value;
    return text.str();
  };
  CHECK(printed(StopReason::diverged) == "diverged");
  CHECK(printed(History()) == "0 iterations");
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(printed(History({0.1, 0.2, 0.4, 0.8}, {nan, 2, nan, 3})) ==
        "4 iterations, lr 0.1 to 0.8; smoothed loss nan, lowest 2 at lr 0.2");
  History tested({0.1, 0.2}, {2.5, 1.25});
  tested.settings.num_iter = 100;
  tested.stop_reason = StopReason::non_finite_loss;
  const std::string line =
      "2 iterations, lr 0.1 to 0.2, non-finite loss; smoothed loss 2.5, lowest 1.25 at lr 0.2";
  CHECK(printed(tested) == line);
  tested.found.emplace().lr = 0.15;
  CHECK(printed(tested) == line + "\nfound: lr 0.15");
}

TEST_CASE("the nearest value is the first of equally near ones") {
  CHECK(detail::nearest_index({1, 5, 3, 5}, 4.5) == 1);
  CHECK(detail::nearest_index({1, 5, 3, 5}, 4) == 1);
  CHECK(detail::nearest_index({1, 5, 3, 5}, -9) == 0);
  CHECK(detail::nearest_index({1, 5, 3, 5}, 9) == 1);
}

TEST_CASE("any function from a history to a suggestion is a recipe") {
  const Recipe last = [](const History& history) {
    Suggestion suggestion;
    suggestion.lr = history.lr.back();
    return suggestion;
  };
  CHECK(last(History({0.1, 0.2}, {2, 1})).lr == 0.2);
}

TEST_CASE("a schedule begins at start_lr and ends at end_lr") {
  const auto schedule = GENERATE(RangeSchedule::exponential, RangeSchedule::linear);
  const auto num_iter = GENERATE(2, 3, 100, 1000);
  CHECK(scheduled_lr(schedule, 1e-7, 10, 0, num_iter) == Approx(1e-7).epsilon(1e-14));
  CHECK(scheduled_lr(schedule, 1e-7, 10, num_iter - 1, num_iter) == Approx(10).epsilon(1e-14));
}

TEST_CASE("an exponential schedule multiplies by the same factor every iteration") {
  for (int i = 0; i < 6; ++i) {
    CHECK(scheduled_lr(RangeSchedule::exponential, 1e-5, 1, i, 6) ==
          Approx(std::pow(10.0, i - 5)).epsilon(1e-14));
  }
}

TEST_CASE("a linear schedule adds the same step every iteration") {
  for (int i = 0; i < 5; ++i) {
    CHECK(scheduled_lr(RangeSchedule::linear, 1, 9, i, 5) == Approx(1 + 2 * i).epsilon(1e-14));
  }
}

TEST_CASE("a ratio of the rates beyond the range of doubles gives no infinite rate") {
  constexpr int n = 601;
  const auto rate = [](int i) {
    return scheduled_lr(RangeSchedule::exponential, 1e-300, 1e300, i, n);
  };
  CHECK(rate(0) == 1e-300);
  CHECK(rate(n - 1) == 1e300);
  const int i = GENERATE(1, 150, 300, 301, 450, n - 1);
  CHECK(rate(i) / rate(i - 1) == Approx(10));
  CHECK(scheduled_lr(RangeSchedule::exponential, 1e300, 1e-300, 300, n) == Approx(1));
}

TEST_CASE("a schedule has a name") {
  CHECK(to_string(RangeSchedule::exponential) == std::string("exponential"));
  CHECK(to_string(RangeSchedule::linear) == std::string("linear"));
}

TEST_CASE("no callback lets the test go on") { CHECK(IterationCallback()(Iteration{})); }

TEST_CASE("a callback that returns nothing lets the test go on") {
  int calls = 0;
  const IterationCallback callback([&](const Iteration&) { ++calls; });
  CHECK(callback(Iteration{}));
  CHECK(calls == 1);
}

TEST_CASE("a callback that returns false stops the test") {
  const IterationCallback callback([](const Iteration& iteration) { return iteration.index < 3; });
  Iteration iteration;
  iteration.index = 2;
  CHECK(callback(iteration));
  iteration.index = 3;
  CHECK_FALSE(callback(iteration));
}
