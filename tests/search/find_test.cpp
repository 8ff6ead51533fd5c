// LRFinder::find: what it trains, loads and restores.

#include <algorithm>
#include <catch2.hpp>
#include <cmath>
#include <cstdint>
#include <everything.hpp>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <training.hpp>
#include <utility>
#include <vector>
#include <warnings.hpp>

#include <lrfinder/lrfinder.hpp>
#include <lrfinder/search/search_settings.hpp>
#include <lrfinder/search/trial_runner.hpp>

using lrfinder::Decay;
using lrfinder::FindOptions;
using lrfinder::History;
using lrfinder::InvalidOption;
using lrfinder::LRFinder;
using lrfinder::NoSuggestion;
using lrfinder::PlotOptions;
using lrfinder::RangeTestOptions;
using lrfinder::Snapshot;
using lrfinder::Suggestion;
using lrfinder::TrainingOptions;
using lrfinder::TrainingPlan;
using lrfinder::Trial;

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

// Gradient descent that sees the norm of the gradients of each update.
struct Watching : torch::optim::SGD {
  using SGD::SGD;
  torch::Tensor step(LossClosure closure = nullptr) override {
    double squares = 0;
    for (const auto& parameter : param_groups()[0].params()) {
      squares += parameter.grad().pow(2).sum().item<double>();
    }
    norms.push_back(std::sqrt(squares));
    return SGD::step(closure);
  }
  std::vector<double> norms;
};

// Trains in this process, and counts.
struct CountingRunner : lrfinder::TrialRunner {
  std::vector<Trial> run(lrfinder::TrialTrainer& trainer, const std::vector<double>& rates,
                         std::int64_t updates, const std::vector<double>&) override {
    std::vector<Trial> trials;
    for (const double lr : rates) {
      begun += lr > 0 ? 1 : 0;
      trials.push_back(trainer.train(lr, updates, [&] { made += lr > 0 ? 1 : 0; }));
    }
    return trials;
  }
  int begun = 0;          // trials
  std::int64_t made = 0;  // updates
};

// Says that others train trials, too.
struct OneOfTwo : lrfinder::TrialRunner {
  std::int64_t processes() const override { return 2; }
};

// The only rank of those that train together.
struct OnlyRank : lrfinder::Communicator {
  std::int64_t rank() const override { return 0; }
  std::int64_t size() const override { return 1; }
  std::vector<double> sum(std::vector<double> values) override { return values; }
  std::function<void()> begin_sum(const torch::Tensor&) override {
    return [] {};
  }
  void broadcast(const torch::Tensor&) override {}
};

void check_equal(const Suggestion& found, const Suggestion& expected) {
  CHECK(found.lr == expected.lr);
  CHECK(found.low == expected.low);
  CHECK(found.high == expected.high);
  CHECK(found.loss == expected.loss);
  CHECK(found.index == expected.index);
  CHECK(found.caveat == expected.caveat);
  CHECK(found.updates == expected.updates);
  REQUIRE(found.trials.size() == expected.trials.size());
  for (std::size_t i = 0; i < found.trials.size(); ++i) {
    CHECK(found.trials[i].lr == expected.trials[i].lr);
    CHECK(found.trials[i].loss == expected.trials[i].loss);
    CHECK(found.trials[i].updates == expected.trials[i].updates);
  }
}

