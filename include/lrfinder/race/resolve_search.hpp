#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <sstream>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/plan/suggestion.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/race/options.hpp>
#include <lrfinder/race/rate_search.hpp>
#include <lrfinder/race/resolve.hpp>
#include <lrfinder/suggest/descent.hpp>
#include <lrfinder/suggest/numeric.hpp>
#include <lrfinder/suggest/steepest.hpp>
#include <lrfinder/torch/optimizer.hpp>

namespace lrfinder::detail {

/// Throws InvalidOption where the trials of a training cannot follow a plan: where it has no steps,
/// or cycles a momentum that the optimizer does not have. `name`: of the options, for messages.
inline void check_plan(const TrainingPlan& plan, const torch::optim::Optimizer& optimizer,
                       const char* name) {
  if (plan.steps() < 1) {
    throw InvalidOption(std::string(name) + ": the plan has no steps; call steps() on it");
  }
  if (!plan.cycles_momentum()) return;
  for (const auto& group : optimizer.param_groups()) {
    if (!has_momentum(group.options())) {
      throw InvalidOption(
          std::string(name) +
          ": the plan cycles the momentum, which this optimizer does not have; call "
          "keep_momentum() on the plan");
    }
  }
}

/// The plan of a find, with its length. Throws InvalidOption for options that make no sense.
inline TrainingPlan resolve_find(const FindOptions& options,
                                 const torch::optim::Optimizer& optimizer) {
  if (!(options.budget() >= 2) || !std::isfinite(options.budget())) {
    std::ostringstream message;
    message << "FindOptions: budget (" << options.budget()
            << ") must be at least 2 and finite: one range test, and as much for trials";
    throw InvalidOption(message.str());
  }
  if (!options.range_test().restore()) {
    throw InvalidOption(
        "FindOptions: range_test must restore, because trials follow it; leave restore() out");
  }
  constexpr int usual_steps = 30;  // in range tests
  TrainingPlan plan = options.plan();
  if (plan.steps() == 0 && to_string(plan) == to_string(TrainingPlan())) {
    plan.steps(usual_steps * std::max<std::int64_t>(options.range_test().num_iter(), 1));
  }
  check_plan(plan, optimizer, "FindOptions");
  return plan;
}

/// Whether the range of a test was wide enough, and by what its ends are to be multiplied.
struct RangeChange {
  double start = 1;
  double end = 1;

  bool any() const noexcept { return start != 1 || end != 1; }
};

/// Whether nothing happens on a curve: the mean loss of its last quarter is that of the first, but
/// for the spread of single losses.
inline bool is_level(const History& history) {
  const auto& losses = history.raw_loss;
  const auto quarter = static_cast<std::ptrdiff_t>(losses.size() / 4);
  if (quarter < 2) return false;
  const auto mean = [&](auto begin) {
    return std::accumulate(begin, begin + quarter, 0.0) / static_cast<double>(quarter);
  };
  const double first = mean(losses.begin()), last = mean(losses.end() - quarter);
  double variance = 0;
  for (auto loss = losses.begin(); loss != losses.begin() + quarter; ++loss) {
    variance += (*loss - first) * (*loss - first) / static_cast<double>(quarter);
  }
  return std::fabs(last - first) < std::sqrt(variance);
}

/// Whether a descent does not stand out of the noise.
inline bool hides_in_noise(const Descent& descent) {
  return descent.standard_errors(descent.lowest_log_lr()) <= SteepestConstants::min_standard_errors;
}

/// What to change in the range of a test that cuts the descent off. A loss that rises from the
/// first rate on asks for lower ones, a loss that never rises for higher ones.
inline RangeChange change_of_range(const History& history) {
  constexpr double widening = 1e3;
  const bool diverged = history.stop_reason == StopReason::diverged ||
                        history.stop_reason == StopReason::non_finite_loss;
  try {
    const Descent descent(history, "find");
    const bool nothing_happened = hides_in_noise(descent) && !diverged && is_level(history);
    if (rose_again(descent, history.stop_reason) && !nothing_happened) return {};
    return {1, widening};
  } catch (const NoSuggestion&) {  // it never falls
    return diverged ? RangeChange{1 / widening, 1} : RangeChange{1, widening};
  }
}

/// The settings of a search for the best rate for a plan, on top of a range test.
///
/// `around`: where it begins; none where the curve tells. `num_iter`: updates of all trials.
inline RateSearchSettings resolve_search(const TrainingPlan& plan, const History& history,
                                         std::optional<double> around, std::int64_t num_iter) {
  RateSearchSettings settings;
  settings.num_iter = num_iter;
  settings.plan_steps = plan.steps();
  settings.final_share = plan.final_share();
  settings.length_exponent = length_exponent(plan);
  settings.untrained_loss = untrained_loss(history);
  settings.diverge_th = history.settings.diverge_th;
  if (history.stop_reason == StopReason::diverged ||
      history.stop_reason == StopReason::non_finite_loss) {
    settings.highest_lr = history.lr.back();
  }
  if (around) {
    settings.around = *around;
    return settings;
  }
  // Where the descent hides in the noise, its place says nothing.
  settings.around = history.lr.back() / 10;
  try {
    const Descent descent(history, "find");
    if (!hides_in_noise(descent)) {
      settings.around = std::pow(10, descent.lowest_log_lr());
    }
  } catch (const NoSuggestion&) {  // it never falls
  }
  return settings;
}

}  // namespace lrfinder::detail
