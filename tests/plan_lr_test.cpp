#include <catch2.hpp>
#include <csv.hpp>
#include <sstream>
#include <string>
#include <training.hpp>
#include <vector>

#include <lrfinder/lrfinder.hpp>

using lrfinder::Decay;
using lrfinder::InvalidOption;
using lrfinder::PlanLR;
using lrfinder::TrainingPlan;
using namespace torch::optim;

namespace {

std::vector<torch::Tensor> one_parameter() { return {torch::ones({1}, torch::requires_grad())}; }

SGD two_groups(double first, double second) {
  std::vector<OptimizerParamGroup> groups;
  for (const double rate : {first, second}) {
    groups.emplace_back(one_parameter(), std::make_unique<SGDOptions>(rate));
  }
  return SGD(groups, SGDOptions(first));
}

double lr(const Optimizer& optimizer, std::size_t group = 0) {
  return optimizer.param_groups()[group].options().get_lr();
}

}  // namespace

TEST_CASE("a PlanLR sets the rates and momenta of PyTorch's OneCycleLR, for SGD and Adam") {
  const bool is_adam = GENERATE(false, true);
  CAPTURE(is_adam);
  SGD sgd(one_parameter(), SGDOptions(1e-3).momentum(0.9));
  Adam adam(one_parameter(), 1e-3);
  Optimizer& optimizer = is_adam ? static_cast<Optimizer&>(adam) : sgd;
  const auto rows = read_csv(is_adam ? "plans/one_cycle_adam.csv" : "plans/one_cycle.csv");
  PlanLR scheduler(optimizer, TrainingPlan::one_cycle(static_cast<std::int64_t>(rows.size())), 0.1);
  for (const auto& row : rows) {
    CHECK(lr(optimizer) == Approx(number(row[1])).epsilon(1e-12).margin(0));
    const double momentum =
        is_adam ? std::get<0>(static_cast<AdamOptions&>(adam.param_groups()[0].options()).betas())
                : static_cast<SGDOptions&>(sgd.param_groups()[0].options()).momentum();
    CHECK(momentum == Approx(number(row[2])).epsilon(1e-12).margin(0));
    scheduler.step();
  }
  CHECK_THROWS_AS(scheduler.step(), InvalidOption);
}

TEST_CASE("parameter groups keep their ratio under a PlanLR") {
  auto optimizer = two_groups(1e-3, 1e-5);
  PlanLR scheduler(optimizer, TrainingPlan().steps(10).decay(Decay::linear), 0.1);
  for (int step = 0; step < 10; ++step) {
    CHECK(lr(optimizer, 1) == Approx(lr(optimizer) / 100));
    scheduler.step();
  }
  CHECK(lr(optimizer) == 0);
}

TEST_CASE("a PlanLR takes the peak from a suggestion, and from a plan that knows it") {
  SGD optimizer(one_parameter(), 1e-3);
  lrfinder::Suggestion suggestion;
  suggestion.lr = 0.02;
  PlanLR from_suggestion(optimizer, TrainingPlan().steps(10), suggestion);
  CHECK(lr(optimizer) == Approx(0.02));
  CHECK_THROWS_WITH(PlanLR(optimizer, TrainingPlan().steps(10)), contains("the peak (0)"));
}

TEST_CASE("a PlanLR that is saved and loaded goes on exactly where it was") {
  const auto plan = TrainingPlan::one_cycle(50);
  auto optimizer = two_groups(1e-3, 1e-4), other = two_groups(7, 5);
  PlanLR scheduler(optimizer, plan, 0.3);
  for (int step = 0; step < 20; ++step) scheduler.step();
  std::stringstream stream;
  torch::save(scheduler, stream);
  PlanLR loaded(other, plan, 1);
  torch::load(loaded, stream);
  CHECK(loaded.step_count() == 20);
  for (int step = 20; step < 50; ++step) {
    CHECK(lr(other) == lr(optimizer));
    CHECK(lr(other, 1) == lr(optimizer, 1));
    scheduler.step();
    loaded.step();
  }

  SECTION("another plan is refused") {
    PlanLR longer(other, TrainingPlan::one_cycle(60), 1);
    const double before = lr(other);
    std::stringstream again;
    torch::save(scheduler, again);
    CHECK_THROWS_WITH(torch::load(longer, again), contains("one cycle over 50 steps"));
    CHECK(lr(other) == before);
  }
}

TEST_CASE("a PlanLR reports wrong use before anything is set") {
  SGD optimizer(one_parameter(), 1e-3);
  const auto plan = TrainingPlan().steps(10);
  SECTION("a peak that is not positive") {
    CHECK_THROWS_WITH(PlanLR(optimizer, plan, 0), contains("the peak (0) must be positive"));
    CHECK_THROWS_WITH(PlanLR(optimizer, plan, -1), contains("the peak (-1)"));
  }
  SECTION("a plan without steps") {
    CHECK_THROWS_AS(PlanLR(optimizer, TrainingPlan(), 0.1), InvalidOption);
  }
  SECTION("a group without a rate") {
    auto groups = two_groups(1e-3, 0);
    CHECK_THROWS_WITH(PlanLR(groups, plan, 0.1), contains("a parameter group (0)"));
    CHECK(lr(groups) == 1e-3);
  }
  SECTION("groups that were added later") {
    PlanLR scheduler(optimizer, TrainingPlan().steps(10).decay(Decay::linear), 0.1);
    optimizer.add_param_group(OptimizerParamGroup(one_parameter()));
    CHECK_THROWS_WITH(scheduler.step(), contains("2 parameter groups"));
    CHECK(lr(optimizer) == 0.1);
    return;
  }
  SECTION("a momentum that the optimizer does not have") {
    Adagrad adagrad(one_parameter(), 1e-2);
    CHECK_THROWS_WITH(PlanLR(adagrad, TrainingPlan::one_cycle(10), 0.1), contains("keep_momentum"));
    CHECK(lr(adagrad) == 1e-2);
    PlanLR(adagrad, TrainingPlan::one_cycle(10).keep_momentum(), 0.1);
    CHECK(lr(adagrad) == Approx(0.1 / 25));
  }
  CHECK(lr(optimizer) == 1e-3);
}
