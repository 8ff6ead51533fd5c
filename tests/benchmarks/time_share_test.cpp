#include "../../benchmarks/long_trainings/time_share.hpp"

#include <cmath>
#include <limits>

#include "catch2.hpp"

namespace {

constexpr double diverged = std::numeric_limits<double>::infinity();

/// The best losses are 1 after 100 steps, 0.5 after 1,000 and 0.4 after 10,000.
PlanOutcomes outcomes() {
  return {2,
          {{100, {{0.01, 1.5}, {0.1, 1.2}, {1, 1}, {10, diverged}}},
           {1000, {{0.01, 1.1}, {0.1, 0.5}, {1, 0.8}, {10, diverged}}},
           {10000, {{0.01, 0.75}, {0.1, 0.4}, {1, 0.5}, {10, diverged}}}}};
}

}  // namespace

TEST_CASE("the best rate of the longest training has a time share of 1") {
  CHECK(outcomes().time_share(0.1) == Approx(1));
}

TEST_CASE("a rate whose loss another reaches in a tenth of the time has a time share of 0.1") {
  CHECK(outcomes().time_share(1) == Approx(0.1));
}

TEST_CASE("between two horizons the shortest time lies on a line over its logarithm") {
  // 0.75 lies half way from 1, after 100 steps, to 0.5, after 1,000.
  CHECK(outcomes().time_share(0.01) == Approx(std::pow(10.0, 2.5) / 10000));
}

TEST_CASE("between two rates the loss lies on a line over the logarithm of the rate") {
  CHECK(outcomes().loss_at(std::sqrt(0.1)) == Approx(0.45));
}

TEST_CASE("a rate beside a diverged one, or above the grid, has the smallest time share") {
  CHECK(outcomes().loss_at(3) == diverged);
  CHECK(outcomes().time_share(3) == Approx(0.01));
  CHECK(outcomes().time_share(100) == Approx(0.01));
}

TEST_CASE("below the grid a model is untrained after two decades") {
  CHECK(outcomes().loss_at(0.001) == Approx((0.75 + 2) / 2));
  CHECK(outcomes().loss_at(1e-6) == Approx(2));
}

TEST_CASE("a shorter training that did better than a longer one counts") {
  PlanOutcomes overfitted = outcomes();
  overfitted.by_horizon[1000] = {{0.1, 1.3}};
  // From 1 after 100 steps on, nothing is better before 10,000 steps.
  CHECK(overfitted.time_share_of_loss(1.1) == Approx(0.01));
  CHECK(overfitted.time_share_of_loss(0.7) == Approx(std::sqrt(1000.0 * 10000) / 10000));
}

TEST_CASE("a loss that no rate reaches has a time share of 1 and a regret below 0") {
  CHECK(outcomes().time_share_of_loss(0.3) == Approx(1));
  CHECK(outcomes().regret_of_loss(0.3) == Approx(-0.1 / 1.6));
  CHECK(outcomes().regret_of_loss(diverged) == Approx(1));
}

TEST_CASE("the best rate is refined by a parabola over the logarithm of the rate") {
  LossByRate losses;
  for (const double log_lr : {-2.0, -1.5, -1.0, -0.5}) {
    losses[std::pow(10, log_lr)] = 0.3 + std::pow(log_lr + 1.2, 2);
  }
  CHECK(std::log10(refined_best_rate(losses)) == Approx(-1.2));
}

TEST_CASE("the best rate is that of the lowest loss beside a diverged rate or at an edge") {
  CHECK(refined_best_rate({{0.01, 1}, {0.1, 0.5}, {1, diverged}}) == 0.1);
  CHECK(refined_best_rate({{0.01, 1}, {0.1, 0.5}}) == 0.1);
  CHECK(std::isnan(refined_best_rate({{0.1, diverged}})));
}

TEST_CASE("the regret of the best rate is 0, of a diverged one 1") {
  CHECK(outcomes().regret(0.1) == Approx(0));
  CHECK(outcomes().regret(1) == Approx(0.1 / 1.6));
  CHECK(outcomes().regret(10) == 1);
}
