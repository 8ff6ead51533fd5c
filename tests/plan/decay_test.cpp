#include <catch2.hpp>
#include <limits>

#include <lrfinder/plan/decay.hpp>
#include <lrfinder/plan/training_plan.hpp>

using lrfinder::Decay;
using lrfinder::InvalidOption;
using lrfinder::TrainingPlan;

TEST_CASE("a decay of one's own gives the factor at each share of the way") {
  const auto quadratic = [](double share) { return (1 - share) * (1 - share); };
  const auto plan = TrainingPlan().steps(120).warmup(20).end_factor(0.5).decay(quadratic);
  CHECK(plan.factor(10) == 0.5);
  CHECK(plan.factor(20) == 1);
  CHECK(plan.factor(70) == 0.25);  // end_factor() does not apply
  CHECK(plan.factor(120) == 0);
  CHECK(plan.factor(1000) == 0);
  CHECK(plan.decay() == "own");
  CHECK(to_string(plan) == "own decay over 120 steps, warm-up over 20");
  CHECK(TrainingPlan(plan).decay(Decay::cosine).decay() == "cosine");
  CHECK(to_string(TrainingPlan().steps(9).decay(quadratic, "quadratic")) ==
        "quadratic decay over 9 steps");
}

TEST_CASE("a decay of one's own that is the line gives the rates of linear decay") {
  const auto own = TrainingPlan().steps(200).decay([](double share) { return 1 - share; });
  const auto linear = TrainingPlan().steps(200).decay(Decay::linear);
  for (int step = 0; step <= 200; ++step) CHECK(own.factor(step) == Approx(linear.factor(step)));
  CHECK(own.mean_late_factor() == Approx(linear.mean_late_factor()));
}

TEST_CASE("a factor that is none is an error that names the decay and the share") {
  using Limits = std::numeric_limits<double>;
  const double wrong = GENERATE(Limits::quiet_NaN(), Limits::infinity(), -0.5);
  CAPTURE(wrong);
  auto plan = TrainingPlan().steps(10);
  SECTION("at once") {
    const auto decay = [=](double share) { return share < 0.5 ? 1 : wrong; };
    CHECK_THROWS_AS(plan.decay(decay, "mine"), InvalidOption);
    CHECK_THROWS_WITH(plan.decay(decay, "mine"), contains("the decay \"mine\" gives ") &&
                                                     contains("at the share 0.5; it must be"));
    CHECK(plan == TrainingPlan().steps(10));
  }
  SECTION("at a step between") {
    plan.decay([=](double share) { return share == 0.3 ? wrong : 1; }, "mine");
    CHECK(plan.factor(2) == 1);
    CHECK_THROWS_AS(plan.factor(3), InvalidOption);
  }
}

TEST_CASE("all built-in decays have a name and start at the peak, and all but none fall") {
  for (std::size_t i = 0; i < std::size(lrfinder::detail::decay_names); ++i) {
    const auto decay = static_cast<Decay>(i);
    const auto plan = TrainingPlan().steps(100).warmup(10).decay(decay);
    CHECK(plan.decay() == lrfinder::detail::decay_names[static_cast<int>(decay)]);
    CHECK(plan.factor(10) == 1);
    CHECK((plan.factor(100) < 1) == (decay != Decay::none));
  }
}
