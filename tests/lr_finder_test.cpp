#include <catch2.hpp>
#include <cmath>
#include <everything.hpp>
#include <filesystem>
#include <limits>
#include <training.hpp>
#include <warnings.hpp>

#include <lrfinder/lrfinder.hpp>

using lrfinder::FindOptions;
using lrfinder::History;
using lrfinder::LRFinder;
using lrfinder::RangeTestOptions;
using lrfinder::StopReason;
using lrfinder::TrainingPlan;

namespace {

// Trains for three epochs and returns everything that training depends on.
template <class Loader>
std::vector<torch::Tensor> train(torch::nn::Sequential& model, torch::optim::Optimizer& optimizer,
                                 Loader& loader) {
  std::vector<torch::Tensor> losses;
  for (int epoch = 0; epoch < 3; ++epoch) {
    for (auto& batch : loader) {
      optimizer.zero_grad();
      auto loss = torch::nn::functional::cross_entropy(model->forward(batch.data), batch.target);
      loss.backward();
      optimizer.step();
      losses.push_back(loss.detach());
    }
  }
  for (const auto& parameter : model->parameters()) losses.push_back(parameter.detach().clone());
  for (const auto& buffer : model->buffers()) losses.push_back(buffer.clone());
  return losses;
}

}  // namespace

TEST_CASE("training after range_test is bit for bit the training without it") {
  const bool fine_tuning = GENERATE(false, true);
  const bool with_validation = GENERATE(false, true);
  const auto run = [&](bool with_range_test) {
    torch::manual_seed(7);
    auto model = small_classifier();
    torch::optim::Adam optimizer(model->parameters(), 1e-3);
    auto loader = shuffling_loader();
    if (fine_tuning) train(model, optimizer, *loader);
    LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
    const auto options = RangeTestOptions().start_lr(1e-6).num_iter(33);
    if (with_range_test && with_validation) {
      finder.range_test(*loader, class_batches(3, 10, 4, 2), options);
    } else if (with_range_test) {
      finder.range_test(*loader, options);
    }
    return train(model, optimizer, *loader);
  };
  CHECK(same_bits(run(true), run(false)));
}

TEST_CASE("range_test restores everything, gradients and single training flags included") {
  torch::manual_seed(3);
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  auto loader = shuffling_loader();
  train(model, optimizer, *loader);                         // leaves momentum and gradients behind
  model->parameters()[0].mutable_grad() = torch::Tensor();  // one gradient undefined
  (*model)[1]->eval();  // frozen batch statistics in a training model
  model->parameters()[1].set_requires_grad(false);
  const Everything before(*model, optimizer);

  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  finder.range_test(*loader, class_batches(2, 5, 4, 2), RangeTestOptions().num_iter(20));

  CHECK(before.differences(Everything(*model, optimizer)).empty());
}

TEST_CASE("a submodule in eval mode stays in it while the test trains") {
  auto model = small_classifier();
  (*model)[1]->eval();
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  bool as_set = true;
  const auto criterion = [&](const torch::Tensor& output, const torch::Tensor& target) {
    as_set =
        as_set && model->is_training() && !(*model)[1]->is_training() && (*model)[3]->is_training();
    return torch::nn::functional::cross_entropy(output, target);
  };
  LRFinder finder(model, optimizer, criterion);
  finder.range_test(class_batches(3, 5, 4, 3), RangeTestOptions().num_iter(5));
  CHECK(as_set);
}

TEST_CASE("a model that comes in eval mode is trained and comes back in eval mode") {
  auto model = small_classifier();
  model->eval();
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  int training = 0;
  int evaluating = 0;
  const auto criterion = [&](const torch::Tensor& output, const torch::Tensor& target) {
    ++((*model)[3]->is_training() ? training : evaluating);
    return torch::nn::functional::cross_entropy(output, target);
  };
  LRFinder finder(model, optimizer, criterion);
  finder.range_test(class_batches(3, 5, 4, 3), class_batches(2, 5, 4, 3),
                    RangeTestOptions().num_iter(5));
  CHECK(training == 5);
  CHECK(evaluating == 10);
  CHECK_FALSE(model->is_training());
  CHECK_FALSE((*model)[3]->is_training());
}

TEST_CASE("a second range test on the same finder records the same history") {
  torch::manual_seed(1);
  auto model = small_classifier();
  torch::optim::AdamW optimizer(model->parameters(), 1e-5);
  auto loader = shuffling_loader();
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  const History first = finder.range_test(*loader);
  const History& second = finder.range_test(*loader);
  CHECK(first.lr == second.lr);
  CHECK(first.raw_loss == second.raw_loss);
  CHECK(first.loss == second.loss);
}

