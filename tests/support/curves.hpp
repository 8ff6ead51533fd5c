#pragma once

#include <algorithm>
#include <cmath>
#include <csv.hpp>
#include <random>
#include <string>
#include <vector>

#include <lrfinder/history/history.hpp>
#include <lrfinder/history/recorder.hpp>

/// A training task of tests/data/curves: its range test, and how well it trains at a rate.
struct CurveTask {
  lrfinder::History history;
  std::string data;
  bool image = false;
  double initial_loss = 0;
  std::vector<double> log_lr, final_loss;  // of training at constant rates

  /// 0 at the best constant rate, 1 where training gains nothing; see tests/data/curves/README.md.
  double regret(double lr) const {
    const double cap = 1.5 * initial_loss;
    const auto loss = [&](std::size_t i) { return std::min(final_loss[i], cap); };
    const double best = std::min(cap, *std::min_element(final_loss.begin(), final_loss.end()));
    const double at = std::clamp(std::log10(lr), log_lr.front(), log_lr.back());
    std::size_t right = 1;
    while (right + 1 < log_lr.size() && log_lr[right] < at) ++right;
    const double share = (at - log_lr[right - 1]) / (log_lr[right] - log_lr[right - 1]);
    const double reached = loss(right - 1) + share * (loss(right) - loss(right - 1));
    return (reached - best) / (initial_loss - best);
  }
};

inline std::vector<CurveTask> curve_tasks() {
  std::vector<CurveTask> tasks;
  for (const auto& row : read_csv("curves/tasks.csv")) {
    tasks.emplace_back();
    tasks.back().data = row[1];
    tasks.back().image = tasks.size() <= 70;
    tasks.back().initial_loss = number(row[7]);
  }
  std::vector<std::vector<double>> lr(tasks.size()), loss(tasks.size());
  for (const auto& row : read_csv("curves/curves.csv")) {
    const auto task = static_cast<std::size_t>(std::stoul(row[0]));
    lr[task].push_back(number(row[1]));
    loss[task].push_back(number(row[2]));
  }
  for (const auto& row : read_csv("curves/outcomes.csv")) {
    auto& task = tasks[static_cast<std::size_t>(std::stoul(row[0]))];
    task.log_lr.push_back(std::log10(number(row[1])));
    task.final_loss.push_back(number(row[2]));
  }
  for (std::size_t i = 0; i < tasks.size(); ++i) tasks[i].history = {lr[i], loss[i]};
  return tasks;
}

/// What range_test would have recorded of a curve that runs on past divergence: smoothed losses,
/// and an end at a divergence threshold of 5 or at a loss that is not finite.
inline lrfinder::History stopped_at_divergence(const lrfinder::History& full) {
  lrfinder::RangeTestSettings settings;
  settings.smooth_f = 0.05;
  settings.diverge_th = 5;
  lrfinder::Recorder recorder(settings);
  for (std::size_t i = 0; i < full.size(); ++i) {
    if (!recorder.record({full.lr[i]}, {full.raw_loss[i], {}, {}})) {
      return recorder.finish(lrfinder::StopReason::non_finite_loss);
    }
    if (recorder.has_diverged()) return recorder.finish(lrfinder::StopReason::diverged);
  }
  return recorder.finish(lrfinder::StopReason::completed);
}

/// A made-up curve: a plateau at 2.3, a descent to 0.5 around lr = 1e-2, divergence from 0.3 on,
/// and normal noise.
struct MadeUpCurve {
  lrfinder::RangeSchedule schedule = lrfinder::RangeSchedule::exponential;
  double start_lr = 1e-7;
  double end_lr = 10;
  int num_iter = 100;
  double noise = 0.02;
  unsigned seed = 1;

  lrfinder::History history() const {
    std::mt19937 random(seed);
    std::vector<double> lr, loss;
    for (int i = 0; i < num_iter; ++i) {
      lr.push_back(lrfinder::scheduled_lr(schedule, start_lr, end_lr, i, num_iter));
      const double decades = std::log10(lr.back() / 1e-2);
      const double fall = 1.8 / (1 + std::exp(-5 * decades));
      loss.push_back(2.3 - fall + std::pow(lr.back() / 0.5, 2) + noise * normal(random));
    }
    return {lr, loss};
  }

 private:
  /// A normal deviate that is the same with every standard library (the sum of 12 uniform ones).
  static double normal(std::mt19937& random) {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += static_cast<double>(random()) / 4294967296.0;
    return sum;
  }
};
