#include <catch2.hpp>
#include <limits>

#include <lrfinder/suggest/numeric.hpp>

using lrfinder::quantile;

TEST_CASE("a quantile lies between its neighbours as numpy.quantile has it") {
  CHECK(quantile({3, 1, 2}, 0.5) == 2);
  CHECK(quantile({4, 1, 3, 2}, 0.5) == Approx(2.5));
  CHECK(quantile({4, 1, 3, 2}, 0.25) == Approx(1.75));
  CHECK(quantile({5}, 0.75) == 5);
  CHECK(quantile({2, 1}, 0) == 1);
  CHECK(quantile({2, 1}, 1) == 2);
}

TEST_CASE("a quantile may be infinite") {
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(quantile({1, infinity, infinity}, 0.5) == infinity);
  CHECK(quantile({1, infinity}, 0.5) == infinity);
  CHECK(quantile({1, 1, infinity}, 0.5) == 1);
}