TEST_CASE("the loss is recorded raw and smoothed") {
  auto model = weight_of_one();
  torch::optim::SGD optimizer(model->parameters(), 1e-12);
  std::vector<TensorBatch> batches;
  for (double value : {1.0, 3.0, 2.0}) {
    batches.emplace_back(torch::full({1, 1}, value), torch::zeros({1}));
  }
  const auto criterion = [](const torch::Tensor& output, const torch::Tensor&) {
    return output.mean();
  };
  LRFinder finder(model, optimizer, criterion);
  const History& history =
      finder.range_test(batches, RangeTestOptions().end_lr(1e-11).num_iter(3).smooth_f(0.25));
  CHECK(history.raw_loss == std::vector<double>{1, 3, 2});
  CHECK(history.loss == std::vector<double>{1, 1.5, 1.625});
  CHECK(history.stop_reason == StopReason::completed);
  CHECK(history.group_lr.empty());
  CHECK(history.wall_seconds > 0);
  CHECK(history.settings.num_iter == 3);
}

TEST_CASE("a loader that runs out starts again from its beginning") {
  auto model = weight_of_one();
  torch::optim::SGD optimizer(model->parameters(), 1e-12);
  std::vector<TensorBatch> batches;
  for (double value : {1.0, 2.0, 3.0}) {
    batches.emplace_back(torch::full({1, 1}, value), torch::zeros({1}));
  }
  LRFinder finder(model, optimizer,
                  [](const torch::Tensor& output, const torch::Tensor&) { return output.mean(); });
  const auto options = RangeTestOptions().end_lr(1e-11).smooth_f(0);
  CHECK(finder.range_test(batches, RangeTestOptions(options).num_iter(7)).raw_loss ==
        std::vector<double>{1, 2, 3, 1, 2, 3, 1});
  // Two steps accumulated: the mean of two batches that may lie on both sides of the end.
  finder.options().accumulation_steps(2);
  CHECK(finder.range_test(batches, RangeTestOptions(options).num_iter(3)).raw_loss ==
        std::vector<double>{1.5, 2, 2.5});
}

TEST_CASE("every parameter group goes from its own start to its own end") {
  auto model = small_classifier();
  const auto parameters = model->parameters();
  using torch::optim::OptimizerParamGroup;
  using torch::optim::SGDOptions;
  std::vector<OptimizerParamGroup> groups;
  groups.emplace_back(std::vector<torch::Tensor>{parameters[0]},
                      std::make_unique<SGDOptions>(1e-3));
  groups.emplace_back(std::vector<torch::Tensor>{parameters[1]},
                      std::make_unique<SGDOptions>(1e-5));
  torch::optim::SGD optimizer(groups, SGDOptions(1e-3));
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  const auto batches = class_batches(3, 5, 4, 3);

  SECTION("one end for the first group: the other keeps the ratio it starts with") {
    const History& history = finder.range_test(batches, RangeTestOptions().end_lr(1).num_iter(4));
    REQUIRE(history.group_lr.size() == 2);
    CHECK(history.lr == history.group_lr[0]);
    for (std::size_t i = 0; i < 4; ++i) {
      CHECK(history.group_lr[0][i] == Approx(std::pow(10.0, static_cast<double>(i) - 3)));
      CHECK(history.group_lr[1][i] == Approx(std::pow(10.0, static_cast<double>(i) - 5)));
    }
  }
  SECTION("one start for the first group: the other keeps the ratio it has") {
    const History& history =
        finder.range_test(batches, RangeTestOptions().start_lr(1e-6).end_lr(1).num_iter(4));
    CHECK(history.group_lr[1].front() == Approx(1e-8).margin(0));
    CHECK(history.group_lr[1].back() == Approx(1e-2));
  }
  SECTION("a start and an end for each") {
    const History& history = finder.range_test(
        batches, RangeTestOptions().start_lr({1e-4, 1e-6}).end_lr({1e-1, 10}).num_iter(10));
    CHECK(history.group_lr[0].front() == Approx(1e-4).margin(0));
    CHECK(history.group_lr[0].back() == Approx(1e-1));
    CHECK(history.group_lr[1].front() == Approx(1e-6).margin(0));
    CHECK(history.group_lr[1].back() == Approx(10));
  }
  CHECK(optimizer.param_groups()[0].options().get_lr() == 1e-3);
  CHECK(optimizer.param_groups()[1].options().get_lr() == 1e-5);
}

