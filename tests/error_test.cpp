#include <catch2.hpp>
#include <stdexcept>

#include <lrfinder/error.hpp>

using namespace lrfinder;

TEMPLATE_TEST_CASE("every error is caught as Error and as runtime_error, with its message", "",
                   InvalidOption, InvalidHistory, EmptyLoader, InvalidStep, RankFailed,
                   NoSuggestion, PlotError, SnapshotError) {
  CHECK_THROWS_AS(throw TestType("why"), Error);
  CHECK_THROWS_AS(throw TestType("why"), std::runtime_error);
  CHECK_THROWS_WITH(throw TestType("why"), "why");
}

TEST_CASE("the failure of a rank names the rank where it is known") {
  CHECK(RankFailed("why", 3).rank() == 3);
  CHECK_FALSE(RankFailed("why").rank());
}