// An optimizer of two groups, and the ratios of their rates in each call of the criterion.
struct TwoGroups {
  TwoGroups(double first, double second) {
    const auto parameters = problem.model->parameters();
    std::vector<torch::optim::OptimizerParamGroup> groups;
    groups.emplace_back(std::vector<torch::Tensor>(parameters.begin(), parameters.begin() + 4),
                        std::make_unique<torch::optim::SGDOptions>(first));
    groups.emplace_back(std::vector<torch::Tensor>(parameters.begin() + 4, parameters.end()),
                        std::make_unique<torch::optim::SGDOptions>(second));
    optimizer =
        std::make_unique<torch::optim::SGD>(std::move(groups), torch::optim::SGDOptions(1e-3));
  }
  auto criterion() {
    return [this](const torch::Tensor& output, const torch::Tensor& target) {
      if (!torch::GradMode::is_enabled()) return torch::cross_entropy_loss(output, target);
      ratios.push_back(optimizer->param_groups()[1].options().get_lr() /
                       optimizer->param_groups()[0].options().get_lr());
      return torch::nn::functional::cross_entropy(output, target);
    };
  }
  Problem problem;
  std::unique_ptr<torch::optim::SGD> optimizer;
  std::vector<double> ratios;
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
  const bool tested = GENERATE(false, true);
  Problem problem;
  auto loader = shuffling_loader();
  const FindOptions options = quick().plan(TrainingPlan::one_cycle(500));
  const Everything before(*problem.model, *problem.optimizer);
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion,
                  TrainingOptions().snapshot(snapshot));
  if (tested) finder.range_test(*loader, RangeTestOptions().num_iter(5).restore(false));
  validates ? finder.find(*loader, problem.batches, options) : finder.find(*loader, options);
  CHECK(before.differences(Everything(*problem.model, *problem.optimizer)) == "");
}

TEST_CASE("a search after an unrestored range test starts from the rates before that test") {
  Problem problem;
  torch::optim::SGD optimizer(
      {torch::optim::OptimizerParamGroup({problem.model->parameters()[0]},
                                         std::make_unique<torch::optim::SGDOptions>(2e-2)),
       torch::optim::OptimizerParamGroup({problem.model->parameters()[1]},
                                         std::make_unique<torch::optim::SGDOptions>(2e-3))},
      torch::optim::SGDOptions(2e-2));
  LRFinder finder(problem.model, optimizer, problem.criterion);
  finder.range_test(problem.batches,
                    RangeTestOptions().start_lr({1e-5, 1e-5}).num_iter(5).restore(false));
  finder.find(problem.batches, problem.batches, quick());
  CHECK(finder.history().group_lr[0][0] / finder.history().group_lr[1][0] == Approx(10));
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
  for (const auto& trial : found.trials) longest = std::max(longest, trial.updates);
  CHECK(loader.loaded <= longest + 1);
}

TEST_CASE("find gives the same with and without kept batches") {
  const auto run = [](std::int64_t bytes) {
    Problem problem;
    auto loader = shuffling_loader();
    torch::manual_seed(5);
    LRFinder finder(problem.model, *problem.optimizer, problem.criterion,
                    TrainingOptions().cache_training(bytes));
    return finder.find(*loader, quick());
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
  refused(quick().plan(TrainingPlan().gamma(0.5)), "has no steps");
  refused(quick().range_test(RangeTestOptions().start_lr(1e-5).restore(false)), "must restore");
  refused(quick().range_test(RangeTestOptions().start_lr(-1)), "start_lr");
  refused(quick().history(History()), "history is empty");
  finder.options().cache_training(-1);
  refused(quick(), "TrainingOptions: cache_training (-1)");
  torch::optim::Adagrad adagrad(problem.model->parameters(), 1e-3);
  LRFinder without_momentum(problem.model, adagrad, problem.criterion);
  CHECK_THROWS_AS(
      without_momentum.find(problem.batches, quick().plan(TrainingPlan::one_cycle(500))),
      InvalidOption);
}

TEST_CASE("find refuses processes that train together and side by side at once") {
  Problem problem;
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion,
                  TrainingOptions().data_parallel(std::make_shared<OnlyRank>()));
  const auto together = finder.find(problem.batches, quick());
  CHECK(together.lr > 0);
  CHECK_THROWS_WITH(
      finder.find(problem.batches, quick().trial_runner(std::make_shared<OneOfTwo>())),
      contains("leave one of them out"));
}

TEST_CASE("options that find refuses leave a test that was not restored as it is") {
  Problem problem;
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  finder.range_test(problem.batches, RangeTestOptions().num_iter(5).restore(false));
  const Everything before(*problem.model, *problem.optimizer);
  CHECK_THROWS_AS(finder.find(problem.batches, quick().budget(0.01)), InvalidOption);
  CHECK_THROWS_AS(finder.find(problem.batches, problem.batches, quick().history(History())),
                  InvalidOption);
  CHECK(before.differences(Everything(*problem.model, *problem.optimizer)) == "");
}