TEST_CASE("a frozen group and one with a rate of its own stay out of the search") {
  torch::manual_seed(3);
  torch::nn::Sequential model(torch::nn::Linear(4, 8), torch::nn::Linear(8, 3));
  const auto parameters = model->parameters();
  using torch::optim::SGDOptions;
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(std::vector<torch::Tensor>{parameters[0], parameters[1]},
                      std::make_unique<SGDOptions>(0));
  groups.emplace_back(std::vector<torch::Tensor>{parameters[2]},
                      std::make_unique<SGDOptions>(1e-2));
  groups.emplace_back(std::vector<torch::Tensor>{parameters[3]},
                      std::make_unique<SGDOptions>(5e-3));
  torch::optim::SGD optimizer(groups, SGDOptions(1e-3));
  const auto rate = [&](std::size_t group) {
    return optimizer.param_groups()[group].options().get_lr();
  };
  std::vector<std::vector<double>> seen;
  const auto body = parameters[0].detach().clone();
  bool is_body_frozen = true;
  const auto criterion = [&](const torch::Tensor& output, const torch::Tensor& target) {
    if (torch::GradMode::is_enabled()) seen.push_back({rate(0), rate(1), rate(2)});
    is_body_frozen = is_body_frozen && same_bits(body, parameters[0].detach());
    return torch::nn::functional::cross_entropy(output, target);
  };
  LRFinder finder(model, optimizer, criterion);
  auto batches = class_batches(4, 20, 4, 3);
  for (auto& batch : batches) batch.target = batch.data.argmax(1).clamp_max(2);
  const auto range =
      RangeTestOptions().start_lr({0, 1e-4, 5e-3}).end_lr({0, 100, 5e-3}).num_iter(40);
  const History history = finder.range_test(batches, range);
  CHECK(history.lr == history.group_lr[1]);
  CHECK(history.lr.front() == Approx(1e-4).margin(0));
  const double lr = finder.apply_suggestion();
  CHECK(rate(0) == 0);
  CHECK(rate(1) == lr);
  CHECK(rate(2) == 5e-3);
  seen.clear();
  const double found = finder.find(batches, lrfinder::FindOptions().budget(5).range_test(range));
  CHECK(found > 1e-3);
  double highest = 0;
  for (const auto& rates : seen) {
    REQUIRE(rates[0] == 0);
    REQUIRE(rates[2] == 5e-3);
    highest = std::max(highest, rates[1]);
  }
  CHECK(highest > found);
  CHECK(is_body_frozen);
}

TEST_CASE("apply_suggestion keeps the ratio between the groups") {
  auto model = small_classifier();
  const auto parameters = model->parameters();
  using torch::optim::OptimizerParamGroup;
  using torch::optim::SGDOptions;
  std::vector<OptimizerParamGroup> groups;
  groups.emplace_back(std::vector<torch::Tensor>{parameters[0]},
                      std::make_unique<SGDOptions>(1e-4));
  groups.emplace_back(std::vector<torch::Tensor>{parameters[4]},
                      std::make_unique<SGDOptions>(1e-5));
  torch::optim::SGD optimizer(groups, SGDOptions(1e-3));
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  finder.range_test(class_batches(3, 5, 4, 3), RangeTestOptions().end_lr(1));
  const auto at_iteration_60 = [](const History& history) {
    return lrfinder::Suggestion{history.lr[60], 60, history.loss[60], "60th", ""};
  };
  const auto suggestion = finder.apply_suggestion(finder.suggestion(at_iteration_60));
  CHECK(suggestion.recipe == "60th");
  CHECK(optimizer.param_groups()[0].options().get_lr() == finder.history().lr[60]);
  CHECK(optimizer.param_groups()[1].options().get_lr() == Approx(finder.history().lr[60] / 10));
}

TEST_CASE("the validation loss is the mean over the samples that were seen") {
  auto model = weight_of_one();
  torch::optim::SGD optimizer(model->parameters(), 1e-12);
  const std::vector<TensorBatch> training{{torch::ones({1, 1}), torch::zeros({1})}};
  // Eight samples of 1 and a last batch of two samples of 6: the mean is 2.
  const std::vector<TensorBatch> validation{
      {torch::ones({4, 1}), torch::zeros({4})},
      {torch::ones({4, 1}), torch::zeros({4})},
      {torch::full({2, 1}, 6.0), torch::zeros({2})},
  };
  bool with_gradients = false;
  LRFinder finder(model, optimizer, [&](const torch::Tensor& output, const torch::Tensor& target) {
    if (target.size(0) > 1 && output.requires_grad()) with_gradients = true;
    return output.mean();
  });
  const History& history =
      finder.range_test(training, validation, RangeTestOptions().end_lr(1e-11).num_iter(3));
  CHECK(history.raw_loss[0] == Approx(2).epsilon(1e-6));
  CHECK(history.raw_loss[2] == Approx(2).epsilon(1e-6));
  CHECK(history.settings.validation);
  CHECK_FALSE(with_gradients);
}

TEST_CASE("a loss that is not finite ends the test and is not recorded") {
  const double value =
      GENERATE(std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity());
  auto model = weight_of_one();
  torch::optim::SGD optimizer(model->parameters(), 1e-12);
  const std::vector<TensorBatch> batches(3, {torch::ones({1, 1}), torch::zeros({1})});
  int updates = 0;
  LRFinder finder(model, optimizer, [&](const torch::Tensor& output, const torch::Tensor&) {
    const bool is_third = torch::GradMode::is_enabled() && ++updates == 3;
    return output.mean() * (is_third ? value : 1);
  });
  const History& history = finder.range_test(batches, RangeTestOptions().num_iter(10));
  CHECK(history.size() == 2);
  CHECK(history.stop_reason == StopReason::non_finite_loss);
  CHECK(torch::isfinite(model->weight).all().item<bool>());
}

