#include <catch2.hpp>
#include <cmath>
#include <curves.hpp>
#include <limits>

#include <lrfinder/suggest/descent.hpp>

using lrfinder::Descent;
using lrfinder::History;

TEST_CASE("a descent finds the landmarks of a curve, in order") {
  MadeUpCurve curve;
  curve.noise = 0;
  const Descent descent(curve.history(), "test");
  CHECK(descent.first_log_lr() == Approx(-7));
  CHECK(descent.onset_log_lr() < descent.steepest_log_lr());
  CHECK(descent.steepest_log_lr() == Approx(-2).margin(0.05));
  CHECK(descent.half_done_log_lr() == Approx(-2).margin(0.1));
  CHECK(descent.steepest_log_lr() < descent.nearly_done_log_lr());
  CHECK(descent.nearly_done_log_lr() <= descent.lowest_log_lr());
  CHECK(descent.depth() == Approx(1.75).margin(0.15));
  CHECK(descent.relative_depth() == Approx(descent.depth() / 2.3).epsilon(0.01));
  CHECK(descent.rise_decades() > 0);
  CHECK(descent.rise_decades() < 1);
}

TEST_CASE("the decades from iteration to iteration are those of the schedule around a rate") {
  MadeUpCurve curve;
  const double even = 8.0 / 99;
  const Descent exponential(curve.history(), "test");
  CHECK(exponential.decades_per_iteration(-2) == Approx(even));
  CHECK(exponential.decades_per_iteration(-9) == Approx(even));  // beyond the ends, that at the end
  CHECK(exponential.decades_per_iteration(3) == Approx(even));
  curve.schedule = lrfinder::RangeSchedule::linear;
  curve.start_lr = 1e-3;
  curve.end_lr = 1;
  const Descent linear(curve.history(), "test");
  CHECK(linear.decades_per_iteration(-1) ==
        Approx(std::log10(11.0 / 9) / 2).epsilon(0.05));  // from 0.1 to 0.11
}

TEST_CASE("a loss that does not rise again has an infinite distance to its rise") {
  MadeUpCurve curve;
  curve.end_lr = 0.1;
  CHECK(std::isinf(Descent(curve.history(), "test").rise_decades()));
}

TEST_CASE("the noise of a descent is that of its losses, slope and outliers left out") {
  MadeUpCurve curve;
  curve.num_iter = 1000;
  curve.noise = GENERATE(0.01, 0.1);
  auto history = curve.history();
  history.raw_loss[10] = 100;
  const Descent descent(history, "test");
  CHECK(descent.depth() / descent.signal_to_noise() == Approx(curve.noise).epsilon(0.2));
}

TEST_CASE("the standard error of a descent counts at most 25 losses as independent") {
  MadeUpCurve curve;
  curve.num_iter = GENERATE(1000, 100000);
  const Descent descent(curve.history(), "test");
  const double ratio =
      descent.standard_errors(descent.steepest_log_lr()) / descent.signal_to_noise();
  CHECK(ratio == Approx(5).epsilon(0.2));
}

TEST_CASE("a descent is the same in any order of the iterations, rates of zero left out") {
  const auto history = MadeUpCurve{}.history();
  History reversed({history.lr.rbegin(), history.lr.rend()},
                   {history.raw_loss.rbegin(), history.raw_loss.rend()});
  reversed.lr.push_back(0);
  reversed.raw_loss.push_back(-100);
  CHECK(Descent(reversed, "test").steepest_log_lr() == Descent(history, "test").steepest_log_lr());
  CHECK(Descent(reversed, "test").lowest_log_lr() == Descent(history, "test").lowest_log_lr());
}

TEST_CASE("a learning rate that is not finite has no place in a descent") {
  auto history = MadeUpCurve{}.history();
  const double lowest = Descent(history, "test").lowest_log_lr();
  history.lr.push_back(std::numeric_limits<double>::infinity());
  history.raw_loss.push_back(-100);
  CHECK(Descent(history, "test").lowest_log_lr() == lowest);
}

TEST_CASE("a descent needs one raw loss for each iteration") {
  auto history = MadeUpCurve{}.history();
  history.raw_loss.pop_back();
  CHECK_THROWS_AS(Descent(history, "test"), lrfinder::InvalidHistory);
}
