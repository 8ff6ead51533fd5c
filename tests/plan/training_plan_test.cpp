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
      {"cosine_to_a_tenth", TrainingPlan(cosine).end_factor(0.1)},
      {"linear", TrainingPlan().steps(200).decay(Decay::linear).end_factor(0.05)},
      {"step", TrainingPlan().steps(200).decay(Decay::step).step_size(60).gamma(0.3)},
      {"warm_cosine", TrainingPlan(cosine).warmup(20).start_factor(0.1).end_factor(0.01)},
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
    CHECK(peak * plan.factor(step) == Approx(number(row[1])).epsilon(1e-12).margin(2e-16 * peak));
    if (plan.cycles_momentum()) {
      CHECK(plan.momentum(step).value() == Approx(number(row[2])).epsilon(1e-12).margin(0));
    } else {
      CHECK_FALSE(plan.momentum(step).has_value());
    }
  }
}

TEST_CASE("a warm-up is a number of steps or a share of them") {
  const auto plan = TrainingPlan().steps(100).warmup(10);
  CHECK(plan.factor(0) == 0);
  CHECK(plan.factor(5) == 0.5);
  CHECK(plan.factor(10) == 1);
  CHECK(plan.factor(99) == 1);
  CHECK(TrainingPlan().steps(100).warmup(0.1).factor(5) == 0.5);
  CHECK(TrainingPlan().warmup(0.1).steps(50).warmup() == 5);
}

TEST_CASE("inverse_sqrt falls with the square root of the step after the warm-up") {
  const auto plan = TrainingPlan().steps(10000).warmup(100).decay(Decay::inverse_sqrt);
  CHECK(plan.factor(100) == 1);
  CHECK(plan.factor(400) == Approx(0.5));
  CHECK(TrainingPlan(plan).end_factor(0.2).factor(9999) == 0.2);
}

TEST_CASE("steps past the end keep the last rate") {
  const auto plan = TrainingPlan().steps(100).decay(Decay::linear).end_factor(0.1);
  CHECK(plan.factor(100) == Approx(0.1));
  CHECK(plan.factor(100000) == plan.factor(100));
  CHECK(TrainingPlan().steps(5).factor(1000) == 1);
  CHECK_THROWS_WITH(TrainingPlan::one_cycle(100).factor(101), contains("step (101)"));
}

TEST_CASE("plans are equal if all of their fields are") {
  const auto square = [](double share) { return 1 - share * share; };
  const auto cycles = TrainingPlan::cyclical(100, 0.1, 10);
  const TrainingPlan plans[] = {
      TrainingPlan(),
      TrainingPlan().steps(100),
      TrainingPlan().steps(101),
      TrainingPlan().steps(100).warmup(10),
      TrainingPlan().steps(100).warmup(0.1),
      TrainingPlan().steps(100).start_factor(0.1),
      TrainingPlan().steps(100).end_factor(0.1),
      TrainingPlan().steps(100).end_factor(std::nextafter(0.1, 1)),
      TrainingPlan().steps(100).gamma(0.5),
      TrainingPlan().steps(100).step_size(33),
      TrainingPlan().steps(100).step_size(34),
      TrainingPlan().steps(100).decay(Decay::linear),
      TrainingPlan().steps(100).decay(square),
      TrainingPlan().steps(100).decay(square, "square"),
      TrainingPlan().steps(100).decay(square, "linear"),
      TrainingPlan().steps(100).decay([](double share) { return 1 - share; }),
      TrainingPlan::one_cycle(100),
      TrainingPlan::one_cycle(100).decay(Decay::linear),
      TrainingPlan::one_cycle(100).keep_momentum(),
      TrainingPlan::one_cycle(100).cycle_momentum(0.8, 0.95),
      TrainingPlan::one_cycle(100).cycle_momentum(0.85, 0.9),
      cycles,
      TrainingPlan(cycles).cycle(Cycle::triangular2),
      TrainingPlan(cycles).cycle(Cycle::exp_range),
      TrainingPlan(cycles).cycle_momentum(0, 0),
      TrainingPlan::cyclical(MadeUpCurve{}.history()).steps(100),
  };
  for (const auto& a : plans) {
    for (const auto& b : plans) {
      CAPTURE(describe(a), describe(b));
      CHECK((a == b) == (&a == &b));
      CHECK((a != b) == (&a != &b));
    }
    CHECK(TrainingPlan(a) == a);
  }
  const auto equal_square = [](double share) { return 1 - std::pow(share, 2); };
  CHECK(TrainingPlan().decay(square) == TrainingPlan().decay(equal_square));
}

TEST_CASE("a one-cycle plan whose warm-up is a single step begins at the peak") {
  const auto plan = TrainingPlan::one_cycle(100).warmup(1);
  CHECK(plan.factor(0) == 1);
  CHECK(plan.factor(1) < 1);
}

TEST_CASE("a cyclical plan goes between the bounds of a range test") {
  const auto history = MadeUpCurve{}.history();
  const auto bounds = lrfinder::suggest::bounds(history);
  const auto plan = TrainingPlan::cyclical(history).steps(800);
  REQUIRE(plan.peak());
  CHECK(*plan.peak() == bounds.max_lr);
  CHECK(*plan.peak() * plan.factor(0) == Approx(bounds.base_lr));
  CHECK(plan.step_size() == 100);
  CHECK(plan.factor(100) == Approx(1));
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
      {[] { TrainingPlan().end_factor(1.5); }, "end_factor (1.5) must be in [0, 1]"},
      {[=] { TrainingPlan().end_factor(nan); }, "end_factor (nan)"},
      {[] { TrainingPlan().start_factor(-0.1); }, "start_factor (-0.1)"},
      {[] { TrainingPlan().gamma(0); }, "gamma (0) must be in (0, 1]"},
      {[] { TrainingPlan().step_size(0); }, "step_size (0) must be at least 1"},
      {[] { TrainingPlan::cyclical(100, 1.5, 10); }, "start_factor (1.5)"},
      {[] { TrainingPlan::cyclical(100, 0.1, 0); }, "step_size (0)"},
      {[] { TrainingPlan::cyclical(100, 0.1, 10).warmup(5); }, "warmup (of a cyclical plan)"},
      {[] { TrainingPlan::cyclical(100, 0.1, 10).decay(Decay::cosine); }, "decay (of a cyclical"},
      {[] { TrainingPlan::one_cycle(100).decay(Decay::step); }, "decay (of a one-cycle plan)"},
      {[] { TrainingPlan::one_cycle(100).decay([](double) { return 1; }); },
       "decay (a function) must be left out of plans with cycles"},
      {[] { TrainingPlan().decay(nullptr); }, "decay (an empty function) must be"},
      {[] { TrainingPlan().decay(static_cast<Decay>(99)); }, "decay (99) must be one of"},
      {[] { TrainingPlan().cycle(Cycle::triangular2); }, "cycle (of this plan)"},
      {[] { TrainingPlan::one_cycle(100).cycle_momentum(0.9, 0.8); }, "cycle_momentum (0.9)"},
      {[] { TrainingPlan().cycle_momentum(0.8, 0.9); }, "cycle_momentum (of this plan)"},
      {[] { TrainingPlan().factor(0); }, "steps (0) must be set"},
      {[] { TrainingPlan().steps(10).factor(-1); }, "step (-1) must be at least 0"},
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
