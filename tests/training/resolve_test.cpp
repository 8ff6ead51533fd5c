#include <catch2.hpp>
#include <cmath>
#include <limits>
#include <training.hpp>

#include <lrfinder/training/resolve.hpp>

using lrfinder::InvalidOption;
using lrfinder::RangeTestOptions;
using lrfinder::detail::max_pending;
using torch::optim::OptimizerParamGroup;
using torch::optim::SGD;
using torch::optim::SGDOptions;

namespace {

SGD sgd(const std::vector<double>& rates) {
  std::vector<OptimizerParamGroup> groups;
  for (const double rate : rates) {
    groups.emplace_back(std::vector<torch::Tensor>{torch::ones({1}, torch::requires_grad())},
                        std::make_unique<SGDOptions>(rate));
  }
  // Since some LibTorch after 2.6 a group whose rate is the class default takes the optimizer's.
  return SGD(groups, SGDOptions(1e-3));
}

class NoLoader final : public lrfinder::detail::AnyLoader {
 public:
  std::unique_ptr<lrfinder::detail::AnyBatchIterator> iterate(torch::Device) override { return {}; }
  bool has_metrics() const override { return true; }
  const void* single_pass() const override { return nullptr; }
};

lrfinder::detail::ResolvedRangeTest resolve(const RangeTestOptions& options,
                                            const torch::optim::Optimizer& optimizer) {
  torch::nn::Linear model(1, 1);
  const NoLoader loader;
  return lrfinder::detail::resolve(options, lrfinder::detail::ModuleHandle(*model), optimizer,
                                   std::nullopt, loader, nullptr);
}

}  // namespace

TEST_CASE("without options a range test has the documented defaults") {
  const auto settings = resolve({}, sgd({1e-3})).range;
  CHECK(settings.start_lr == std::vector<double>{1e-3});
  CHECK(settings.end_lr == std::vector<double>{10});
  CHECK(settings.num_iter == 100);
  CHECK(settings.schedule == lrfinder::Schedule::exponential);
  CHECK(settings.smooth_f == 0.05);
  CHECK(settings.diverge_th == 5);
  CHECK(settings.accumulation_steps == 1);
  CHECK_FALSE(settings.validation);
}

TEST_CASE("the plan knows how old the gradients of an update are, in the first group") {
  CHECK(resolve({}, sgd({1e-3})).range.gradient_age == 0);
  const auto weight = torch::ones({1}, torch::requires_grad());
  CHECK(resolve({}, SGD({weight}, SGDOptions(1e-3).momentum(0.9))).range.gradient_age == Approx(9));
}

TEST_CASE("rates are spread over the groups with their ratio, or taken as given") {
  const auto optimizer = sgd({1e-2, 1e-4});
  SECTION("one value is that of the first group") {
    const auto settings = resolve(RangeTestOptions().start_lr(1e-6).end_lr(1), optimizer).range;
    CHECK(settings.start_lr[0] == 1e-6);
    CHECK(settings.start_lr[1] == Approx(1e-8).margin(0));
    CHECK(settings.end_lr[0] == 1);
    CHECK(settings.end_lr[1] == Approx(1e-2));
  }
  SECTION("a value a group is that of the group, from a list or a vector") {
    const std::vector<double> ends{1, 2};
    const auto settings =
        resolve(RangeTestOptions().start_lr({1e-6, 1e-5}).end_lr(ends), optimizer).range;
    CHECK(settings.start_lr == std::vector<double>{1e-6, 1e-5});
    CHECK(settings.end_lr == ends);
  }
}

TEST_CASE("a threshold of 0 means never, as infinity does") {
  CHECK(std::isinf(resolve(RangeTestOptions().diverge_th(0), sgd({1e-3})).range.diverge_th));
}

