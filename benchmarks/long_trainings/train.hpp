#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>
#include <lrfinder/plan_lr.hpp>

#include "task.hpp"

/// @file
/// Trains a task at the rates of a grid.

/// One trained model.
struct Outcome {
  std::string plan;
  std::int64_t steps;
  double lr;
  int seed;
  /// Losses on the samples held back, and over the last quarter of the training; both infinite
  /// where the training diverged.
  double val_loss;
};

/// The lengths of the trainings of a task.
inline std::vector<std::int64_t> horizons_of(const Task& task) {
  if (task.steps > 3000) return {300, 1000, 3000, 10000, task.steps};
  return {100, 300, 1000, task.steps};
}

inline constexpr int grid_size = 13;

/// The rates of a grid are a third of a decade apart. `i`: from 0 to 12; others lie outside or
/// between.
inline double grid_rate(const Task& task, double i) {
  return task.centre * std::pow(10.0, (i - grid_size / 2) / 3.0);
}

/// Changes the parameters by their gradients and the rates of their groups.
using UpdateRule = std::function<void(torch::optim::Optimizer&)>;

/// Trains tasks, and keeps what it sees.
class Trainer {
 public:
  explicit Trainer(const Task& task) : task_(task), batches_(task.batches(1)) {
    untrained_loss_ = task_.held_back_loss(*task_.make().network);
  }

  double untrained_loss() const noexcept { return untrained_loss_; }
  const std::vector<Outcome>& outcomes() const noexcept { return outcomes_; }

  /// Trains at all rates of the grid, by both plans; beyond the grid where the best rate of the
  /// longest training is at its edge, and at rates between where the next one diverges.
  void train_grid() {
    constexpr int max_extra = 3;
    for (const auto* plan : {"constant", "cosine"}) {
      int low = 0, high = grid_size - 1;
      for (int i = low; i <= high; ++i) train_horizons(plan, i);
      for (int extra = 0; extra < max_extra; ++extra) {
        const double best = best_rate(plan);
        if (best == grid_rate(task_, high)) {
          train_horizons(plan, ++high);
        } else if (best == grid_rate(task_, low)) {
          train_horizons(plan, --low);
        }
      }
      train_below_divergence(plan);
    }
  }

  /// Trains at two rates between the best of the longest training and the next one, if that
  /// diverges: how far up training goes would not be known otherwise.
  void train_below_divergence(const std::string& plan) {
    const double best = best_rate(plan);
    for (int i = 1; i < grid_size; ++i) {
      if (best != grid_rate(task_, i - 1) || !diverges(plan, grid_rate(task_, i))) continue;
      for (const double share : {1 / 3.0, 2 / 3.0}) train_horizons(plan, i - 1 + share);
      return;
    }
  }

  /// Trains over the longest horizon with the batches in another order.
  void train_other_order(int seed) {
    const Batches first = std::exchange(batches_, task_.batches(static_cast<std::uint64_t>(seed)));
    for (const auto* plan : {"constant", "cosine"}) {
      for (int i = 0; i < grid_size; ++i) train(plan, grid_rate(task_, i), {task_.steps}, seed);
    }
    batches_ = first;
  }

  /// A range test, as a user would run it.
  lrfinder::History range_test(std::int64_t num_iter) const {
    const Training training = task_.make();
    lrfinder::LRFinder finder(training.network, *training.optimizer, task_.criterion);
    torch::manual_seed(2);
    return finder.range_test(
        batches_, lrfinder::RangeTestOptions().start_lr(1e-6).end_lr(10).num_iter(num_iter));
  }

  /// Trains by a plan, and judges the model after each of the `steps`; the plan ends at the last.
  /// `rule`: takes the place of the task's optimizer, which still holds the rates.
  void train(
      const std::string& plan_name, double lr, const std::vector<std::int64_t>& steps, int seed = 1,
      const UpdateRule& rule = [](torch::optim::Optimizer& optimizer) { optimizer.step(); }) {
    const Training training = task_.make();
    const auto decay = plan_name == "cosine" ? lrfinder::Decay::cosine : lrfinder::Decay::none;
    lrfinder::PlanLR scheduler(*training.optimizer,
                               lrfinder::TrainingPlan().steps(steps.back()).decay(decay), lr);
    torch::manual_seed(3);
    std::vector<double> losses;
    bool diverged = false;
    for (const std::int64_t end : steps) {
      while (!diverged && static_cast<std::int64_t>(losses.size()) < end) {
        losses.push_back(update(training, batches_[losses.size()], rule));
        scheduler.step();
        // A training may recover from a peak of the loss, but not from one so high.
        diverged = !(losses.back() < 100 * untrained_loss_ + 100);
      }
      double val_loss = std::numeric_limits<double>::infinity();
      if (!diverged) {
        val_loss = task_.held_back_loss(*training.network);
        diverged = !(val_loss <= 5 * untrained_loss_);
        if (diverged) val_loss = std::numeric_limits<double>::infinity();
      }
      outcomes_.push_back({plan_name, end, lr, seed, val_loss});
    }
  }

 private:
  double update(const Training& training, const torch::data::Example<>& batch,
                const UpdateRule& rule) const {
    training.optimizer->zero_grad();
    const auto loss = task_.criterion(training.network->forward(batch.data), batch.target);
    loss.backward();
    rule(*training.optimizer);
    return loss.item<double>();
  }

  void train_horizons(const std::string& plan, double i) {
    const double lr = grid_rate(task_, i);
    const auto horizons = horizons_of(task_);
    if (plan == "constant") return train(plan, lr, horizons);
    for (const std::int64_t steps : horizons) train(plan, lr, {steps});
  }

  /// The best rate of the longest training by a plan.
  double best_rate(const std::string& plan) const {
    double lr = 0, best = std::numeric_limits<double>::infinity();
    for (const Outcome& outcome : outcomes_) {
      if (outcome.plan != plan || outcome.steps != task_.steps || !(outcome.val_loss < best))
        continue;
      best = outcome.val_loss;
      lr = outcome.lr;
    }
    return lr;
  }

  /// Whether the longest training by a plan diverges at a rate.
  bool diverges(const std::string& plan, double lr) const {
    return std::any_of(outcomes_.begin(), outcomes_.end(), [&](const Outcome& outcome) {
      return outcome.plan == plan && outcome.steps == task_.steps && outcome.lr == lr &&
             std::isinf(outcome.val_loss);
    });
  }

  const Task& task_;
  Batches batches_;
  double untrained_loss_ = 0;
  std::vector<Outcome> outcomes_;
};
