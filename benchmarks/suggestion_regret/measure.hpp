#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#include "regret.hpp"
#include "report.hpp"
#include "tasks.hpp"

/// How much is measured.
struct Extent {
  /// Constant rates from 1e-5 to 10.
  int rates = 25;
  /// How often a rate that counts is tried, with other batches; see outcomes_of().
  int trainings = 4;
  /// Iterations of a range test from 1e-7 to 10.
  std::int64_t num_iter = 100;
  /// Most steps of a training.
  std::int64_t most_steps = std::numeric_limits<std::int64_t>::max();
};

/// A task about to be trained: everything is the same for the same task.
class Training {
 public:
  Training(const Task& task, std::uint64_t seed) : task_(task), batches_(task) {
    torch::manual_seed(seed);
    network_ = task.make_network();
    optimizer_ = task.make_optimizer(network_->parameters());
  }

  /// Trains at a constant rate. Returns the loss on the data held back; infinite where the training
  /// loss was not finite.
  double at(double lr, std::int64_t steps) {
    lrfinder::detail::set_rates(*optimizer_, {lr});
    for (std::int64_t step = 0; step < steps;) {
      for (const auto& batch : batches_) {
        optimizer_->zero_grad();
        const auto loss = task_.criterion(network_->forward(batch.data), batch.target);
        if (!std::isfinite(loss.item<double>())) return std::numeric_limits<double>::infinity();
        loss.backward();
        optimizer_->step();
        if (++step == steps) break;
      }
    }
    return held_back_loss();
  }

  double held_back_loss() {
    const torch::NoGradGuard without_gradients;
    network_->eval();
    const auto output = network_->forward(task_.data->held_input);
    network_->train();
    return task_.criterion(output, task_.data->held_target).item<double>();
  }

  lrfinder::LRFinder<std::shared_ptr<Network>, torch::optim::Optimizer, Criterion> finder() {
    return {network_, *optimizer_, task_.criterion};
  }

  const Batches& batches() const { return batches_; }

 private:
  const Task& task_;
  Batches batches_;
  std::shared_ptr<Network> network_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
};

/// Trains at every rate, and at those that come within 0.3 of the best regret several times more,
/// with other batches; the losses are means.
///
/// The best rate is thus the best of means. The best of single losses would be the luckiest one,
/// and no suggestion could reach it.
inline Outcomes outcomes_of(const Task& task, std::uint64_t seed, const Extent& extent) {
  const auto train = [&](double lr, int repeat) {
    Training training(task, seed);
    torch::manual_seed(1'000'000 + seed + static_cast<std::uint64_t>(repeat) * 1000);
    return training.at(lr, std::min(task.steps, extent.most_steps));
  };
  Outcomes outcomes;
  outcomes.initial_loss = Training(task, seed).held_back_loss();
  for (int i = 0; i < extent.rates; ++i) {
    outcomes.lr.push_back(std::pow(10, -5 + 6.0 * i / (extent.rates - 1)));
    outcomes.final_loss.push_back(train(outcomes.lr.back(), 0));
  }
  const Outcomes first = outcomes;
  for (std::size_t i = 0; i < outcomes.lr.size(); ++i) {
    if (!(first.regret(outcomes.lr[i]) < 0.3)) continue;
    for (int repeat = 1; repeat < extent.trainings; ++repeat) {
      const double loss = std::min(train(outcomes.lr[i], repeat), 1.5 * outcomes.initial_loss);
      outcomes.final_loss[i] += (loss - outcomes.final_loss[i]) / (repeat + 1);
    }
  }
  return outcomes;
}

/// Range tests with other batches each.
inline std::vector<lrfinder::History> repeated_tests(const Task& task, std::uint64_t seed,
                                                     int count, std::int64_t num_iter) {
  std::vector<lrfinder::History> histories;
  Training training(task, seed);
  auto finder = training.finder();
  for (int repeat = 0; repeat < count; ++repeat) {
    torch::manual_seed(2'000'000 + seed + static_cast<std::uint64_t>(repeat) * 1000);
    histories.push_back(finder.range_test(
        training.batches(), lrfinder::RangeTestOptions().start_lr(1e-7).num_iter(num_iter)));
  }
  return histories;
}

/// All that is found out about one task.
inline std::vector<Row> measure(const Task& task, std::size_t number, const Extent& extent) {
  std::vector<Row> rows;
  const auto seed = static_cast<std::uint64_t>(number);
  const Outcomes outcomes = outcomes_of(task, seed, extent);
  rows.push_back({number, "task",
                  task.data_name + ' ' + task.model_name + ' ' + task.optimizer_name, 0,
                  outcomes.initial_loss});

  Training training(task, seed);
  auto finder = training.finder();
  finder.range_test(training.batches(),
                    lrfinder::RangeTestOptions().start_lr(1e-7).num_iter(extent.num_iter));
  add_recipes(rows, number, finder.history(), outcomes);

  const auto add_repeated = [&](int count, std::int64_t num_iter) {
    const std::string name =
        (count == 1 ? "steepest (one test of "
                    : "steepest (median of " + std::to_string(count) + " tests of ") +
        std::to_string(num_iter) + ')';
    add_suggestion(rows, number, name, outcomes, [&] {
      return lrfinder::suggest::repeated(repeated_tests(task, seed, count, num_iter));
    });
  };
  add_repeated(3, extent.num_iter / 3);
  add_repeated(1, extent.num_iter * 3);
  add_repeated(3, extent.num_iter);
  add_repeated(5, extent.num_iter * 3 / 5);
  return rows;
}
