#include "../../benchmarks/long_trainings/parameter_free.hpp"

#include <catch2.hpp>
#include <vector>

#include <torch/torch.h>

namespace {

/// An optimizer of one parameter group with the rate 1, as at the peak of a plan.
torch::optim::SGD group_of(const torch::Tensor& parameter) {
  return torch::optim::SGD({parameter}, torch::optim::SGDOptions(1));
}

torch::Tensor parameter_of(const std::vector<double>& values) {
  return torch::tensor(values, torch::kDouble).requires_grad_();
}

/// Where a rule brings a parameter that starts at 0, on a convex loss whose minimum is `best`.
template <class Rule>
torch::Tensor minimize(Rule& rule, const torch::Tensor& best, int updates) {
  torch::Tensor parameter = torch::zeros_like(best).requires_grad_();
  auto optimizer = group_of(parameter);
  for (int i = 0; i < updates; ++i) {
    optimizer.zero_grad();
    ((parameter - best) / best.norm()).square().sum().backward();
    rule(optimizer);
  }
  return parameter.detach();
}

}  // namespace

TEST_CASE("DoG steps by the distance so far over the root of all squared gradients") {
  torch::Tensor parameter = parameter_of({3});
  auto optimizer = group_of(parameter);
  DoG rule(0.01, true);
  const auto after = [&](double gradient) {
    parameter.mutable_grad() = torch::tensor({gradient}, torch::kDouble);
    rule(optimizer);
    return parameter.item<double>();
  };
  CHECK(after(4) == Approx(3 - 0.04 * 4 / 4));     // 0.01 (1 + 3) is the first distance
  CHECK(after(3) == Approx(2.96 - 0.04 * 3 / 5));  // it has moved by as much
  CHECK(after(12) == Approx(2.936 - 0.064 * 12 / 13));
}

TEST_CASE("DoG and Prodigy find a minimum however far it is") {
  const double far = GENERATE(1e-2, 1.0, 1e3);
  const auto best = torch::tensor({far, -2 * far}, torch::kDouble);
  const auto distance = [&](const torch::Tensor& reached) {
    return ((reached - best).norm() / best.norm()).item<double>();
  };
  CAPTURE(far);
  DoG dog(1e-6, true);
  CHECK(distance(minimize(dog, best, 3000)) < 0.1);
  Prodigy prodigy;
  CHECK(distance(minimize(prodigy, best, 3000)) < 0.1);
}

TEST_CASE("Prodigy's estimate stays below the distance to the minimum, and comes near it") {
  const double far = GENERATE(1e-2, 1.0, 1e3);
  const auto best = torch::tensor({far, -2 * far}, torch::kDouble);
  Prodigy rule;
  minimize(rule, best, 1000);
  CAPTURE(far, rule.distance());
  CHECK(rule.distance() <= 2 * far);  // in the maximum norm, as Adam's steps are
  CHECK(rule.distance() > far / 20);
}

TEST_CASE("a rule without a rate still follows the rates of a plan") {
  torch::Tensor parameter = parameter_of({3});
  auto optimizer = group_of(parameter);
  optimizer.param_groups()[0].options().set_lr(0.5);
  parameter.mutable_grad() = torch::tensor({4.0}, torch::kDouble);
  DoG rule(0.01, true);
  rule(optimizer);
  CHECK(parameter.item<double>() == Approx(3 - 0.5 * 0.04));
}