TEST_CASE("find keeps what was trained after a test that was not restored") {
  Problem problem;
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  finder.range_test(problem.batches, RangeTestOptions().num_iter(5).restore(false));
  {
    const torch::NoGradGuard without_gradients;
    problem.model->parameters()[0].data().mul_(0.5);  // as an update of SGD: not counted
  }
  const Everything trained(*problem.model, *problem.optimizer);
  finder.find(problem.batches, quick());
  CHECK(trained.differences(Everything(*problem.model, *problem.optimizer)) == "");
}

TEST_CASE("a search that cannot begin leaves a test that was not restored as it is") {
  Problem problem;
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  const Everything before(*problem.model, *problem.optimizer);
  finder.range_test(problem.batches, RangeTestOptions().num_iter(5).restore(false));
  const Everything left(*problem.model, *problem.optimizer);
  finder.options().snapshot(Snapshot::disk).snapshot_dir("/no/such/folder");
  CHECK_THROWS_AS(finder.find(problem.batches, quick()), lrfinder::SnapshotError);
  CHECK(left.differences(Everything(*problem.model, *problem.optimizer)) == "");
  finder.reset();
  CHECK(before.differences(Everything(*problem.model, *problem.optimizer)) == "");
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
  TwoGroups two(1e-3, 1e-4);
  LRFinder finder(two.problem.model, *two.optimizer, two.criterion());
  // What a device has computed past the end of the range test is not counted.
  FindOptions options = quick();
  options.range_test(RangeTestOptions(options.range_test()).iterations_in_flight(1));
  const Suggestion found = finder.find(two.problem.batches, options);
  CHECK(two.ratios.size() == static_cast<std::size_t>(found.updates));
  for (const double ratio : two.ratios) REQUIRE(ratio == Approx(0.1));
}

TEST_CASE("find leaves the defaults of its range test alone that are not set") {
  Problem problem;
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  std::vector<double> rates;
  auto range = RangeTestOptions().num_iter(50).on_iteration(
      [&](const lrfinder::Iteration& iteration) { rates.push_back(iteration.lr); });
  finder.find(problem.batches, FindOptions().plan(cosine).budget(4).range_test(range));
  REQUIRE(rates.size() > 2);
  CHECK(rates[0] == 1e-7);
  CHECK(rates[1] == Approx(1e-7 * std::pow(10 / 1e-7, 1 / 49.0)).margin(0));
  CHECK(finder.history().settings.num_iter == 50);
  CHECK(finder.history().settings.diverge_th == 5);
}

TEST_CASE("gradients are clipped alike in a range test and in the trials of find") {
  Problem problem;
  Watching optimizer(problem.model->parameters(), torch::optim::SGDOptions(1e-4));
  LRFinder finder(problem.model, optimizer, problem.criterion,
                  TrainingOptions().clip_grad_norm(1e-3));
  const auto all_clipped = [&] {
    return std::all_of(optimizer.norms.begin(), optimizer.norms.end(),
                       [](double norm) { return norm == Approx(1e-3).epsilon(0.01); });
  };
  finder.range_test(problem.batches, quick().range_test());
  CHECK(optimizer.norms.size() == 40);
  CHECK(all_clipped());
  optimizer.norms.clear();
  const Suggestion found = finder.find(
      problem.batches,
      FindOptions().budget(4).range_test(
          RangeTestOptions().start_lr(1e-3).end_lr(1e4).num_iter(40).iterations_in_flight(
              1)));  // past the end of the range test nothing is counted
  CHECK(optimizer.norms.size() == static_cast<std::size_t>(found.updates));
  CHECK(all_clipped());
}

