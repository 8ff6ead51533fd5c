#include <catch2.hpp>
#include <csv.hpp>
#include <sstream>
#include <training.hpp>
#include <vector>

#include <lrfinder/history/suggestion.hpp>
#include <lrfinder/plan_lr.hpp>

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

// Lion (Chen et al. 2023, arXiv:2302.06675), as a user writes it.
struct LionOptions : OptimizerCloneableOptions<LionOptions>, lrfinder::MomentumOptions {
  explicit LionOptions(double rate) : lr(rate) {}
  double get_lr() const override { return lr; }
  void set_lr(const double rate) override { lr = rate; }
  double& momentum() override { return beta1; }
  double lr, beta1 = 0.9, beta2 = 0.99;
};

struct Lion : Optimizer {
  Lion(std::vector<torch::Tensor> parameters, double rate)
      : Optimizer(std::move(parameters), std::make_unique<LionOptions>(rate)) {}
  torch::Tensor step(LossClosure = nullptr) override {
    const torch::NoGradGuard guard;
    for (auto& group : param_groups()) {
      const auto& options = static_cast<const LionOptions&>(group.options());
      for (auto& parameter : group.params()) {
        const torch::Tensor gradient = parameter.grad();
        if (!mean.defined()) mean = torch::zeros_like(gradient);
        const torch::Tensor update = options.beta1 * mean + (1 - options.beta1) * gradient;
        parameter.sub_(options.lr * update.sign());
        mean = options.beta2 * mean + (1 - options.beta2) * gradient;
      }
    }
    return {};
  }
  torch::Tensor mean;  // of the gradients of its only parameter
};

// An archive of a PlanLR, written by hand.
struct Written {
  torch::serialize::InputArchive archive() const {
    torch::serialize::OutputArchive out;
    if (!plan.isNone()) out.write("plan", plan);
    if (!step.isNone()) out.write("step", step);
    if (peaks_tensor.defined()) out.write("peaks", peaks_tensor);
    if (!peaks.isNone()) out.write("peaks", peaks);
    std::stringstream stream;
    out.save_to(stream);
    torch::serialize::InputArchive in;
    in.load_from(stream);
    return in;
  }
  c10::IValue plan, step, peaks;
  torch::Tensor peaks_tensor;
};

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

TEST_CASE("a parameter group at rate 0 stays there under a PlanLR") {
  SGD frozen_first = two_groups(0, 2e-3);
  PlanLR scheduler(frozen_first, TrainingPlan().steps(10).decay(Decay::linear), 0.1);
  std::ostringstream saved;
  torch::save(scheduler, saved);
  const auto rate = [&](std::size_t group) {
    return frozen_first.param_groups()[group].options().get_lr();
  };
  CHECK(rate(0) == 0);
  CHECK(rate(1) == 0.1);
  for (int i = 0; i < 5; ++i) scheduler.step();
  CHECK(rate(0) == 0);
  CHECK(rate(1) == Approx(0.05));
  std::istringstream file(saved.str());
  torch::load(scheduler, file);
  CHECK(rate(0) == 0);
  CHECK(rate(1) == 0.1);
}

TEST_CASE("a PlanLR takes the peak from a suggestion, and from a plan that knows it") {
  SGD optimizer(one_parameter(), 1e-3);
  lrfinder::Suggestion suggestion;
  suggestion.lr = 0.02;
  PlanLR from_suggestion(optimizer, TrainingPlan().steps(10), suggestion);
  CHECK(lr(optimizer) == Approx(0.02));
  CHECK_THROWS_WITH(
      PlanLR(optimizer, TrainingPlan().steps(10)),
      contains("the plan has no peak; pass the highest learning rate, or a Suggestion"));
}

TEST_CASE("a PlanLR trains an optimizer of a user's own by one cycle, its momentum too") {
  const torch::Tensor weight = torch::full({3}, 2.0, torch::requires_grad());
  Lion lion({weight}, 1e-3);
  const auto& options = static_cast<const LionOptions&>(lion.param_groups()[0].options());
  const auto plan = TrainingPlan::one_cycle(100);
  PlanLR scheduler(lion, plan, 0.1);
  for (int step = 0; step < 100; ++step) {
    CHECK(options.lr == 0.1 * plan.factor(step));
    CHECK(options.beta1 == plan.momentum(step));
    CHECK(options.beta2 == 0.99);
    lion.zero_grad();
    weight.square().sum().backward();
    lion.step();
    scheduler.step();
  }
  CHECK(weight.square().sum().item<double>() < 0.1);
}