TEST_CASE("the test stops when the loss diverges, and the diverged loss is the last") {
  auto model = weight_of_one();
  torch::optim::SGD optimizer(model->parameters(), 1e-12);
  std::vector<TensorBatch> batches;
  for (double value : {1.0, 0.5, 0.4, 4.0, 100.0, 1.0}) {
    batches.emplace_back(torch::full({1, 1}, value), torch::zeros({1}));
  }
  LRFinder finder(model, optimizer,
                  [](const torch::Tensor& output, const torch::Tensor&) { return output.mean(); });
  const auto options = RangeTestOptions().end_lr(1e-11).num_iter(20).paired(false);
  SECTION("by default at five times the best smoothed loss") {
    const History& history = finder.range_test(batches, options);
    CHECK(history.size() == 5);
    CHECK(history.loss.back() == Approx(6.043990625).epsilon(1e-6));
    CHECK(history.stop_reason == StopReason::diverged);
  }
  SECTION("never with a threshold of 0 or infinity") {
    const double never = GENERATE(0.0, std::numeric_limits<double>::infinity());
    const History& history =
        finder.range_test(batches, RangeTestOptions(options).diverge_th(never));
    CHECK(history.size() == 20);
    CHECK(history.stop_reason == StopReason::completed);
  }
}

TEST_CASE("negative losses do not count as divergence until they rise") {
  auto model = weight_of_one();
  torch::optim::SGD optimizer(model->parameters(), 1e-12);
  std::vector<TensorBatch> batches;
  for (double value : {-1.0, -2.0, -1.5, 7.0}) {
    batches.emplace_back(torch::full({1, 1}, value), torch::zeros({1}));
  }
  LRFinder finder(model, optimizer,
                  [](const torch::Tensor& output, const torch::Tensor&) { return output.mean(); });
  const History& history = finder.range_test(
      batches, RangeTestOptions().end_lr(1e-11).smooth_f(0).num_iter(9).paired(false));
  // Best is -2, so the threshold lies at -2 + 4 * 2 = 6.
  CHECK(history.raw_loss == std::vector<double>{-1, -2, -1.5, 7});
  CHECK(history.stop_reason == StopReason::diverged);
}

TEST_CASE("on_iteration sees every iteration and stops the test by returning false") {
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 1e-5);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  std::vector<lrfinder::Iteration> seen;
  const History& history = finder.range_test(
      class_batches(3, 5, 4, 3),
      RangeTestOptions().num_iter(50).on_iteration([&](const lrfinder::Iteration& iteration) {
        seen.push_back(iteration);
        return iteration.index < 6;
      }));
  CHECK(history.stop_reason == StopReason::stopped_by_caller);
  REQUIRE(history.size() == 7);
  REQUIRE(seen.size() == 7);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    CHECK(seen[i].index == static_cast<int64_t>(i));
    CHECK(seen[i].num_iter == 50);
    CHECK(seen[i].lr == history.lr[i]);
    CHECK(seen[i].raw_loss == history.raw_loss[i]);
    CHECK(seen[i].loss == history.loss[i]);
    CHECK(seen[i].best_loss <= history.loss[i]);
  }
}

TEST_CASE("with restore(false) the model stays trained until reset") {
  torch::manual_seed(1);
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(1e-3).momentum(0.9));
  auto loader = shuffling_loader();
  train(model, optimizer, *loader);
  const Everything before(*model, optimizer);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  finder.range_test(*loader, RangeTestOptions().num_iter(10).restore(false));
  const Everything trained(*model, optimizer);
  CHECK_FALSE(before.differences(trained).empty());
  CHECK(optimizer.param_groups()[0].options().get_lr() == Approx(10));

  finder.reset();
  CHECK(before.differences(Everything(*model, optimizer)).empty());

  train(model, optimizer, *loader);
  const Everything later(*model, optimizer);
  finder.reset();
  CHECK(later.differences(Everything(*model, optimizer)).empty());
}

TEST_CASE("reset brings back the state before the first test that was not restored") {
  torch::manual_seed(1);
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(1e-3).momentum(0.9));
  const auto batches = class_batches(3, 5, 4, 3);
  const std::vector<torch::data::Example<>> none;
  train(model, optimizer, batches);
  const Everything before(*model, optimizer);
  bool fails = false;
  LRFinder finder(model, optimizer, [&](const torch::Tensor& output, const torch::Tensor& target) {
    if (fails) throw std::runtime_error("enough");
    return torch::nn::functional::cross_entropy(output, target);
  });
  const RangeTestOptions left = RangeTestOptions().num_iter(6).restore(false);
  finder.range_test(batches, left);
  const Everything after_first(*model, optimizer);

  SECTION("a second one that is not restored either") {
    finder.range_test(batches, RangeTestOptions(left).start_lr(1e-3));
    CHECK_FALSE(after_first.differences(Everything(*model, optimizer)).empty());
    finder.reset();
  }
  SECTION("a second one that is restored, to where the first left off") {
    finder.range_test(batches, RangeTestOptions().start_lr(1e-3).num_iter(6));
    CHECK(after_first.differences(Everything(*model, optimizer)).empty());
    finder.reset();
  }
  SECTION("a second one that is refused changes nothing") {
    CHECK_THROWS_AS(finder.range_test(batches, RangeTestOptions().num_iter(0)),
                    lrfinder::InvalidOption);
    CHECK(after_first.differences(Everything(*model, optimizer)).empty());
    finder.reset();
  }
  SECTION("an exception in a second one does the same") {
    fails = true;
    CHECK_THROWS_WITH(finder.range_test(batches, RangeTestOptions(left).start_lr(1e-3)), "enough");
  }
  SECTION("an empty loader in a second one does the same") {
    CHECK_THROWS_AS(finder.range_test(none, RangeTestOptions(left).start_lr(1e-3)),
                    lrfinder::EmptyLoader);
  }
  CHECK(before.differences(Everything(*model, optimizer)).empty());
}

