#include <catch2.hpp>
#include <limits>

#include <lrfinder/history/recorder.hpp>

using lrfinder::Divergence;

TEST_CASE("a positive loss has diverged beyond diverge_th times the best") {
  Divergence diverged(5);
  CHECK_FALSE(diverged(2));
  CHECK_FALSE(diverged(1));
  CHECK_FALSE(diverged(5));
  CHECK(diverged(5.001));
  CHECK(diverged.best() == 1);
}

TEST_CASE("a negative loss diverges upwards by as much as a positive one") {
  Divergence diverged(5);
  CHECK_FALSE(diverged(-1));
  CHECK_FALSE(diverged(-1));
  CHECK_FALSE(diverged(2.9));
  CHECK(diverged(3.1));
}

TEST_CASE("an infinite threshold never diverges") {
  Divergence diverged(std::numeric_limits<double>::infinity());
  CHECK_FALSE(diverged(1e-300));
  CHECK_FALSE(diverged(1e300));
}
