#include <catch2.hpp>
#include <cmath>
#include <csv.hpp>
#include <curves.hpp>
#include <functional>
#include <limits>
#include <string>

#include <lrfinder/curve.hpp>

using lrfinder::Cycle;
using lrfinder::Decay;
using lrfinder::InvalidOption;
using lrfinder::TrainingPlan;

namespace {

constexpr double peak = 0.1;

struct Reference {
  const char* file;  // in tests/data/plans, made by PyTorch
  TrainingPlan plan;
};

}  // namespace

TEST_CASE("the rates and momenta of a plan are those of PyTorch's scheduler, step by step") {
  const auto cosine = TrainingPlan().steps(200).decay(Decay::cosine);
  const auto cycles = TrainingPlan::cyclical(200, 0.25, 30).cycle_momentum(0.8, 0.9);
  const auto& [file, plan] = GENERATE_COPY(values<Reference>({
      {"cosine", cosine},
      {"cosine_to_a_tenth", TrainingPlan(cosine).final_fraction(0.1)},
      {"linear", TrainingPlan().steps(200).decay(Decay::linear).final_fraction(0.05)},
      {"step", TrainingPlan().steps(200).decay(Decay::step).step_size(60).gamma(0.3)},
      {"warm_cosine", TrainingPlan(cosine).warmup(20).start_fraction(0.1).final_fraction(0.01)},
      {"one_cycle", TrainingPlan::one_cycle(200)},
      {"one_cycle_linear", TrainingPlan::one_cycle(200).decay(Decay::linear)},
      {"one_cycle_adam", TrainingPlan::one_cycle(137)},
      {"cyclic_triangular", cycles},
      {"cyclic_triangular2", TrainingPlan(cycles).cycle(Cycle::triangular2)},
      {"cyclic_exp_range", TrainingPlan(cycles).cycle(Cycle::exp_range).gamma(0.99)},
  }));
  CAPTURE(file);
  const auto rows = read_csv("plans/" + std::string(file) + ".csv");
  REQUIRE(static_cast<std::int64_t>(rows.size()) == plan.steps());
  for (const auto& row : rows) {
    const auto step = static_cast<std::int64_t>(number(row[0]));
    CAPTURE(step);
    // PyTorch's line ends in a difference of numbers near the peak, which is off by a rounding of
    // it.
    CHECK(peak * plan.fraction(step) == Approx(number(row[1])).epsilon(1e-12).margin(2e-16 * peak));
    if (plan.cycles_momentum()) {
      CHECK(plan.momentum(step).value() == Approx(number(row[2])).epsilon(1e-12).margin(0));
    } else {
      CHECK_FALSE(plan.momentum(step).has_value());
    }
  }
}

TEST_CASE("a warm-up is a number of steps or a share of them") {
  const auto plan = TrainingPlan().steps(100).warmup(10);
  CHECK(plan.fraction(0) == 0);
  CHECK(plan.fraction(5) == 0.5);
  CHECK(plan.fraction(10) == 1);
  CHECK(plan.fraction(99) == 1);
  CHECK(TrainingPlan().steps(100).warmup(0.1).fraction(5) == 0.5);
  CHECK(TrainingPlan().warmup(0.1).steps(50).warmup() == 5);
}

TEST_CASE("inverse_sqrt falls with the square root of the step after the warm-up") {
  const auto plan = TrainingPlan().steps(10000).warmup(100).decay(Decay::inverse_sqrt);
  CHECK(plan.fraction(100) == 1);
  CHECK(plan.fraction(400) == Approx(0.5));
  CHECK(TrainingPlan(plan).final_fraction(0.2).fraction(9999) == 0.2);
}

TEST_CASE("steps past the end keep the last rate") {
  const auto plan = TrainingPlan().steps(100).decay(Decay::linear).final_fraction(0.1);
  CHECK(plan.fraction(100) == Approx(0.1));
  CHECK(plan.fraction(100000) == plan.fraction(100));
  CHECK(TrainingPlan().steps(5).fraction(1000) == 1);
  CHECK_THROWS_WITH(TrainingPlan::one_cycle(100).fraction(101), contains("step (101)"));
}

