#include <catch2.hpp>
#include <cmath>
#include <limits>
#include <string>

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

TEST_CASE("columns that do not make up a history are refused with what is wrong") {
  CHECK_THROWS_WITH(History({1, 2}, {1}), contains("2 learning rates but 1 losses"));
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