TEST_CASE("training after a test that was not restored is undone by nothing but reset") {
  torch::manual_seed(1);
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  const auto batches = class_batches(3, 5, 4, 3);
  bool fails = false;
  LRFinder finder(model, optimizer, [&](const torch::Tensor& output, const torch::Tensor& target) {
    if (fails) throw std::runtime_error("enough");
    return torch::nn::functional::cross_entropy(output, target);
  });
  const RangeTestOptions options = RangeTestOptions().start_lr(1e-3).num_iter(6);
  const Everything before(*model, optimizer);
  finder.range_test(batches, RangeTestOptions(options).restore(false));
  train(model, optimizer, batches);
  const Everything trained(*model, optimizer);
  SECTION("a test that cannot begin") {
    finder.options().snapshot(lrfinder::Snapshot::disk).snapshot_dir("/no/such/folder");
    CHECK_THROWS_AS(finder.range_test(batches, options), lrfinder::SnapshotError);
    CHECK_THROWS_AS(finder.find(batches), lrfinder::SnapshotError);
  }
  SECTION("a test that throws") {
    fails = true;
    CHECK_THROWS_WITH(finder.range_test(batches, options), "enough");
    CHECK_THROWS_WITH(finder.find(batches), "enough");
  }
  SECTION("a test that restores") { finder.range_test(batches, options); }
  CHECK(trained.differences(Everything(*model, optimizer)) == "");
  finder.reset();
  CHECK(before.differences(Everything(*model, optimizer)) == "");
}

TEST_CASE("reset after training between two unrestored tests restores what was trained") {
  torch::manual_seed(1);
  auto model = small_classifier();
  torch::optim::Adam optimizer(model->parameters(), 1e-3);
  const auto batches = class_batches(3, 5, 4, 3);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  const auto options = RangeTestOptions().start_lr(1e-3).num_iter(6).restore(false);
  finder.range_test(batches, options);
  train(model, optimizer, batches);
  const Everything trained(*model, optimizer);
  finder.range_test(batches, options);
  finder.range_test(batches, options);
  finder.reset();
  CHECK(trained.differences(Everything(*model, optimizer)) == "");
}

TEST_CASE("a finder refuses a test inside its own test, and restores everything") {
  torch::manual_seed(1);
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  const auto batches = class_batches(3, 5, 4, 3);
  const Everything before(*model, optimizer);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  std::function<void()> inside;
  const auto options =
      RangeTestOptions().num_iter(4).on_iteration([&](const lrfinder::Iteration&) { inside(); });
  SECTION("range_test") {
    inside = [&] { finder.range_test(batches); };
  }
  SECTION("find") {
    inside = [&] { finder.find(batches); };
  }
  SECTION("reset") {
    inside = [&] { finder.reset(); };
  }
  CHECK_THROWS_AS(finder.range_test(batches, options), lrfinder::InvalidOption);
  CHECK(before.differences(Everything(*model, optimizer)).empty());
  finder.range_test(batches, RangeTestOptions().num_iter(4));
  CHECK(finder.history().size() == 4);
}

TEST_CASE("reset after an automatic restore leaves later training alone") {
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  auto loader = shuffling_loader();
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  finder.range_test(*loader, RangeTestOptions().num_iter(5));
  train(model, optimizer, *loader);
  const Everything trained(*model, optimizer);
  finder.reset();
  CHECK(trained.differences(Everything(*model, optimizer)).empty());
}

TEST_CASE("an optimizer, a model or a tensor that is named twice is restored once") {
  torch::manual_seed(1);
  auto model = small_classifier();
  const auto kind = GENERATE("SGD", "Adam");
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  if (kind == std::string("SGD")) {
    optimizer = std::make_unique<torch::optim::SGD>(model->parameters(),
                                                    torch::optim::SGDOptions(1e-3).momentum(0.9));
  } else {
    optimizer = std::make_unique<torch::optim::Adam>(model->parameters(), 1e-3);
  }
  const auto batches = class_batches(3, 5, 4, 3);
  train(model, *optimizer, batches);
  const Everything before(*model, *optimizer);
  torch::Tensor weight = model->parameters()[0];
  LRFinder finder(model, *optimizer, torch::nn::CrossEntropyLoss());
  finder.also_restore(*optimizer, model, weight).also_restore(*optimizer, model, weight);
  finder.range_test(batches, RangeTestOptions().num_iter(6));
  CHECK(before.differences(Everything(*model, *optimizer)) == "");
  train(model, *optimizer, batches);
}

