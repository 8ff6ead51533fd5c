#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>

#include "../long_trainings/time_share.hpp"

/// @file
/// Whether an answer is right. Without LibTorch.

/// How many times a finder is asked on each task, each time with other batches.
inline constexpr int times_asked = 4;

/// What was answered when a rate was asked for.
struct Answer {
  std::string name, task;
  int seed = 0;
  std::string plan;
  /// None where the answer was refused.
  std::optional<double> lr;
  std::int64_t updates = 0;
  std::string caveat, refusal;
};

enum class Verdict { good, wrong, wrong_with_caveat, refused };

/// Good is a rate within half a decade of the best one, or with a regret below 0.05.
inline Verdict verdict(const PlanOutcomes& outcomes, const std::optional<double>& lr,
                       bool has_caveat) {
  if (!lr) return Verdict::refused;
  const bool is_near = std::fabs(std::log10(*lr / outcomes.best_rate())) <= 0.5;
  if (is_near || outcomes.regret(*lr) < 0.05) return Verdict::good;
  return has_caveat ? Verdict::wrong_with_caveat : Verdict::wrong;
}

/// The verdicts on several answers.
class Tally {
 public:
  void add(Verdict verdict) { ++counts_.at(static_cast<std::size_t>(verdict)); }
  int count(Verdict verdict) const { return counts_.at(static_cast<std::size_t>(verdict)); }
  int total() const {
    int sum = 0;
    for (const int number : counts_) sum += number;
    return sum;
  }
  double share(Verdict verdict) const {
    return total() > 0 ? static_cast<double>(count(verdict)) / total() : 0;
  }

 private:
  std::array<int, 4> counts_{};
};

/// The outcomes of a plan with the mean losses of two seeds, which have the same rates.
inline PlanOutcomes mean_outcomes(PlanOutcomes outcomes, const LossByRate& other_seed) {
  for (auto& [lr, loss] : outcomes.by_horizon.rbegin()->second) {
    loss = (loss + other_seed.at(lr)) / 2;
  }
  return outcomes;
}

/// The rate of the lowest loss.
inline double lowest_rate(const PlanOutcomes& outcomes) {
  const LossByRate& losses = outcomes.by_horizon.rbegin()->second;
  return std::min_element(losses.begin(), losses.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

/// Whether the outcomes of a plan are noise: no rate trains, or the best rates by the two seeds are
/// more than half a decade apart, and one has a regret above 0.1 by the other seed.
inline bool is_noise(const PlanOutcomes& first, const LossByRate& other_seed) {
  constexpr double most_regret = 0.1;
  const auto mean = mean_outcomes(first, other_seed);
  if (!(mean.loss_at(lowest_rate(mean)) < mean.untrained_loss)) return true;
  PlanOutcomes second = first;
  second.by_horizon.rbegin()->second = other_seed;
  const double lr = lowest_rate(first), other_lr = lowest_rate(second);
  return std::fabs(std::log10(lr / other_lr)) > 0.5 &&
         std::max(first.regret(other_lr), second.regret(lr)) > most_regret;
}
