#include <catch2.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include <lrfinder/search/trial_level.hpp>

using lrfinder::Trial;
using lrfinder::detail::noise_of_difference;
using lrfinder::detail::TrialLevel;

namespace {

constexpr double diverged = std::numeric_limits<double>::infinity();

Trial of_parts(const std::vector<double>& parts) {
  Trial trial;
  for (const double part : parts) trial.loss += part;
  trial.loss_parts = parts;
  return trial;
}

// Trials with these losses, by the logarithm of their rates.
TrialLevel level_of(double spacing, const std::map<double, double>& losses) {
  TrialLevel level{50, spacing};
  for (const auto& [log_lr, loss] : losses) level.trials[log_lr].loss = loss;
  return level;
}

}  // namespace

TEST_CASE("the best rate is the lowest point of a parabola through three trials") {
  // 1 + 2 (x - 0.1)^2
  const TrialLevel level = level_of(0.5, {{-0.5, 1.72}, {0, 1.02}, {0.5, 1.32}});
  CHECK(level.best_tried() == 0);
  CHECK(level.best_log_lr() == Approx(0.1));
  CHECK(level.curvature() == Approx(2));
}

TEST_CASE("between two trials the loss is on the line between them") {
  const TrialLevel level = level_of(1, {{-1, 5}, {1, 1}});
  CHECK(level.loss_between(-1) == 5);
  CHECK(level.loss_between(0.5) == Approx(2));
  CHECK(std::isnan(level.loss_between(-1.1)));
  CHECK(std::isnan(level.loss_between(1.1)));
}

TEST_CASE("the best rate is at most half of the way to a neighbour") {
  const TrialLevel level = level_of(1, {{-1, 5}, {0, 1}, {1, 1}});
  CHECK(level.best_log_lr() <= 0.5);
  CHECK(level.best_log_lr() > 0.3);
}

TEST_CASE("without neighbours on both sides the best rate is one that was tried") {
  CHECK(level_of(1, {{0, 1}, {1, 2}}).best_log_lr() == 0);
  CHECK(level_of(1, {{0, 2}, {1, 1}}).best_log_lr() == 1);
  CHECK(level_of(1, {{0, 2}, {1, 1}}).curvature() == 0);
}

TEST_CASE("the best rate keeps away from one that diverged") {
  CHECK(level_of(0.4, {{-0.4, 2}, {0, 1}, {0.4, diverged}}).best_log_lr() == Approx(-0.1));
}

TEST_CASE("where all trials diverged the lowest rate is the best") {
  const TrialLevel level = level_of(0.5, {{0, diverged}, {0.5, diverged}});
  CHECK(level.best_tried() == 0);
  CHECK(level.best_log_lr() == 0);
}

TEST_CASE("three equal losses have the middle as the best rate") {
  const TrialLevel level = level_of(1, {{-1, 1}, {0, 1}, {1, 1}});
  CHECK(level.best_log_lr() == level.best_tried());
}

TEST_CASE("beside a lower rate that diverged there is no parabola") {
  // Of a REINFORCE training, whose losses are noise around 0.
  const TrialLevel level = level_of(0.5, {{-2.98, diverged}, {-2.48, -2.35}, {-1.98, -0.21}});
  CHECK(level.best_log_lr() == -2.48);
  CHECK(level.curvature() == 0);
}

TEST_CASE("losses at the ends of what a double holds give a finite rate") {
  const TrialLevel level = level_of(0.5, {{-0.5, 1.7e308}, {0, -1.7e308}, {0.5, 1.7e308}});
  CHECK(level.best_log_lr() == 0);
  CHECK(std::isfinite(level.curvature()));
}

TEST_CASE("the noise between two trials is that of their difference on the same batches") {
  // Batches differ by 10, the trials by 1 in each part.
  CHECK(noise_of_difference(of_parts({1, 11, 1, 11}), of_parts({2, 12, 2, 12})) == 0);
  // Differences of 0 and 1: standard deviation 1 / sqrt(3), four parts in a sum.
  CHECK(noise_of_difference(of_parts({1, 11, 1, 11}), of_parts({1, 12, 1, 12})) ==
        Approx(2 / std::sqrt(3)));
  CHECK(noise_of_difference(of_parts({1}), of_parts({2})) == 0);
  CHECK(noise_of_difference(of_parts({1, 2}), Trial()) == 0);
}

TEST_CASE("a side is open until a trial is worse by more than the noise") {
  TrialLevel level{50, 0.3};
  level.untrained_loss = 100;
  level.trials[0] = of_parts({1, 11, 1, 11});
  CHECK(level.is_open_below());
  CHECK(level.is_open_above());
  const double log_lr = GENERATE(-0.3, 0.3);
  const auto is_open = [&] { return log_lr < 0 ? level.is_open_below() : level.is_open_above(); };
  level.trials[log_lr] = of_parts({4, 11, 0.5, 11});  // one part says so
  CHECK(is_open());
  level.trials[log_lr] = of_parts({4, 13, 3, 13.5});
  CHECK_FALSE(is_open());
  level.trials[log_lr].loss = diverged;
  CHECK_FALSE(is_open());
}

TEST_CASE("below the best rate a loss that is worse by a hundredth of the descent is a tie") {
  TrialLevel level = level_of(0.3, {{-0.3, 1.005}, {0, 1}, {0.3, 1.005}});
  level.untrained_loss = 2;
  CHECK(level.is_open_below());
  CHECK_FALSE(level.is_open_above());
  level.trials[-0.3].loss = 1.02;
  CHECK_FALSE(level.is_open_below());
}
