#include <catch2.hpp>
#include <cmath>
#include <limits>

#include <lrfinder/search/trial_level.hpp>

using lrfinder::detail::TrialLevel;

namespace {
constexpr double diverged = std::numeric_limits<double>::infinity();
}

TEST_CASE("the best rate is the lowest point of a parabola through three trials") {
  // 1 + 2 (x - 0.1)^2
  const TrialLevel level{50, 0.5, {{-0.5, 1.72}, {0, 1.02}, {0.5, 1.32}}};
  CHECK(level.best_tried() == 0);
  CHECK(level.best_log_lr() == Approx(0.1));
  CHECK(level.curvature() == Approx(2));
}

TEST_CASE("between two trials the loss is on the line between them") {
  const TrialLevel level{50, 1, {{-1, 5}, {1, 1}}};
  CHECK(level.loss_between(-1) == 5);
  CHECK(level.loss_between(0.5) == Approx(2));
  CHECK(std::isnan(level.loss_between(-1.1)));
  CHECK(std::isnan(level.loss_between(1.1)));
}

TEST_CASE("the best rate is at most half of the way to a neighbour") {
  const TrialLevel level{50, 1, {{-1, 5}, {0, 1}, {1, 1}}};
  CHECK(level.best_log_lr() <= 0.5);
  CHECK(level.best_log_lr() > 0.3);
}

TEST_CASE("without neighbours on both sides the best rate is one that was tried") {
  CHECK(TrialLevel{50, 1, {{0, 1}, {1, 2}}}.best_log_lr() == 0);
  CHECK(TrialLevel{50, 1, {{0, 2}, {1, 1}}}.best_log_lr() == 1);
  CHECK(TrialLevel{50, 1, {{0, 2}, {1, 1}}}.curvature() == 0);
}

TEST_CASE("the best rate keeps away from one that diverged") {
  CHECK(TrialLevel{50, 0.4, {{-0.4, 2}, {0, 1}, {0.4, diverged}}}.best_log_lr() == Approx(-0.1));
}

TEST_CASE("where all trials diverged the lowest rate is the best") {
  const TrialLevel level{50, 0.5, {{0, diverged}, {0.5, diverged}}};
  CHECK(level.best_tried() == 0);
  CHECK(level.best_log_lr() == 0);
}

TEST_CASE("three equal losses have the middle as the best rate") {
  const TrialLevel level{50, 1, {{-1, 1}, {0, 1}, {1, 1}}};
  CHECK(level.best_log_lr() == level.best_tried());
}

TEST_CASE("beside a lower rate that diverged there is no parabola") {
  // Of a REINFORCE training, whose losses are noise around 0.
  const TrialLevel level{50, 0.5, {{-2.98, diverged}, {-2.48, -2.35}, {-1.98, -0.21}}};
  CHECK(level.best_log_lr() == -2.48);
  CHECK(level.curvature() == 0);
}

TEST_CASE("losses at the ends of what a double holds give a finite rate") {
  const TrialLevel level{50, 0.5, {{-0.5, 1.7e308}, {0, -1.7e308}, {0.5, 1.7e308}}};
  CHECK(level.best_log_lr() == 0);
  CHECK(std::isfinite(level.curvature()));
}