TEST_CASE("a variable that the criterion assigns to gets back the tensor that it held") {
  torch::manual_seed(1);
  torch::nn::Sequential model(torch::nn::Linear(4, 4));
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  torch::Tensor hidden = GENERATE(torch::Tensor(), torch::ones({4}));
  const torch::Tensor before = hidden;
  const auto values = before.defined() ? before.clone() : before;
  LRFinder finder(model, optimizer, [&](const torch::Tensor& output, const torch::Tensor&) {
    const auto last = hidden.defined() ? hidden : torch::zeros({4});
    hidden = 0.9 * last + output.detach().mean(0);
    return (output + last).square().mean();
  });
  finder.also_restore(hidden);
  const auto batches = class_batches(3, 5, 4, 3);
  const Warnings warnings;
  SECTION("after a test") {
    const auto first = finder.range_test(batches, RangeTestOptions().num_iter(6));
    CHECK(first.untrained_loss.size() == first.size());
    CHECK(finder.range_test(batches, RangeTestOptions().num_iter(6)).raw_loss == first.raw_loss);
    CHECK(finder.range_test(batches, RangeTestOptions().num_iter(6).paired(false)).raw_loss ==
          first.raw_loss);
  }
  SECTION("after a search") {
    finder.find(batches, FindOptions().plan(TrainingPlan().steps(50)).budget(200));
  }
  SECTION("by reset()") {
    finder.range_test(batches, RangeTestOptions().num_iter(6).restore(false));
    CHECK_FALSE(hidden.is_same(before));
    finder.reset();
  }
  SECTION("after an exception") {
    const auto options = RangeTestOptions().on_iteration([](const auto&) { throw 1; });
    CHECK_THROWS_AS(finder.range_test(batches, options), int);
  }
  CHECK(hidden.is_same(before));
  CHECK(same_bits(hidden, values));
  CHECK(warnings.texts.empty());
}

TEST_CASE("a finder whose criterion is a lambda can be moved and assigned to") {
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  int calls = 0;
  const auto make = [&](int& counted) {
    return LRFinder(model, optimizer,
                    [&counted](const torch::Tensor& output, const torch::Tensor& target) {
                      ++counted;
                      return torch::nn::functional::cross_entropy(output, target);
                    });
  };
  int calls_before = 0;
  auto finder = make(calls_before);
  finder = make(calls);
  auto moved = std::move(finder);
  finder = std::move(moved);
  CHECK(finder.range_test(class_batches(3, 5, 4, 3), RangeTestOptions().num_iter(3)).size() == 3);
  CHECK(calls == 6);
  CHECK(calls_before == 0);
}

TEST_CASE("an exception from user code arrives as thrown, and everything is restored") {
  struct Trouble : std::exception {};
  torch::manual_seed(1);
  auto model = small_classifier();
  torch::optim::Adam optimizer(model->parameters(), 1e-3);
  const auto batches = class_batches(3, 5, 4, 3);
  int calls = 0;
  LRFinder finder(model, optimizer, [&](const torch::Tensor& output, const torch::Tensor& target) {
    if (torch::GradMode::is_enabled() && ++calls == 4) throw Trouble();
    return torch::nn::functional::cross_entropy(output, target);
  });
  const Everything before(*model, optimizer);
  CHECK_THROWS_AS(finder.range_test(batches, RangeTestOptions().restore(false)), Trouble);
  CHECK(before.differences(Everything(*model, optimizer)).empty());
  CHECK(optimizer.state().empty());
  CHECK(finder.history().size() == 3);
  CHECK(finder.history().stop_reason == StopReason::failed);
  CHECK_NOTHROW(finder.range_test(batches, RangeTestOptions().diverge_th(0)));
  CHECK(finder.history().size() == 100);
}

TEST_CASE("range_test trains inside a NoGradGuard and leaves the grad mode alone") {
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  const torch::NoGradGuard guard;
  const auto options = RangeTestOptions().diverge_th(0);
  CHECK(finder.range_test(class_batches(3, 5, 4, 3), options).size() == 100);
  CHECK_FALSE(torch::GradMode::is_enabled());
}

TEST_CASE("a loader with worker threads can be walked again after a test that stopped midway") {
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  auto loader = shuffling_loader(/*workers=*/2);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  auto val_loader = shuffling_loader(/*workers=*/2);
  CHECK(finder.range_test(*loader, *val_loader, RangeTestOptions().num_iter(3)).size() == 3);
  finder.options().val_batches(2);
  CHECK(finder.range_test(*loader, *val_loader, RangeTestOptions().num_iter(3)).size() == 3);
  for (auto* walked : {loader.get(), val_loader.get()}) {
    int batches = 0;
    for (auto& batch : *walked) batches += batch.data.defined() ? 1 : 0;
    CHECK(batches == 7);
  }
}