TEST_CASE("a cyclical plan goes between the bounds of a range test") {
  const auto history = MadeUpCurve{}.history();
  const auto bounds = lrfinder::suggest::bounds(history);
  const auto plan = TrainingPlan::cyclical(history).steps(800);
  REQUIRE(plan.peak());
  CHECK(*plan.peak() == bounds.max_lr);
  CHECK(*plan.peak() * plan.fraction(0) == Approx(bounds.base_lr));
  CHECK(plan.step_size() == 100);
  CHECK(plan.fraction(100) == Approx(1));
}

TEST_CASE("a plan says in words what it is") {
  CHECK(to_string(TrainingPlan().steps(10000).warmup(500).decay(Decay::cosine)) ==
        "cosine decay over 10000 steps, warm-up over 500");
  CHECK(to_string(TrainingPlan::one_cycle(1000)) == "one cycle over 1000 steps, warm-up over 300");
}

TEST_CASE("a plan that makes no sense is refused with what was given and what is allowed") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  struct Case {
    std::function<void()> build;
    const char* message;
  };
  const auto wrong = GENERATE_COPY(values<Case>({
      {[] { TrainingPlan().steps(0); }, "steps (0) must be at least 1"},
      {[] { TrainingPlan().steps(-5); }, "steps (-5) must be at least 1"},
      {[] { TrainingPlan::one_cycle(0); }, "steps (0)"},
      {[] { TrainingPlan().steps(10).warmup(10); }, "warmup (10) must be less than all steps"},
      {[] { TrainingPlan().warmup(20).steps(10); }, "steps (10) must be more than those of the"},
      {[] { TrainingPlan().warmup(-1); }, "warmup (-1) must be at least 0"},
      {[] { TrainingPlan().warmup(1.0); }, "warmup (1) must be a share in [0, 1)"},
      {[=] { TrainingPlan().warmup(nan); }, "warmup (nan)"},
      {[] { TrainingPlan().final_fraction(1.5); }, "final_fraction (1.5) must be in [0, 1]"},
      {[=] { TrainingPlan().final_fraction(nan); }, "final_fraction (nan)"},
      {[] { TrainingPlan().start_fraction(-0.1); }, "start_fraction (-0.1)"},
      {[] { TrainingPlan().gamma(0); }, "gamma (0) must be in (0, 1]"},
      {[] { TrainingPlan().step_size(0); }, "step_size (0) must be at least 1"},
      {[] { TrainingPlan::cyclical(100, 1.5, 10); }, "start_fraction (1.5)"},
      {[] { TrainingPlan::cyclical(100, 0.1, 0); }, "step_size (0)"},
      {[] { TrainingPlan::cyclical(100, 0.1, 10).warmup(5); }, "warmup (of a cyclical plan)"},
      {[] { TrainingPlan::cyclical(100, 0.1, 10).decay(Decay::cosine); }, "decay (of a cyclical"},
      {[] { TrainingPlan::one_cycle(100).decay(Decay::step); }, "decay (of a one-cycle plan)"},
      {[] { TrainingPlan().cycle(Cycle::triangular2); }, "cycle (of this plan)"},
      {[] { TrainingPlan::one_cycle(100).cycle_momentum(0.9, 0.8); }, "cycle_momentum (0.9)"},
      {[] { TrainingPlan().cycle_momentum(0.8, 0.9); }, "cycle_momentum (of this plan)"},
      {[] { TrainingPlan().fraction(0); }, "steps (0) must be set"},
      {[] { TrainingPlan().steps(10).fraction(-1); }, "step (-1) must be at least 0"},
  }));
  CHECK_THROWS_AS(wrong.build(), InvalidOption);
  CHECK_THROWS_WITH(wrong.build(), contains("TrainingPlan: ") && contains(wrong.message));
}

TEST_CASE("a setter that refuses leaves the plan as it was") {
  auto plan = TrainingPlan().steps(100).warmup(10);
  CHECK_THROWS_AS(plan.steps(5), InvalidOption);
  CHECK_THROWS_AS(plan.warmup(100), InvalidOption);
  CHECK(plan.steps() == 100);
  CHECK(plan.warmup() == 10);
}
