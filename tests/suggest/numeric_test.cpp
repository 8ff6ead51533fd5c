#include <catch2.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include <lrfinder/suggest/numeric.hpp>

using lrfinder::detail::argmin;
using lrfinder::detail::index_gradient;
using lrfinder::detail::kernel_smoothed;
using lrfinder::detail::quantile;
using lrfinder::detail::uneven_gradient;

namespace {

/// `n` positions from `start` to `end`, `power` times as dense at the end.
std::vector<double> positions(double start, double end, int n, double power = 1) {
  std::vector<double> result;
  for (int i = 0; i < n; ++i) {
    result.push_back(start + (end - start) * std::pow(i / (n - 1.0), 1 / power));
  }
  return result;
}

/// The kernel average as it is defined, O(n) for one value.
double direct(const std::vector<double>& log_lr, const std::vector<double>& losses, double width,
              double at) {
  double sum = 0, weights = 0;
  for (std::size_t i = 0; i < log_lr.size(); ++i) {
    const double distance = (at - log_lr[i]) / width;
    const double weight = std::exp(-distance * distance / 2);
    sum += weight * losses[i];
    weights += weight;
  }
  return sum / weights;
}

}  // namespace

TEST_CASE("the index gradient is central inside and one-sided at the ends") {
  CHECK(index_gradient({10, 8, 4, 1}) == std::vector<double>{-2, -3, -3.5, -3});
  CHECK(index_gradient({1, 3}) == std::vector<double>{2, 2});
}

TEST_CASE("the uneven gradient is exact for a parabola inside and a secant at the ends") {
  const std::vector<double> x{0, 1, 3, 7};
  const std::vector<float> y{0, 1, 9, 49};
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

TEST_CASE("kernel smoothing does not move a descent") {
  const auto log_lr = positions(-7, 1, 101);
  std::vector<double> losses;
  for (const double u : log_lr) losses.push_back(1 / (1 + std::exp(3 * (u + 3))));
  const auto smoothed = kernel_smoothed(log_lr, losses, 0.25, {-4, -3, -2});
  CHECK(smoothed[1] == Approx(0.5).epsilon(1e-6));
  CHECK(smoothed[0] + smoothed[2] == Approx(1).epsilon(1e-6));
}

TEST_CASE("kernel smoothing is the average that it is defined as") {
  const int n = GENERATE(30, 100, 5000);
  const double width = GENERATE(0.1, 0.25, 1.0);
  const auto log_lr = positions(-4, 0, n, GENERATE(1, 2));
  std::vector<double> losses;
  for (const double u : log_lr) losses.push_back(std::sin(2 * u));
  for (const double at : {-1.7, -1.0, -0.15}) {
    // The kernel ends at four widths, where it is 3e-4, and losses within w/10 are averaged first.
    CHECK(kernel_smoothed(log_lr, losses, width, {at}).front() ==
          Approx(direct(log_lr, losses, width, at)).margin(3e-3));
  }
}

TEST_CASE("kernel smoothing leaves out losses that are not finite") {
  const double no_number = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(kernel_smoothed({-2, -1, -1, 0}, {1, 2, no_number, infinity}, 0.01, {-2, -1, 0}) ==
        std::vector<double>{1, 2, 2});
}

TEST_CASE("the smoothed curve is a line across a gap and level beyond its ends") {
  const auto smoothed = kernel_smoothed({-6, -2}, {1, 3}, 0.1, {-9, -4, 9});
  CHECK(smoothed[0] == 1);
  CHECK(smoothed[1] == Approx(2));
  CHECK(smoothed[2] == 3);
}
