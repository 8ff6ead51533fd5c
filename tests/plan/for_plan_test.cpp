#include <catch2.hpp>
#include <cmath>
#include <histories.hpp>

#include <lrfinder/plan/for_plan.hpp>

using lrfinder::Decay;
using lrfinder::Descent;
using lrfinder::History;
using lrfinder::InvalidOption;
using lrfinder::NoSuggestion;
using lrfinder::TrainingPlan;
using lrfinder::suggest::for_plan;

namespace {

const TrainingPlan constant_rate = TrainingPlan().steps(3000);
const TrainingPlan cosine_decay = TrainingPlan().steps(3000).decay(Decay::cosine);

History usual_curve() { return histories::recorded({}); }

}  // namespace

TEST_CASE("a rate that decays has a higher peak than a constant rate") {
  const double ratio =
      for_plan(usual_curve(), cosine_decay).lr / for_plan(usual_curve(), constant_rate).lr;
  CHECK(ratio == Approx(std::pow(10, 0.2 + 0.18 * std::log10(30))).epsilon(0.05));
}

TEST_CASE("the peak lies a fifth of the way from the lowest loss to a divergence") {
  const auto log_lr = [](const History& history) {
    return std::log10(for_plan(history, TrainingPlan().steps(100)).lr);
  };
  History curve = usual_curve();
  REQUIRE(curve.stop_reason == lrfinder::StopReason::diverged);
  const double lowest = Descent(curve, "test").lowest_log_lr();
  CHECK(log_lr(curve) == Approx(lowest + 0.2 * (std::log10(curve.lr.back()) - lowest)));
  curve.stop_reason = lrfinder::StopReason::completed;
  CHECK(log_lr(curve) == Approx(lowest));
}

TEST_CASE("with momentum the peak is lower than the curve shows") {
  History curve = usual_curve();
  const double without = for_plan(curve, cosine_decay).lr;
  curve.settings.gradient_age = 9;
  CHECK(for_plan(curve, cosine_decay).lr / without == Approx(std::pow(10, -0.6)));
}

TEST_CASE("a longer training gets a lower rate") {
  TrainingPlan longer = cosine_decay;
  longer.steps(30000);
  CHECK(for_plan(usual_curve(), longer).lr / for_plan(usual_curve(), cosine_decay).lr ==
        Approx(std::pow(10, -0.22)).epsilon(0.02));
}

TEST_CASE("a training shorter than the range test gets no higher rate") {
  const auto brief = [](std::int64_t steps) {
    return for_plan(usual_curve(), TrainingPlan().steps(steps).decay(Decay::cosine)).lr;
  };
  CHECK(brief(50) == Approx(brief(100)).epsilon(0.01));
}

TEST_CASE("plans between constant and decaying to zero lie between the two") {
  TrainingPlan tenth = cosine_decay;
  tenth.end_factor(0.5);
  CHECK(for_plan(usual_curve(), tenth).lr < for_plan(usual_curve(), cosine_decay).lr);
  CHECK(for_plan(usual_curve(), tenth).lr > for_plan(usual_curve(), constant_rate).lr);
}

TEST_CASE("a suggestion for a plan names its recipe and its iteration") {
  const auto suggestion = for_plan(usual_curve(), cosine_decay);
  CHECK(suggestion.recipe == "for_plan");
  CHECK(usual_curve().lr[suggestion.index] == Approx(suggestion.lr).epsilon(0.15));
}

TEST_CASE("a plan without steps has no suggestion") {
  CHECK_THROWS_AS(for_plan(usual_curve(), TrainingPlan().decay(Decay::cosine)), InvalidOption);
}

TEST_CASE("for a plan, too, a descent within the noise carries no answer") {
  History noise = usual_curve();
  for (std::size_t i = 0; i < noise.size(); ++i) {
    noise.raw_loss[i] = 2 + (i % 2 == 0 ? 0.5 : -0.5) - 0.001 * static_cast<double>(i);
  }
  CHECK_THROWS_AS(for_plan(noise, cosine_decay), NoSuggestion);
}

TEST_CASE("one curve carries a caveat for a training much longer than its test") {
  TrainingPlan plan = cosine_decay;
  CHECK(for_plan(usual_curve(), plan.steps(200)).caveat.empty());
  CHECK_THAT(for_plan(usual_curve(), plan.steps(3000)).caveat,
             contains("30 times as long as the range test"));
}

TEST_CASE("a loss that rises again slowly carries a caveat for a plan") {
  histories::Shape slow;
  slow.descent = 1;
  slow.diverges_at = 300;
  slow.end_lr = 1e4;
  slow.num_iter = 200;
  const auto suggestion = for_plan(histories::recorded(slow), cosine_decay);
  CHECK(suggestion.caveat.find("rises again so slowly") != std::string::npos);
}

TEST_CASE("the peak keeps half below the rate at which the test broke off") {
  History broken = usual_curve();
  std::size_t lowest = 0;
  for (std::size_t i = 0; i < broken.size(); ++i) {
    if (broken.raw_loss[i] < broken.raw_loss[lowest]) lowest = i;
  }
  broken.lr.resize(lowest + 1);
  broken.loss.resize(lowest + 1);
  broken.raw_loss.resize(lowest + 1);
  const auto plan = TrainingPlan().steps(100).decay(Decay::cosine);
  broken.stop_reason = lrfinder::StopReason::completed;
  CHECK(for_plan(broken, plan).lr == Approx(broken.lr.back()));
  broken.stop_reason = lrfinder::StopReason::non_finite_loss;
  CHECK(for_plan(broken, plan).lr == Approx(broken.lr.back() / 2).epsilon(0.01));
  CHECK(for_plan(broken, plan).caveat.empty());
}