TEST_CASE("options that make no sense are refused with what was given and what is allowed") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  struct Case {
    RangeTestOptions options;
    const char* message;
  };
  const RangeTestOptions good;
  const auto wrong = GENERATE_COPY(values<Case>({
      {RangeTestOptions(good).num_iter(1), "num_iter (1) must be at least 2"},
      {RangeTestOptions(good).num_iter(-5), "num_iter (-5) must be at least 2"},
      {RangeTestOptions(good).start_lr(0), "start_lr (0) of parameter group 0 must be positive"},
      {RangeTestOptions(good).start_lr(-1e-3), "start_lr (-0.001) of parameter group 0"},
      {RangeTestOptions(good).start_lr(nan), "start_lr (nan) of parameter group 0"},
      {RangeTestOptions(good).start_lr(infinity), "start_lr (inf) of parameter group 0"},
      {RangeTestOptions(good).end_lr(1e-8).start_lr(1e-7),
       "end_lr (1e-08) must be greater than start_lr (1e-07) of parameter group 0"},
      {RangeTestOptions(good).end_lr({1, 1e-9}),
       "end_lr (1e-09) must be greater than start_lr (0.0001) of parameter group 1"},
      {RangeTestOptions(good).end_lr(infinity), "end_lr (inf) of parameter group 0 must be finite"},
      {RangeTestOptions(good).end_lr(nan), "end_lr (nan) of parameter group 0 must be finite"},
      {RangeTestOptions(good).end_lr({1, 2, 3}), "end_lr has 3 values but the optimizer has 2"},
      {RangeTestOptions(good).start_lr({1e-5, 1e-5, 1e-5}), "start_lr has 3 values"},
      {RangeTestOptions(good).end_lr(std::vector<double>{}), "end_lr has 0 values"},
      {RangeTestOptions(good).smooth_f(1), "smooth_f (1) must be at least 0 and less than 1"},
      {RangeTestOptions(good).smooth_f(-0.1), "smooth_f (-0.1)"},
      {RangeTestOptions(good).smooth_f(nan), "smooth_f (nan)"},
      {RangeTestOptions(good).diverge_th(0.5), "diverge_th (0.5) must be at least 1"},
      {RangeTestOptions(good).diverge_th(nan), "diverge_th (nan)"},
      {RangeTestOptions(good).accumulation_steps(0), "accumulation_steps (0) must be at least 1"},
      {RangeTestOptions(good).cache_validation(-1), "cache_validation (-1) must not be negative"},
      {RangeTestOptions(good).iterations_in_flight(0), "iterations_in_flight (0) must be at least"},
  }));
  CHECK_THROWS_AS(resolve(wrong.options, sgd({1e-3, 1e-4})), InvalidOption);
  CHECK_THROWS_WITH(resolve(wrong.options, sgd({1e-3, 1e-4})), contains(wrong.message));
}

TEST_CASE("an optimizer that cannot be tested is refused") {
  CHECK_THROWS_WITH(resolve({}, SGD(std::vector<torch::Tensor>{}, SGDOptions(1e-3))),
                    contains("the optimizer has no parameters"));
  CHECK_THROWS_WITH(resolve({}, sgd({1e-3, 0})),
                    contains("start_lr (0) of parameter group 1 must be positive"));
  CHECK_THROWS_WITH(resolve(RangeTestOptions().start_lr(1e-5), sgd({0, 1e-3})),
                    contains("start_lr"));
}

TEST_CASE("the host waits for every iteration that somebody looks at") {
  const torch::Device cpu(torch::kCPU);
  const torch::Device cuda(torch::kCUDA, 0);
  CHECK(max_pending(RangeTestOptions(), cpu) == 1);
  CHECK(max_pending(RangeTestOptions(), cuda) == 16);
  CHECK(max_pending(RangeTestOptions().on_iteration([](const lrfinder::Iteration&) {}), cuda) == 1);
  CHECK(max_pending(RangeTestOptions().restore(false), cuda) == 1);
  CHECK(max_pending(RangeTestOptions().restore(false).iterations_in_flight(3), cpu) == 3);
}

TEST_CASE("two metrics of one name are refused") {
  const auto twice = RangeTestOptions()
                         .metric("accuracy", lrfinder::accuracy)
                         .metric("accuracy", lrfinder::accuracy);
  CHECK_THROWS_WITH(resolve(twice, sgd({1e-3})), contains("is there twice"));
}