TEST_CASE("a PlanLR trains by a decay of one's own, and sets the momentum through its base class") {
  SGD optimizer(one_parameter(), SGDOptions(1e-3).momentum(0.9));
  PlanLR own(optimizer, TrainingPlan().steps(10).decay([](double share) { return 1 - share / 2; }),
             0.1);
  for (int step = 0; step < 5; ++step) own.step();
  CHECK(lr(optimizer) == Approx(0.075));
  const auto plan = TrainingPlan::one_cycle(10);
  PlanLR cycle(optimizer, plan, 0.1);
  LRScheduler& scheduler = cycle;
  scheduler.step();
  CHECK(static_cast<SGDOptions&>(optimizer.param_groups()[0].options()).momentum() ==
        plan.momentum(1));
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

TEST_CASE("a PlanLR refuses the archive of a plan that differs in any field") {
  const auto falls = TrainingPlan().steps(50).decay(Decay::step).gamma(0.5);
  SGD optimizer(one_parameter(), 1e-3);
  PlanLR scheduler(optimizer, falls, 0.3);
  std::stringstream stream;
  torch::save(scheduler, stream);
  const auto other = GENERATE_COPY(
      values({TrainingPlan(falls).gamma(0.1), TrainingPlan(falls).step_size(3),
              TrainingPlan(falls).end_factor(1e-9),
              TrainingPlan(falls).decay([](double share) { return 1 - share; }, "step")}));
  PlanLR loaded(optimizer, other, 1);
  CHECK_THROWS_AS(torch::load(loaded, stream), InvalidOption);
  CHECK(lr(optimizer) == 1);
}

TEST_CASE("a PlanLR refuses a damaged archive and stays as it was") {
  const auto plan = TrainingPlan::one_cycle(50);
  auto optimizer = two_groups(1e-3, 1e-4);
  PlanLR scheduler(optimizer, plan, 0.3);
  scheduler.step();
  const double before = lr(optimizer);
  const Written whole{describe(plan), 20, std::vector<double>{0.3, 0.03}, {}};
  const auto damaged = [&](auto&& damage) {
    Written written = whole;
    damage(written);
    auto archive = written.archive();
    CHECK_THROWS_AS(scheduler.load(archive), InvalidOption);
    CHECK(scheduler.step_count() == 1);
    CHECK(lr(optimizer) == before);
    scheduler.step();
    CHECK(lr(optimizer) == 0.3 * plan.factor(2));
    CHECK(lr(optimizer, 1) == Approx(0.03 * plan.factor(2)));
  };
  SECTION("no plan") {
    damaged([](Written& w) { w.plan = {}; });
  }
  SECTION("a plan that is no text") {
    damaged([](Written& w) { w.plan = 1; });
  }
  SECTION("no step") {
    damaged([](Written& w) { w.step = {}; });
  }
  SECTION("a step that is no integer") {
    damaged([](Written& w) { w.step = 20.0; });
  }
  SECTION("a negative step") {
    damaged([](Written& w) { w.step = -1; });
  }
  SECTION("a step past the end") {
    damaged([](Written& w) { w.step = 51; });
  }
  SECTION("a huge step") {
    damaged([](Written& w) { w.step = std::int64_t{1} << 40; });
  }
  SECTION("no peaks") {
    damaged([](Written& w) { w.peaks = {}; });
  }
  SECTION("too few peaks") {
    damaged([](Written& w) { w.peaks = std::vector<double>{0.3}; });
  }
  SECTION("a peak of zero") {
    damaged([](Written& w) { w.peaks = std::vector<double>{0.3, 0}; });
  }
  SECTION("peaks of another type") {
    damaged([](Written& w) { w.peaks = std::vector<std::int64_t>{1, 2}; });
  }
  SECTION("peaks in a tensor") {
    damaged([](Written& w) {
      w.peaks = {};
      w.peaks_tensor = torch::ones({2}, torch::kFloat);
    });
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
  SECTION("groups without a rate") {
    auto groups = two_groups(0, 0);
    CHECK_THROWS_WITH(PlanLR(groups, plan, 0.1), contains("the first parameter group (0)"));
    CHECK(lr(groups) == 0);
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
