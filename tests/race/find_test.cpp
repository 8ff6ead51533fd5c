// LRFinder::find and races by a plan: what they train, load and restore.

#include <catch2.hpp>
#include <cmath>
#include <cstdint>
#include <everything.hpp>
#include <sstream>
#include <string>
#include <training.hpp>
#include <utility>
#include <vector>
#include <warnings.hpp>

#include <lrfinder/lrfinder.hpp>

using lrfinder::Decay;
using lrfinder::FindOptions;
using lrfinder::InvalidOption;
using lrfinder::LRFinder;
using lrfinder::NoSuggestion;
using lrfinder::PlotOptions;
using lrfinder::RaceOptions;
using lrfinder::RaceResult;
using lrfinder::RangeTestOptions;
using lrfinder::Snapshot;
using lrfinder::Suggestion;
using lrfinder::TrainingPlan;

namespace find_test {

const TrainingPlan cosine = TrainingPlan().steps(1000).decay(Decay::cosine);

// 40 iterations in place of 100, to be quick.
FindOptions quick() {
  return FindOptions().plan(cosine).budget(6).range_test(
      RangeTestOptions().start_lr(1e-5).end_lr(10).num_iter(40));
}

// A classifier that drops out, and data that it can learn.
struct Problem {
  Problem() {
    torch::manual_seed(3);
    model = small_classifier();
    optimizer = std::make_unique<torch::optim::SGD>(model->parameters(),
                                                    torch::optim::SGDOptions(1e-4).momentum(0.9));
    for (auto& batch : batches) batch.target = (batch.data.sum(1) > 0).to(torch::kLong);
  }
  torch::nn::Sequential model{nullptr};
  std::unique_ptr<torch::optim::SGD> optimizer;
  torch::nn::CrossEntropyLoss criterion;
  std::vector<TensorBatch> batches = class_batches(12, 16, 4, 3);
};

// Counts the batches that are loaded.
struct CountingRange {
  struct Iterator {
    const TensorBatch& operator*() const {
      ++*loaded;
      return *at;
    }
    Iterator& operator++() {
      ++at;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at != other.at; }
    std::vector<TensorBatch>::const_iterator at;
    int* loaded;
  };
  Iterator begin() const { return {batches.begin(), &loaded}; }
  Iterator end() const { return {batches.end(), &loaded}; }
  std::vector<TensorBatch> batches;
  mutable int loaded = 0;
};

}  // namespace find_test

using namespace find_test;

TEST_CASE("find answers with a rate, its interval, the trials and the cost") {
  Problem problem;
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  const Suggestion found = finder.find(problem.batches, quick());
  CHECK(found.recipe == "find");
  CHECK(found.low < found.lr);
  CHECK(found.lr < found.high);
  CHECK(found.trials.size() >= 6);
  CHECK(found.updates <= 6 * 40);
  CHECK(found.updates > 3 * 40);
  CHECK(found.loss < 1);
  REQUIRE(finder.history().found.has_value());
  CHECK(finder.history().found->lr == found.lr);
  CHECK(finder.history().found->trials.size() == found.trials.size());
  CHECK(finder.history().lr[found.index] == Approx(found.lr).epsilon(0.5));
}

TEST_CASE("find restores everything, with every kind of snapshot, loader and plan") {
  const auto snapshot = GENERATE(Snapshot::device, Snapshot::host, Snapshot::disk);
  const bool validates = GENERATE(false, true);
  Problem problem;
  auto loader = shuffling_loader();
  FindOptions options = quick().plan(TrainingPlan::one_cycle(500));
  options.range_test(RangeTestOptions(options.range_test()).snapshot(snapshot));
  const Everything before(*problem.model, *problem.optimizer);
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  validates ? finder.find(*loader, problem.batches, options) : finder.find(*loader, options);
  CHECK(before.differences(Everything(*problem.model, *problem.optimizer)) == "");
}

