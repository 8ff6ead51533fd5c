// LRFinder::race: what it trains, and that it restores everything.

#include <catch2.hpp>
#include <cmath>
#include <everything.hpp>
#include <map>
#include <training.hpp>

#include <lrfinder/lrfinder.hpp>

using lrfinder::InvalidOption;
using lrfinder::LRFinder;
using lrfinder::NoSuggestion;
using lrfinder::RaceOptions;
using lrfinder::RaceResult;
using lrfinder::RangeTestOptions;
using lrfinder::Snapshot;

namespace {

torch::Tensor cross_entropy(const torch::Tensor& output, const torch::Tensor& target) {
  return torch::nn::functional::cross_entropy(output, target);
}

// Three weights on a parabola of curvature 10 each: gradient descent converges at once at
// lr = 0.1, and diverges from 0.2 on.
struct ParabolaImpl : torch::nn::Module {
  torch::Tensor forward(const torch::Tensor& input) { return input * weight; }
  torch::Tensor weight = register_parameter("weight", torch::tensor({1.0, -2.0, 3.0}));
};
TORCH_MODULE(Parabola);

torch::Tensor height(const torch::Tensor& output, const torch::Tensor&) {
  return 5 * output.pow(2).sum();
}

const std::vector<TensorBatch> ones{{torch::ones({1, 3}), torch::zeros({1})}};

// A classifier and an optimizer that have trained a little, with a gradient that is undefined and a
// submodule in eval mode.
struct FineTuning {
  FineTuning() {
    torch::manual_seed(3);
    model = small_classifier();
    optimizer = std::make_unique<torch::optim::SGD>(model->parameters(),
                                                    torch::optim::SGDOptions(1e-4).momentum(0.9));
    for (const auto& batch : class_batches(5, 6, 4, 3)) {
      optimizer->zero_grad();
      cross_entropy(model->forward(batch.data), batch.target).backward();
      optimizer->step();
    }
    model->parameters()[0].mutable_grad() = torch::Tensor();
    (*model)[1]->eval();
  }
  torch::nn::Sequential model{nullptr};
  std::unique_ptr<torch::optim::SGD> optimizer;
};

// Two batches that follow the rule of shuffling_loader().
std::vector<TensorBatch> validation_batches() {
  auto batches = class_batches(2, 5, 4, 3);
  for (auto& batch : batches) batch.target = (batch.data.sum(1) > 0).to(torch::kLong);
  return batches;
}

const auto thirty_iterations = RangeTestOptions().start_lr(1e-5).end_lr(10).num_iter(30);

}  // namespace

TEST_CASE("a race restores everything") {
  const auto snapshot = GENERATE(Snapshot::device, Snapshot::host, Snapshot::disk);
  const bool validates = GENERATE(false, true);
  const bool restored = GENERATE(true, false);
  FineTuning tuned;
  auto loader = shuffling_loader();
  const Everything before(*tuned.model, *tuned.optimizer);
  LRFinder finder(tuned.model, *tuned.optimizer, cross_entropy);
  finder.range_test(*loader,
                    RangeTestOptions(thirty_iterations).snapshot(snapshot).restore(restored));
  const auto result = validates ? finder.race(*loader, validation_batches()) : finder.race(*loader);
  CHECK(result.table.size() >= 3);
  CHECK(before.differences(Everything(*tuned.model, *tuned.optimizer)) == "");
}

TEST_CASE("a fault at any moment of a race leaves no trace") {
  struct Fault : std::exception {};
  FineTuning tuned;
  auto loader = shuffling_loader();
  int calls = 0;
  int throw_at = -1;
  LRFinder finder(tuned.model, *tuned.optimizer,
                  [&](const torch::Tensor& output, const torch::Tensor& target) {
                    if (++calls == throw_at) throw Fault();
                    return cross_entropy(output, target);
                  });
  finder.range_test(*loader, thirty_iterations);
  const Everything before(*tuned.model, *tuned.optimizer);
  for (throw_at = 1; throw_at < 140; throw_at += 3) {
    calls = 0;
    INFO("call " << throw_at);
    REQUIRE_THROWS_AS(finder.race(*loader, validation_batches()), Fault);
    REQUIRE(before.differences(Everything(*tuned.model, *tuned.optimizer)) == "");
    REQUIRE(finder.history().size() > 20);
  }
}

