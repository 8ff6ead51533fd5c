#include <catch2.hpp>
#include <cmath>

#include <lrfinder/plot/visible_ranges.hpp>

using lrfinder::detail::Column;
using lrfinder::detail::Range;
using lrfinder::detail::visible_changes;
using lrfinder::detail::visible_losses;

TEST_CASE("the descent is visible with the noise before it, and little of a climb") {
  const Range shown = visible_losses({2, 2, 1, 1e9}, {2.1, 2, 0.9, 1e9});
  CHECK(shown.low < 0.9);
  CHECK(shown.high > 2.1);
  CHECK(shown.high < 3);
}

TEST_CASE("a level curve lies in the middle of what is visible") {
  const Range shown = visible_losses({2, 2, 2}, {});
  CHECK(shown.high - shown.low > 0.2);
  CHECK((shown.low + shown.high) / 2 == Approx(2).epsilon(0.01));
}

TEST_CASE("the first step of a climb is visible") {
  CHECK(visible_losses({1, 1e9}, {}).high >= 1e9);
  CHECK(visible_losses({1, 1.5, 1e9}, {}).high < 10);
}

TEST_CASE("without a descent the changes up to the first hidden loss are visible") {
  const Range shown = visible_changes({0.2, 0.3, 1e9, 1e9}, {1, 1.2, 1.6, 1e9}, {0.9, 2});
  CHECK(shown.high > 0.3);
  CHECK(shown.high < 1);
}

TEST_CASE("changes that could not be seen in the losses look flat") {
  const Range shown = visible_changes({1e-15, -1e-15}, {1, 1}, {0.9, 1.1});
  CHECK(shown.high > 1e-6);
  CHECK(shown.low < -1e-6);
}

TEST_CASE("losses that are not finite hide nothing") {
  const Range shown = visible_losses({std::nan(""), INFINITY, 2, 1}, {});
  CHECK(shown.low < 1);
  CHECK(shown.high > 2);
  CHECK(visible_losses({std::nan("")}, {}).high == 1);
}