TEST_CASE("a finder takes a device in place of options") {
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  LRFinder by_type(model, optimizer, torch::nn::CrossEntropyLoss(), torch::kCPU);
  LRFinder by_device(model, optimizer, torch::nn::CrossEntropyLoss(), torch::Device("cpu"));
  LRFinder by_default(model, optimizer, torch::nn::CrossEntropyLoss());
  CHECK(by_type.options().device() == torch::Device(torch::kCPU));
  CHECK(by_device.options().device() == torch::Device(torch::kCPU));
  CHECK(by_default.options().device() == std::nullopt);
  CHECK(by_type.range_test(class_batches(3, 5, 4, 3), RangeTestOptions().num_iter(3)).size() == 3);
}

TEST_CASE("options that are changed between two tests take effect") {
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 1e-5);
  std::int64_t calls = 0;
  LRFinder finder(model, optimizer, [&](const torch::Tensor& output, const torch::Tensor& target) {
    ++calls;
    return torch::nn::functional::cross_entropy(output, target);
  });
  const auto batches = class_batches(3, 5, 4, 3);
  const auto test = RangeTestOptions().num_iter(6).paired(false);
  finder.range_test(batches, test);
  CHECK(calls == 6);
  CHECK(finder.history().metrics.empty());
  finder.options().accumulation_steps(2).metric("accuracy", lrfinder::accuracy);
  finder.range_test(batches, test);
  CHECK(calls == 6 + 12);
  CHECK(finder.history().metrics.count("accuracy") == 1);
  CHECK(finder.history().settings.accumulation_steps == 2);
  finder.options() = lrfinder::TrainingOptions().accumulation_steps(0);
  CHECK_THROWS_WITH(finder.range_test(batches, test), contains("accumulation_steps (0)"));
}

TEST_CASE("an empty finder has no suggestion") {
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  CHECK(finder.history().empty());
  CHECK_THROWS_WITH(finder.suggestion(), contains("call range_test() first"));
  CHECK_THROWS_AS(finder.apply_suggestion(), lrfinder::NoSuggestion);
  CHECK_NOTHROW(finder.reset());
}

TEST_CASE("after a test that failed there is no suggestion, and the reason is told") {
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  int evaluated = 0;
  const auto criterion = [&](const torch::Tensor& output, const torch::Tensor& target) {
    if (++evaluated > 5) throw std::runtime_error("the disk is gone");
    return torch::nn::functional::cross_entropy(output, target);
  };
  LRFinder finder(model, optimizer, criterion);
  CHECK_THROWS_WITH(finder.range_test(class_batches(3, 20, 4, 3)), contains("the disk is gone"));
  const auto after_2 = contains("the range test failed after 2 iterations: the disk is gone");
  CHECK_THROWS_WITH(finder.suggestion(), after_2);
  CHECK_THROWS_WITH(finder.suggestion(lrfinder::TrainingPlan().steps(10)), after_2);
  CHECK_THROWS_WITH(finder.range_test(class_batches(3, 20, 4, 3)), contains("the disk is gone"));
  CHECK_THROWS_WITH(finder.suggestion(), contains("the range test failed after 0 iterations"));
}

TEST_CASE("suggestion takes any recipe, or a callable of the user's own") {
  torch::manual_seed(2);
  torch::nn::Linear model(4, 3);
  torch::optim::SGD optimizer(model->parameters(), 1e-4);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  auto batches = class_batches(1, 60, 4, 3);
  batches[0].target = batches[0].data.argmax(1).clamp_max(2);
  finder.range_test(batches, RangeTestOptions().end_lr(100));
  namespace suggest = lrfinder::suggest;
  const double lr = finder.suggestion();
  CHECK(lr == suggest::steepest(finder.history()).lr);
  CHECK(finder.suggestion(suggest::gradient_argmin).recipe == "gradient_argmin");
  CHECK(finder.suggestion(suggest::lightning).recipe == "lightning");
  for (const auto& recipe :
       {suggest::ignite, suggest::valley, suggest::slide, suggest::minimum, suggest::steep}) {
    CHECK(finder.suggestion(recipe).lr == recipe(finder.history()).lr);
  }
  CHECK(finder
            .suggestion([](const History& history) {
              return lrfinder::Suggestion{history.lr[3], 3, history.loss[3], "fourth", ""};
            })
            .lr == finder.history().lr[3]);
}

TEST_CASE("a finder draws its last history") {
  torch::nn::Linear model(4, 3);
  torch::optim::SGD optimizer(model->parameters(), 1e-4);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  std::ostringstream letters;
  CHECK_THROWS_WITH(finder.plot(letters), contains("call range_test() first"));
  finder.range_test(class_batches(3, 20, 4, 3), RangeTestOptions().end_lr(100));
  finder.plot(letters, lrfinder::PlotOptions().text_size(60, 20));
  CHECK(letters.str().size() > 500);
  const auto path = std::filesystem::temp_directory_path() / "lr_finder_test.svg";
  finder.plot(path);
  std::ifstream file(path);
  std::string start(5, ' ');
  file.read(start.data(), 5);
  CHECK(start == "<?xml");
  std::filesystem::remove(path);
}