TEST_CASE("a race finds the best rate of a parabola") {
  Parabola model;
  torch::optim::SGD optimizer(model->parameters(), 1e-5);
  LRFinder finder(model, optimizer, height);
  // Few iterations, so that neighbouring rates do not all come to a loss of exactly 0.
  finder.range_test(ones, RangeTestOptions().end_lr(10).num_iter(40));
  const auto exact = RaceOptions().tolerance(0);
  SECTION("around the suggestion") {
    const RaceResult result = finder.race(ones, exact);
    CHECK(std::fabs(std::log10(result.lr / 0.1)) < 0.3);
    CHECK(result.loss < 1);
    CHECK(finder.history().lr[result.index] == Approx(result.lr).epsilon(0.2));
  }
  SECTION("with finer steps") {
    const double lr = finder.race(ones, RaceOptions(exact).spacing(0.1));
    CHECK(std::fabs(std::log10(lr / 0.1)) < 0.051);
  }
  SECTION("by the loss on a validation loader") {
    CHECK(std::fabs(std::log10(finder.race(ones, ones, exact).lr / 0.1)) < 0.3);
  }
  SECTION("far from where it starts") {
    const double around = GENERATE(1e-4, 3e-4);
    const RaceResult result = finder.race(ones, RaceOptions(exact).around(around).budget(12));
    CHECK(std::fabs(std::log10(result.lr / 0.1)) < 0.3);
    CHECK(result.table.size() > 5);
  }
  SECTION("and by default at most one step below it, where that does as well") {
    const double best = finder.race(ones, exact), lower = finder.race(ones);
    CHECK(lower < best);
    CHECK(lower > best / 3.2);
  }
}

TEST_CASE("a race never returns a rate at which training diverges") {
  Parabola model;
  torch::optim::SGD optimizer(model->parameters(), 1e-5);
  LRFinder finder(model, optimizer, height);
  const double diverge_th = GENERATE(5, 1e9);  // with 1e9 the test goes on far past divergence
  finder.range_test(ones, RangeTestOptions().end_lr(10).diverge_th(diverge_th));
  for (const double around : {0.02, 0.1, 0.19, 0.21, 0.25}) {
    CHECK(finder.race(ones, RaceOptions().around(around)).lr < 0.2);
    CHECK(finder.race(ones, ones, RaceOptions().around(around)).lr < 0.2);
  }
}

TEST_CASE("a race takes at most as many updates as its budget says") {
  const double budget = GENERATE(2.0, 6.0, 13.0);
  const int accumulated = GENERATE(1, 2);
  torch::manual_seed(1);
  auto model = small_classifier();
  torch::optim::Adam optimizer(model->parameters(), 1e-6);
  std::int64_t calls = 0;
  LRFinder finder(model, optimizer, [&](const torch::Tensor& output, const torch::Tensor& target) {
    ++calls;
    return cross_entropy(output, target);
  });
  auto loader = shuffling_loader();
  finder.range_test(*loader, RangeTestOptions().num_iter(60).accumulation_steps(accumulated));
  const auto test_calls = static_cast<double>(std::exchange(calls, 0));
  const auto result = finder.race(*loader, RaceOptions().budget(budget));
  CHECK(static_cast<double>(calls) <= budget * test_calls);
  CHECK(static_cast<double>(calls) > 0.6 * budget * test_calls);
  CHECK(calls == result.total_iter * accumulated);
}

