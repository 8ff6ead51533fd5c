#include <catch2.hpp>
#include <limits>
#include <vector>

#include <lrfinder/suggest/numeric.hpp>

using lrfinder::argmin;
using lrfinder::index_gradient;
using lrfinder::nearest_index;
using lrfinder::quantile;
using lrfinder::uneven_gradient;

TEST_CASE("the index gradient is central inside and one-sided at the ends") {
  CHECK(index_gradient({10, 8, 4, 1}) == std::vector<double>{-2, -3, -3.5, -3});
  CHECK(index_gradient({1, 3}) == std::vector<double>{2, 2});
}

TEST_CASE("the uneven gradient is exact for a parabola inside and a secant at the ends") {
  const std::vector<double> x{0, 1, 3, 7};
  const std::vector<double> y{0, 1, 9, 49};
  const std::vector<double> gradient = uneven_gradient(y, x);
  CHECK(gradient[0] == Approx(1));
  CHECK(gradient[1] == Approx(2));
  CHECK(gradient[2] == Approx(6));
  CHECK(gradient[3] == Approx(10));
}

TEST_CASE("argmin is the first of equal values and takes a NaN for the smallest") {
  const double no_number = std::numeric_limits<double>::quiet_NaN();
  CHECK(argmin(std::vector<double>{3, 1, 2, 1}) == 1);
  CHECK(argmin(std::vector<double>{3, no_number, -1, no_number}) == 1);
}

TEST_CASE("the nearest value is the first of equally near ones") {
  CHECK(nearest_index({1, 5, 3, 5}, 4.5) == 1);
  CHECK(nearest_index({1, 5, 3, 5}, 4) == 1);
  CHECK(nearest_index({1, 5, 3, 5}, -9) == 0);
  CHECK(nearest_index({1, 5, 3, 5}, 9) == 1);
}

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
