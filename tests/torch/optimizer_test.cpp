#include <catch2.hpp>
#include <own_optimizer.hpp>
#include <string>
#include <tuple>
#include <warnings.hpp>

#include <lrfinder/torch/optimizer.hpp>

using lrfinder::InvalidOption;
using lrfinder::detail::gradient_age;
using lrfinder::detail::hash_but_for_rate;
using lrfinder::detail::momentum_of;
using lrfinder::detail::require_momentum;
using lrfinder::detail::set_momentum;
using lrfinder::detail::warn_of_unsaved_members;
using namespace torch::optim;

namespace {

/// Options without serialize().
struct Silent : OptimizerCloneableOptions<Silent> {
  void set_lr(const double) override {}
};

// Options as a user writes them for an optimizer with a momentum.
struct TorchArgOptions : OptimizerCloneableOptions<TorchArgOptions>, lrfinder::MomentumOptions {
  TORCH_ARG(double, momentum) = 0.5;
};

std::vector<torch::Tensor> one_parameter() { return {torch::ones({1}, torch::requires_grad())}; }

}  // namespace

TEST_CASE("the hash of options tells all of them apart but the rate") {
  const auto sgd = SGDOptions(1e-3).momentum(0.9);
  CHECK(hash_but_for_rate(sgd).has_value());
  CHECK(hash_but_for_rate(sgd) == hash_but_for_rate(SGDOptions(0.5).momentum(0.9)));
  CHECK(hash_but_for_rate(sgd) != hash_but_for_rate(SGDOptions(1e-3).momentum(0.8)));
  CHECK(hash_but_for_rate(sgd) != hash_but_for_rate(SGDOptions(sgd).nesterov(true)));
  CHECK(hash_but_for_rate(AdamOptions(1)) == hash_but_for_rate(AdamOptions(2)));
  CHECK(hash_but_for_rate(AdamOptions()) != hash_but_for_rate(AdamOptions().eps(1e-7)));
  CHECK(hash_but_for_rate(AdamWOptions()) != hash_but_for_rate(AdamWOptions().weight_decay(0)));
  CHECK(hash_but_for_rate(RMSpropOptions()) != hash_but_for_rate(RMSpropOptions().alpha(0.9)));
  CHECK(hash_but_for_rate(AdagradOptions()) != hash_but_for_rate(AdagradOptions().lr_decay(0.1)));
  CHECK(hash_but_for_rate(LBFGSOptions(1)) == hash_but_for_rate(LBFGSOptions(2)));
  CHECK(hash_but_for_rate(LBFGSOptions()) != hash_but_for_rate(LBFGSOptions().max_iter(3)));
}

TEST_CASE("options that cannot be written have no hash") {
  CHECK_FALSE(hash_but_for_rate(Silent()).has_value());
}

TEST_CASE("the gradients of an update are as old as the optimizer's averaging makes them") {
  CHECK(gradient_age(SGDOptions(1e-3)) == 0);
  CHECK(gradient_age(SGDOptions(1e-3).momentum(0.9)) == Approx(9));
  CHECK(gradient_age(AdamOptions()) == Approx(9));
  CHECK(gradient_age(AdamOptions().betas(std::make_tuple(0.5, 0.99))) == Approx(1));
  CHECK(gradient_age(AdamWOptions()) == Approx(9));
  CHECK(gradient_age(RMSpropOptions()) == 0);
  CHECK(gradient_age(RMSpropOptions().momentum(0.5)) == Approx(1));
  CHECK(gradient_age(AdagradOptions()) == 0);
}

TEST_CASE("a momentum that averages nothing gives no age") {
  CHECK(gradient_age(SGDOptions(1e-3).momentum(1)) == 0);
}

TEST_CASE("options of a user's own tell their momentum by a base class") {
  TorchArgOptions options;
  REQUIRE(momentum_of(options));
  CHECK(*momentum_of(options) == 0.5);
  CHECK(gradient_age(options) == Approx(1));
  *momentum_of(options) = 0.9;
  CHECK(options.momentum() == 0.9);
  CHECK(momentum_of(OwnOptions(0.1)) == nullptr);
  CHECK(gradient_age(OwnOptions(0.1)) == 0);
}

TEST_CASE("the momentum is set in all groups, and only where a plan has one") {
  SGD sgd({OptimizerParamGroup(one_parameter()), OptimizerParamGroup(one_parameter())},
          SGDOptions(0.1).momentum(0.9));
  set_momentum(sgd, std::nullopt);
  CHECK(*momentum_of(sgd.param_groups()[0].options()) == 0.9);
  set_momentum(sgd, 0.8);
  for (const auto& group : sgd.param_groups()) CHECK(*momentum_of(group.options()) == 0.8);
  CHECK_NOTHROW(require_momentum(sgd, "PlanLR"));
  const Adagrad adagrad(one_parameter(), 0.1);
  CHECK_THROWS_AS(require_momentum(adagrad, "PlanLR"), InvalidOption);
  CHECK_THROWS_WITH(require_momentum(adagrad, "PlanLR"),
                    contains("PlanLR: ") && contains("MomentumOptions"));
}

namespace {

// As users write them: members of their own, and what saves only those of LibTorch.
struct LookaheadSGD : SGD {
  using SGD::SGD;
  std::vector<torch::Tensor> slow;
};

template <class T>
std::string warning_of(T& optimizer) {
  const Warnings warnings;
  warn_of_unsaved_members(&optimizer);
  return warnings.texts.empty() ? "" : warnings.texts.at(0);
}

}  // namespace

TEST_CASE("an optimizer with members that its save() does not know is warned of") {
  LookaheadSGD lookahead(one_parameter(), 1e-3);
  CHECK_THAT(warning_of(lookahead), contains("LookaheadSGD has members") && contains("SGD,") &&
                                        contains("also_restore()"));
  struct FurtherSGD : CountingSGD {
    using CountingSGD::CountingSGD;
    std::vector<double> further;
  } further(one_parameter(), 1e-3);
  CHECK_THAT(warning_of(further), contains("save() is that of CountingSGD"));
}

TEST_CASE("an optimizer without unsaved members is not warned of") {
  SGD sgd(one_parameter(), 1e-3);
  CHECK(warning_of(sgd) == "");
  CHECK(warning_of<Optimizer>(sgd) == "");
  CountingSGD counting(one_parameter(), 1e-3);
  CHECK(warning_of(counting) == "");
  struct SilentSGD : SGD {
    using SGD::SGD;
  } silent(one_parameter(), 1e-3);
  CHECK(warning_of(silent) == "");
  UnsavableOptimizer unsavable(one_parameter(), 1e-3);  // refused when it is saved
  CHECK(warning_of(unsavable) == "");
}
