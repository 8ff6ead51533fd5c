#include <catch2.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include <lrfinder/history/schedule.hpp>
#include <lrfinder/history/smoothing.hpp>

using namespace lrfinder;

namespace {

std::vector<double> rates(Schedule schedule, double start, double end, int n) {
  std::vector<double> lr;
  for (int i = 0; i < n; ++i) lr.push_back(scheduled_lr(schedule, start, end, i, n));
  return lr;
}

/// The kernel average as it is defined, O(n^2).
double direct(const std::vector<double>& lr, const std::vector<double>& losses, double width,
              double at) {
  double sum = 0, weights = 0;
  for (std::size_t i = 0; i < lr.size(); ++i) {
    const double distance = std::log10(at / lr[i]) / width;
    const double weight = std::exp(-distance * distance / 2);
    sum += weight * losses[i];
    weights += weight;
  }
  return sum / weights;
}

}  // namespace

TEST_CASE("exponential smoothing follows its recurrence") {
  const std::vector<double> expected{1, .975, .94625, 1.0989375, 6.043990625};
  const std::vector<double> smoothed = exponential_smoothing({1, .5, .4, 4, 100}, 0.05);
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(smoothed[i] == Approx(expected[i]));
}

TEST_CASE("a smoothing factor of 0 returns the losses") {
  const std::vector<double> losses{3, 1, 2};
  CHECK(exponential_smoothing(losses, 0) == losses);
  CHECK(bias_corrected_smoothing(losses, 0) == losses);
}

TEST_CASE(
    "bias-corrected smoothing leaves a constant as it is and weighs the first loss like any") {
  for (const double smoothed : bias_corrected_smoothing(std::vector<double>(50, 1.25), 0.02)) {
    CHECK(smoothed == Approx(1.25).epsilon(1e-13));
  }
  const std::vector<double> smoothed = bias_corrected_smoothing({1, 3}, 0.02);
  CHECK(smoothed[0] == Approx(1));
  CHECK(smoothed[1] == Approx((0.98 * 1 + 3) / 1.98));
}

TEST_CASE("a negative smoothing factor and one of 1 or more are refused") {
  const double smooth_f = GENERATE(-0.1, 1.0, 2.0, std::numeric_limits<double>::quiet_NaN());
  CHECK_THROWS_AS(ExponentialSmoothing(smooth_f), InvalidOption);
  CHECK_THROWS_AS(BiasCorrectedSmoothing(smooth_f), InvalidOption);
  CHECK_THROWS_WITH(exponential_smoothing({1}, smooth_f), contains("smooth_f"));
}

TEST_CASE("kernel smoothing does not move a descent") {
  const auto lr = rates(Schedule::exponential, 1e-7, 10, 101);
  std::vector<double> losses;
  for (const double rate : lr) losses.push_back(1 / (1 + std::exp(3 * std::log10(rate / 1e-3))));
  const KernelSmoothing smoothed(lr, losses, 0.25);
  CHECK(smoothed(1e-3) == Approx(0.5).epsilon(1e-6));
  CHECK(smoothed(1e-4) + smoothed(1e-2) == Approx(1).epsilon(1e-6));
}

TEST_CASE("kernel smoothing is the average that it is defined as") {
  const auto schedule = GENERATE(Schedule::exponential, Schedule::linear);
  const int n = GENERATE(30, 100, 5000);
  const double width = GENERATE(0.1, 0.25, 1.0);
  const auto lr = rates(schedule, 1e-4, 1, n);
  std::vector<double> losses;
  for (const double rate : lr) losses.push_back(std::sin(2 * std::log10(rate)));
  const KernelSmoothing smoothed(lr, losses, width);
  for (const double at : {2e-2, 0.1, 0.7}) {
    // The kernel ends at four widths, where it is 3e-4, and losses within w/10 are averaged first.
    CHECK(smoothed(at) == Approx(direct(lr, losses, width, at)).margin(3e-3));
  }
}

TEST_CASE("kernel smoothing of a column agrees with the smoothed curve at every rate") {
  const auto lr = rates(Schedule::exponential, 1e-7, 10, GENERATE(20, 100, 20000));
  std::vector<double> losses;
  for (const double rate : lr) losses.push_back(std::cos(std::log10(rate)));
  const KernelSmoothing smoothed(lr, losses, 0.2);
  const std::vector<double> column = kernel_smoothing(lr, losses, 0.2);
  REQUIRE(column.size() == lr.size());
  for (std::size_t i = 0; i < lr.size(); i += lr.size() / 20) {
    CHECK(column[i] == Approx(smoothed(lr[i])).margin(1e-4));
  }
}

TEST_CASE(
    "kernel smoothing takes rates in any order and leaves out what has no place on the axis") {
  const double no_number = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> smoothed =
      kernel_smoothing({1, 0, 1e-2, 1e-1, 1e-1, infinity}, {3, 9, 1, 2, no_number, 9}, 0.01);
  CHECK(smoothed[0] == 3);
  CHECK(std::isnan(smoothed[1]));
  CHECK(smoothed[2] == 1);
  CHECK(smoothed[3] == 2);
  CHECK(smoothed[4] == 2);
  CHECK(std::isnan(smoothed[5]));
}

TEST_CASE("the smoothed curve is a line across a gap and level beyond its ends") {
  const KernelSmoothing smoothed({1e-6, 1e-2}, {1, 3}, 0.1);
  CHECK(smoothed(1e-4) == Approx(2));
  CHECK(smoothed(1e-9) == 1);
  CHECK(smoothed(1e9) == 3);
  CHECK(std::isnan(KernelSmoothing({}, {}, 0.1)(1)));
}

TEST_CASE("a kernel width that is not positive and columns that differ are refused") {
  CHECK_THROWS_WITH(KernelSmoothing({1}, {1}, GENERATE(0.0, -1e-9)),
                    contains("must be positive and finite"));
  CHECK_THROWS_AS(KernelSmoothing({1, 2}, {1}, 0.2), InvalidHistory);
}