TEST_CASE("find from a history is find with that range test, which it does not make again") {
  const bool validates = GENERATE(false, true);
  Problem problem;
  auto loader = shuffling_loader();
  torch::manual_seed(5);
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  const auto find = [&](const FindOptions& options) {
    return validates ? finder.find(*loader, problem.batches, options)
                     : finder.find(*loader, options);
  };
  int iterations = 0;
  FindOptions options = quick();
  options.range_test(
      RangeTestOptions(options.range_test()).on_iteration([&](const lrfinder::Iteration&) {
        ++iterations;
      }));
  const Suggestion expected = find(options);
  REQUIRE(iterations > 20);
  CHECK(finder.history().settings.start_lr == std::vector<double>{1e-5});  // was not widened

  const History made = validates ? finder.range_test(*loader, problem.batches, options.range_test())
                                 : finder.range_test(*loader, options.range_test());
  iterations = 0;
  const Suggestion found = find(FindOptions(options).history(made));
  CHECK(iterations == 0);
  check_equal(found, expected);
  CHECK(finder.history().raw_loss == made.raw_loss);
  REQUIRE(finder.history().found);
  check_equal(*finder.history().found, expected);
}

TEST_CASE("find from a history trains the groups with the ratio of the history") {
  TwoGroups two(1e-3, 1e-3);
  LRFinder finder(two.problem.model, *two.optimizer, two.criterion());
  const auto range = RangeTestOptions().start_lr({1e-5, 3e-5}).end_lr(10.0).num_iter(40);
  History made = finder.range_test(two.problem.batches, range);
  const auto all_ratios_are = [&](double ratio) {
    two.ratios.clear();
    finder.find(two.problem.batches, FindOptions(cosine).budget(4).history(made));
    return two.ratios.size() > 60 &&
           std::all_of(two.ratios.begin(), two.ratios.end(),
                       [&](double each) { return each == Approx(ratio); });
  };
  CHECK(all_ratios_are(3));
  made.group_lr.clear();
  CHECK(all_ratios_are(1));
}

TEST_CASE("a history tells find the cost of a range test, and how long an unplanned training is") {
  History made({1e-3, 1e-2, 1e-1}, {3, 2, 1});
  using lrfinder::detail::plan_of;
  using lrfinder::detail::updates_of;
  const Problem problem;
  const auto options = [&] { return FindOptions().budget(4).history(made); };
  const auto updates = [](const FindOptions& of) {
    return updates_of(of, TrainingPlan().steps(9));
  };
  CHECK(updates(options()) == 4 * 3);
  CHECK(plan_of(options(), *problem.optimizer).steps() == 30 * 3);
  made.settings.num_iter = 70;
  CHECK(updates(options()) == 4 * 70);
  CHECK(plan_of(options(), *problem.optimizer).steps() == 30 * 70);
  CHECK(updates(quick()) == 6 * 40);
}