TEST_CASE("a fault at any moment of find leaves no trace") {
  struct Fault : std::exception {};
  Problem problem;
  int calls = 0, throw_at = -1;
  LRFinder finder(problem.model, *problem.optimizer,
                  [&](const torch::Tensor& output, const torch::Tensor& target) {
                    if (++calls == throw_at) throw Fault();
                    return torch::nn::functional::cross_entropy(output, target);
                  });
  const Everything before(*problem.model, *problem.optimizer);
  for (throw_at = 1; throw_at < 230; throw_at += 7) {
    calls = 0;
    INFO("call " << throw_at);
    REQUIRE_THROWS_AS(finder.find(problem.batches, problem.batches, quick()), Fault);
    REQUIRE(before.differences(Everything(*problem.model, *problem.optimizer)) == "");
  }
}

TEST_CASE("find loads every batch once, however many trials train on it") {
  Problem problem;
  const CountingRange loader{problem.batches};
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  const Suggestion found = finder.find(loader, quick());
  std::int64_t longest = 40;
  for (const auto& trial : found.trials) longest = std::max(longest, trial.num_iter);
  CHECK(loader.loaded <= longest + 1);
}

TEST_CASE("find gives the same with and without kept batches") {
  const auto run = [](std::int64_t bytes) {
    Problem problem;
    auto loader = shuffling_loader();
    FindOptions options = quick();
    options.range_test(RangeTestOptions(options.range_test()).cache_training(bytes));
    torch::manual_seed(5);
    LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
    return finder.find(*loader, options);
  };
  const Suggestion kept = run(1 << 20), loaded = run(0);
  CHECK(kept.lr == loaded.lr);
  REQUIRE(kept.trials.size() == loaded.trials.size());
  for (std::size_t i = 0; i < kept.trials.size(); ++i) {
    CHECK(kept.trials[i].loss == loaded.trials[i].loss);
  }
}

TEST_CASE("batches that the criterion writes into are loaded again in every trial") {
  const auto run = [](bool writes) {
    Problem problem;
    const CountingRange loader{problem.batches};
    LRFinder finder(problem.model, *problem.optimizer,
                    [=](const torch::Tensor& output, torch::Tensor target) {
                      if (writes) target.add_(0);
                      return torch::nn::functional::cross_entropy(output, target);
                    });
    torch::manual_seed(5);
    return std::pair(finder.find(loader, quick()).lr, loader.loaded);
  };
  const auto [expected, few] = run(false);
  const Warnings warnings;
  const auto [lr, many] = run(true);
  CHECK(lr == expected);
  CHECK(many > 2 * few);
  REQUIRE(warnings.texts.size() == 1);
  CHECK(warnings.texts[0].find("writes into its batches") != std::string::npos);
}

TEST_CASE("find finds the rate where the range test begins too high or ends too low") {
  // By validation losses, whose curve has little noise.
  const auto found_from = [](double start_lr, double end_lr) {
    Problem problem;
    LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
    return finder
        .find(problem.batches, problem.batches,
              quick().budget(15).range_test(
                  RangeTestOptions().start_lr(start_lr).end_lr(end_lr).num_iter(40)))
        .lr;
  };
  const double usual = found_from(1e-5, 10);
  CHECK(std::fabs(std::log10(found_from(1e-8, 1e-5) / usual)) < 0.6);
  CHECK(std::fabs(std::log10(found_from(2, 1000) / usual)) < 0.6);
}

TEST_CASE("the trials of find follow the plan") {
  Problem problem;
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  const auto lr_for = [&](Decay decay) {
    torch::manual_seed(5);
    return finder.find(problem.batches, quick().plan(TrainingPlan().steps(1000).decay(decay)));
  };
  const Suggestion constant = lr_for(Decay::none), decayed = lr_for(Decay::cosine);
  CHECK(constant.trials.front().loss != decayed.trials.front().loss);
}

TEST_CASE("without a plan find answers for a constant rate") {
  Problem problem;
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  const auto range = quick().range_test();
  const double with_default =
      finder.find(problem.batches, FindOptions().budget(6).range_test(range));
  const double constant = finder.find(problem.batches, quick().plan(TrainingPlan().steps(30 * 40)));
  CHECK(with_default == constant);
}

TEST_CASE("a race by a plan tries rates as find does") {
  Problem problem;
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  finder.range_test(problem.batches, quick().range_test());
  const Everything before(*problem.model, *problem.optimizer);
  const RaceResult result = finder.race(problem.batches, RaceOptions().plan(cosine).budget(5));
  CHECK(result.recipe == "race");
  CHECK(result.total_iter == result.updates);
  CHECK(result.table.size() == result.trials.size());
  CHECK(std::is_sorted(result.table.begin(), result.table.end(),
                       [](const auto& a, const auto& b) { return a.lr < b.lr; }));
  CHECK(result.low < result.lr);
  CHECK(before.differences(Everything(*problem.model, *problem.optimizer)) == "");
}