TEST_CASE("wrong use is reported before anything is touched") {
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  const auto batches = class_batches(3, 5, 4, 3);
  const std::vector<TensorBatch> none;
  auto loader = shuffling_loader();
  const Everything before(*model, optimizer);

  CHECK_THROWS_AS(finder.range_test(batches, RangeTestOptions().num_iter(1)),
                  lrfinder::InvalidOption);
  CHECK_THROWS_AS(finder.range_test(none), lrfinder::EmptyLoader);
  CHECK_THROWS_WITH(finder.range_test(none), contains("the training loader yields no batch"));
  CHECK_THROWS_WITH(finder.range_test(batches, none),
                    contains("the validation loader yields no batch"));
  CHECK_THROWS_WITH(finder.range_test(*loader, *loader), contains("one and the same"));
  {
    const c10::InferenceMode inference;
    CHECK_THROWS_WITH(finder.range_test(batches), contains("InferenceMode"));
  }
  CHECK(before.differences(Everything(*model, optimizer)).empty());

  CHECK_THROWS_WITH(LRFinder(torch::nn::Linear(nullptr), optimizer, torch::nn::MSELoss()),
                    contains("the model is empty"));
  CHECK_THROWS_WITH(LRFinder(model, optimizer, torch::nn::MSELoss(nullptr)),
                    contains("the criterion is empty"));
  std::shared_ptr<torch::nn::Module> missing;
  CHECK_THROWS_WITH(finder.also_restore(missing), contains("also_restore: a module is empty"));
}

TEST_CASE("a step that cannot be taken is explained, and everything is restored") {
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  const auto batches = class_batches(3, 5, 4, 3);
  const Everything before(*model, optimizer);
  using torch::Tensor;
  const auto message = [&](auto criterion, const auto& loader) -> std::string {
    LRFinder finder(model, optimizer, criterion);
    try {
      finder.range_test(loader);
    } catch (const lrfinder::InvalidStep& error) {
      return error.what();
    }
    return "no error";
  };
  CHECK_THAT(message([](const Tensor& output, const Tensor&) { return output.mean(1); }, batches),
             contains("returned a tensor of shape [5]"));
  CHECK_THAT(message([](const Tensor&, const Tensor&) { return Tensor(); }, batches),
             contains("returned an undefined tensor"));
  CHECK_THAT(
      message([](const Tensor& output, const Tensor&) { return output.mean().detach(); }, batches),
      contains("needs no gradient"));
  CHECK_THAT(message(torch::nn::CrossEntropyLoss(), std::vector<TensorBatch>(2)),
             contains("the batch has no input"));

  CHECK(before.differences(Everything(*model, optimizer)).empty());

  auto other = small_classifier();
  torch::optim::SGD of_other(other->parameters(), 1e-3);
  LRFinder finder(model, of_other, torch::nn::CrossEntropyLoss());
  CHECK_THROWS_WITH(finder.range_test(batches), contains("parameters of another model"));
}

TEST_CASE("tensors that only the optimizer knows are restored") {
  auto model = small_classifier();
  auto temperature = torch::ones({1}, torch::requires_grad());
  auto parameters = model->parameters();
  parameters.push_back(temperature);
  torch::optim::SGD optimizer(parameters, 1e-3);
  const Everything before(*model, optimizer, {temperature});
  LRFinder finder(model, optimizer, [&](const torch::Tensor& output, const torch::Tensor& target) {
    return torch::nn::functional::cross_entropy(output / temperature, target);
  });
  finder.range_test(class_batches(3, 5, 4, 3), RangeTestOptions().num_iter(10).restore(false));
  CHECK(temperature.item<float>() != 1);
  finder.reset();
  CHECK(before.differences(Everything(*model, optimizer, {temperature})).empty());
}

TEST_CASE("range_test on a CUDA device records what the CPU records", "[cuda][own devices]") {
  if (!torch::cuda::is_available()) {
    WARN("skipped: no CUDA device");
    return;
  }
  torch::manual_seed(1);
  auto model = torch::nn::Sequential(torch::nn::Linear(4, 8), torch::nn::BatchNorm1d(8),
                                     torch::nn::ReLU(), torch::nn::Linear(8, 3));
  model->to(torch::kDouble);
  torch::optim::Adam optimizer(model->parameters(), 1e-5);
  auto batches = class_batches(5, 10, 4, 3);
  for (auto& batch : batches) batch.data = batch.data.to(torch::kDouble);
  auto pinned = batches;
  for (auto& batch : pinned) batch.data = batch.data.pin_memory();

  LRFinder on_cpu(model, optimizer, torch::nn::CrossEntropyLoss());
  LRFinder on_cuda(model, optimizer, torch::nn::CrossEntropyLoss(), torch::kCUDA);
  const auto options = RangeTestOptions().end_lr(0.1);
  const History expected = on_cpu.range_test(batches, batches, options);
  const Everything before(*model, optimizer);
  for (const auto& loader : {batches, pinned}) {
    const History& history = on_cuda.range_test(loader, loader, options);
    REQUIRE(history.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      CHECK(history.loss[i] == Approx(expected.loss[i]).epsilon(1e-6));
    }
    CHECK(before.differences(Everything(*model, optimizer)).empty());
    CHECK(model->parameters()[0].device().is_cpu());
  }
}