TEST_CASE("every trial starts from the same state, random numbers and batches") {
  torch::manual_seed(1);
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 1e-5);
  std::map<double, std::vector<double>> first_losses;  // by rate
  double last_rate = 0;
  LRFinder finder(model, optimizer, [&](const torch::Tensor& output, const torch::Tensor& target) {
    const auto loss = cross_entropy(output, target);
    const double rate = optimizer.param_groups()[0].options().get_lr();
    if (rate != last_rate) first_losses[rate].push_back(loss.item<double>());
    last_rate = rate;
    return loss;
  });
  auto loader = shuffling_loader();
  finder.range_test(*loader, thirty_iterations);
  first_losses.clear();
  const auto result = finder.race(*loader);
  const double expected = first_losses.begin()->second.front();
  std::size_t trials = 0;
  for (const auto& [rate, losses] : first_losses) {
    for (const double loss : losses) CHECK(loss == expected);
    trials += losses.size();
  }
  CHECK(first_losses.size() == result.table.size());
  CHECK(trials > result.table.size());
}

TEST_CASE("a race trains as the range test did") {
  torch::manual_seed(1);
  auto model = small_classifier();
  const auto parameters = model->parameters();
  torch::optim::SGD optimizer({torch::optim::OptimizerParamGroup({parameters[0], parameters[1]}),
                               torch::optim::OptimizerParamGroup({parameters[4], parameters[5]})},
                              1e-5);
  double most_ratio = 0, least_ratio = 1e9;
  LRFinder finder(model, optimizer, [&](const torch::Tensor& output, const torch::Tensor& target) {
    const auto& groups = optimizer.param_groups();
    const double ratio = groups[1].options().get_lr() / groups[0].options().get_lr();
    most_ratio = std::max(most_ratio, ratio);
    least_ratio = std::min(least_ratio, ratio);
    return cross_entropy(output, target);
  });
  finder.range_test(class_batches(4, 10, 4, 3), RangeTestOptions(thirty_iterations)
                                                    .start_lr({1e-5, 3e-5})
                                                    .end_lr(10.0)
                                                    .clip_grad_norm(0.1)
                                                    .metric("accuracy", lrfinder::accuracy));
  most_ratio = 0, least_ratio = 1e9;
  const auto batches = class_batches(4, 10, 4, 3);
  SECTION("by the training loss") {
    const auto result = finder.race(batches);
    CHECK(result.table.front().metrics.at("accuracy") > 0.1);
  }
  SECTION("by the loss on a validation loader") {
    const auto result = finder.race(batches, batches);
    CHECK(result.table.front().metrics.at("accuracy") > 0.1);
  }
  CHECK(most_ratio == Approx(3));
  CHECK(least_ratio == Approx(3));
}

TEST_CASE("a race works with an optimizer that asks for its closure") {
  Parabola model;
  torch::optim::LBFGS optimizer(model->parameters(), torch::optim::LBFGSOptions(1e-4).max_iter(3));
  LRFinder finder(model, optimizer, height);
  finder.range_test(ones, RangeTestOptions().end_lr(100).num_iter(30));
  const Everything before(*model, optimizer);
  CHECK(finder.race(ones).loss < 1);
  CHECK(before.differences(Everything(*model, optimizer)) == "");
}

TEST_CASE("a race needs a range test before") {
  Parabola model;
  torch::optim::SGD optimizer(model->parameters(), 1e-5);
  LRFinder finder(model, optimizer, height);
  CHECK_THROWS_WITH(finder.race(ones), contains("call range_test() first"));
}

TEST_CASE("a race refuses bad options before anything is touched") {
  Parabola model;
  torch::optim::SGD optimizer(model->parameters(), 1e-5);
  int calls = 0;
  LRFinder finder(model, optimizer, [&](const torch::Tensor& output, const torch::Tensor& target) {
    ++calls;
    return height(output, target);
  });
  finder.range_test(ones, RangeTestOptions().restore(false));
  const Everything before(*model, optimizer);
  calls = 0;
  CHECK_THROWS_AS(finder.race(ones, RaceOptions().rungs(0)), InvalidOption);
  CHECK_THROWS_AS(finder.race(ones, ones, RaceOptions().budget(0.01)), InvalidOption);
  CHECK(calls == 0);
  CHECK(before.differences(Everything(*model, optimizer)) == "");
}