TEST_CASE("find refuses options that make no sense before anything is touched") {
  Problem problem;
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  const auto refused = [&](const FindOptions& options, const char* reason) {
    CHECK_THROWS_WITH(finder.find(problem.batches, options), contains(reason));
    CHECK(finder.history().empty());
  };
  refused(quick().budget(1), "budget (1) must be at least 2");
  refused(quick().budget(std::nan("")), "budget");
  refused(quick().plan(TrainingPlan().decay(Decay::cosine)), "has no steps");
  refused(quick().range_test(RangeTestOptions().start_lr(1e-5).restore(false)), "must restore");
  refused(quick().range_test(RangeTestOptions().start_lr(-1)), "start_lr");
  refused(quick().range_test(RangeTestOptions().start_lr(1e-5).cache_training(-1)),
          "cache_training (-1)");
  torch::optim::Adagrad adagrad(problem.model->parameters(), 1e-3);
  LRFinder without_momentum(problem.model, adagrad, problem.criterion);
  CHECK_THROWS_AS(
      without_momentum.find(problem.batches, quick().plan(TrainingPlan::one_cycle(500))),
      InvalidOption);
}

TEST_CASE("a race refuses a plan without steps") {
  Problem problem;
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  finder.range_test(problem.batches, quick().range_test());
  CHECK_THROWS_AS(
      finder.race(problem.batches, RaceOptions().plan(TrainingPlan().decay(Decay::cosine))),
      InvalidOption);
}

TEST_CASE("a callback that ends the range test ends find") {
  Problem problem;
  FindOptions options = quick();
  options.range_test(RangeTestOptions(options.range_test()).on_iteration([](const auto& iteration) {
    return iteration.index < 5;
  }));
  const Everything before(*problem.model, *problem.optimizer);
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  CHECK_THROWS_AS(finder.find(problem.batches, options), NoSuggestion);
  CHECK(before.differences(Everything(*problem.model, *problem.optimizer)) == "");
}

TEST_CASE("all parameter groups keep their ratio in the trials of find") {
  Problem problem;
  std::vector<torch::optim::OptimizerParamGroup> groups;
  const auto parameters = problem.model->parameters();
  groups.emplace_back(std::vector<torch::Tensor>(parameters.begin(), parameters.begin() + 4),
                      std::make_unique<torch::optim::SGDOptions>(1e-3));
  groups.emplace_back(std::vector<torch::Tensor>(parameters.begin() + 4, parameters.end()),
                      std::make_unique<torch::optim::SGDOptions>(1e-4));
  torch::optim::SGD optimizer(std::move(groups), torch::optim::SGDOptions(1e-3));
  std::vector<double> ratios;
  LRFinder finder(problem.model, optimizer,
                  [&](const torch::Tensor& output, const torch::Tensor& target) {
                    ratios.push_back(optimizer.param_groups()[1].options().get_lr() /
                                     optimizer.param_groups()[0].options().get_lr());
                    return torch::nn::functional::cross_entropy(output, target);
                  });
  const Suggestion found = finder.find(problem.batches, quick());
  CHECK(ratios.size() == static_cast<std::size_t>(found.updates));
  for (const double ratio : ratios) REQUIRE(ratio == Approx(0.1));
}

TEST_CASE("the suggestion for a plan is read off the last curve") {
  Problem problem;
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  CHECK_THROWS_AS(finder.suggestion(cosine), NoSuggestion);
  finder.range_test(problem.batches, quick().range_test());
  CHECK(finder.suggestion(cosine).lr == lrfinder::suggest::for_plan(finder.history(), cosine).lr);
}

TEST_CASE("the picture of what was found marks the trials") {
  Problem problem;
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  const Suggestion found = finder.find(problem.batches, quick());
  std::ostringstream text;
  finder.plot(found, text, PlotOptions().text_size(80, 24));
  CHECK(text.str().find("find: ") != std::string::npos);
}