TEST_CASE("without a budget a search costs ten range tests, or a twentieth of a long training") {
  const auto updates = [](std::int64_t steps) {
    return lrfinder::detail::updates_of(FindOptions(), TrainingPlan().steps(steps));
  };
  CHECK(updates(300) == 1000);
  CHECK(updates(20'000) == 1000);
  CHECK(updates(100'000) == 5000);
}

TEST_CASE("a plan is enough for find") {
  Problem problem;
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  const Suggestion expected = finder.find(problem.batches, FindOptions().plan(cosine));
  check_equal(finder.find(problem.batches, cosine), expected);
  const Suggestion validated =
      finder.find(problem.batches, problem.batches, FindOptions().plan(cosine));
  check_equal(finder.find(problem.batches, problem.batches, cosine), validated);
}

TEST_CASE("a trial runner of one's own trains the trials of find") {
  Problem problem;
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion);
  const Suggestion expected = finder.find(problem.batches, quick());
  const auto runner = std::make_shared<CountingRunner>();
  const Suggestion found = finder.find(problem.batches, quick().trial_runner(runner));
  check_equal(found, expected);
  CHECK(runner->begun == static_cast<int>(found.trials.size()));
  CHECK(runner->made == found.updates - static_cast<std::int64_t>(finder.history().size()));
}

TEST_CASE("every trial starts from the same state, random numbers and batches") {
  Problem problem;
  const auto runner = std::make_shared<CountingRunner>();
  std::vector<double> first_losses;
  LRFinder finder(problem.model, *problem.optimizer,
                  [&](const torch::Tensor& output, const torch::Tensor& target) {
                    const auto loss = torch::nn::functional::cross_entropy(output, target);
                    if (runner->begun > static_cast<int>(first_losses.size())) {
                      first_losses.push_back(loss.item<double>());
                    }
                    return loss;
                  });
  auto loader = shuffling_loader();
  finder.find(*loader, quick().trial_runner(runner));
  CHECK(first_losses.size() >= 6);
  for (const double loss : first_losses) CHECK(loss == first_losses.front());
}

TEST_CASE("find finds the best rate of a parabola, and none at which it diverges") {
  // With 1e9 the range test goes on far past the divergence.
  const double diverge_th = GENERATE(5, 1e9);
  const bool validates = GENERATE(false, true);
  Parabola model;
  torch::optim::SGD optimizer(model->parameters(), 1e-5);
  LRFinder finder(model, optimizer, height);
  // Few iterations, so that neighbouring rates do not all come to a loss of exactly 0.
  const auto options =
      FindOptions(TrainingPlan().steps(20))
          .budget(3)
          .range_test(RangeTestOptions().start_lr(1e-5).num_iter(40).diverge_th(diverge_th));
  const Suggestion found =
      validates ? finder.find(ones, ones, options) : finder.find(ones, options);
  CHECK(std::fabs(std::log10(found.lr / 0.1)) < 0.3);
  CHECK(found.high < 0.2);
  CHECK(found.loss < 1);
}

TEST_CASE("find takes at most as many updates as its budget says") {
  const double budget = GENERATE(2.0, 6.0, 13.0);
  const int accumulated = GENERATE(1, 2);
  Problem problem;
  std::int64_t calls = 0;
  LRFinder finder(
      problem.model, *problem.optimizer,
      [&](const torch::Tensor& output, const torch::Tensor& target) {
        calls += torch::GradMode::is_enabled() ? 1 : 0;
        return torch::nn::functional::cross_entropy(output, target);
      },
      TrainingOptions().accumulation_steps(accumulated));
  const Suggestion found = finder.find(problem.batches, quick().budget(budget));
  CHECK(static_cast<double>(found.updates) <= budget * 40);
  CHECK(static_cast<double>(found.updates) > 0.6 * budget * 40);
  CHECK(calls == found.updates * accumulated);
}

TEST_CASE("the trials of find are measured by the metrics") {
  const bool validates = GENERATE(false, true);
  Problem problem;
  LRFinder finder(problem.model, *problem.optimizer, problem.criterion,
                  TrainingOptions().metric("accuracy", lrfinder::accuracy));
  const Suggestion found = validates ? finder.find(problem.batches, problem.batches, quick())
                                     : finder.find(problem.batches, quick());
  CHECK(finder.history().metrics.at("accuracy").size() == finder.history().size());
  for (const Trial& trial : found.trials) {
    CHECK(trial.metrics.at("accuracy") > 0.1);
    CHECK(trial.metrics.at("accuracy") <= 1);
  }
}

TEST_CASE("the trials of find run in mixed precision") {
  Problem problem;
  std::int64_t calls = 0, in_bfloat16 = 0;
  LRFinder finder(
      problem.model, *problem.optimizer,
      [&](const torch::Tensor& output, const torch::Tensor& target) {
        if (torch::GradMode::is_enabled()) ++calls;
        in_bfloat16 += torch::GradMode::is_enabled() && output.scalar_type() == torch::kBFloat16;
        return torch::nn::functional::cross_entropy(output.to(torch::kFloat), target);
      },
      TrainingOptions().autocast(torch::kBFloat16));
  const Suggestion found = finder.find(problem.batches, quick());
  CHECK(calls == found.updates);
  CHECK(in_bfloat16 == calls);
}

TEST_CASE("find works with an optimizer that asks for its closure") {
  Parabola model;
  torch::optim::LBFGS optimizer(model->parameters(), torch::optim::LBFGSOptions(1e-4).max_iter(3));
  LRFinder finder(model, optimizer, height);
  const Everything before(*model, optimizer);
  const auto range = RangeTestOptions().start_lr(1e-4).end_lr(100).num_iter(30);
  CHECK(finder.find(ones, FindOptions().budget(3).range_test(range)).loss < 1);
  CHECK(before.differences(Everything(*model, optimizer)) == "");
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
  finder.plot(text, PlotOptions().text_size(80, 24));
  CHECK(text.str().find("find: ") != std::string::npos);
}
