#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>

#include <torch/torch.h>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/find_options.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/plan/for_plan.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/search/rate_search.hpp>
#include <lrfinder/suggest/descent.hpp>
#include <lrfinder/suggest/steepest.hpp>
#include <lrfinder/torch/optimizer.hpp>

namespace lrfinder::detail {

/// Number of iterations of a search's range test, or of the history that it starts from.
inline std::int64_t iterations_of_test(const FindOptions& options) {
  if (!options.history()) return options.range_test().num_iter();
  const History& history = *options.history();
  return history.settings.num_iter > 0 ? history.settings.num_iter
                                       : static_cast<std::int64_t>(history.size());
}

/// Returns the plan of a search. A plan without any setting gets the default length.
///
/// Throws InvalidOption for wrong options, and for a plan that trials cannot follow.
inline TrainingPlan plan_of(const FindOptions& options, const torch::optim::Optimizer& optimizer) {
  options.check();
  constexpr int usual_steps = 30;  // as a multiple of the range test
  TrainingPlan plan = options.plan();
  if (plan == TrainingPlan()) plan.steps(usual_steps * iterations_of_test(options));
  require_option(plan.steps() > 0, "FindOptions: the plan has no steps; call steps() on it");
  if (plan.cycles_momentum()) require_momentum(optimizer, "FindOptions");
  return plan;
}

/// Number of optimizer updates that a search for a plan may make.
inline std::int64_t updates_of(const FindOptions& options, const TrainingPlan& plan) {
  constexpr double usual_budget = 10, usual_share = 0.05;
  const auto of_test = static_cast<double>(iterations_of_test(options));
  const double usual =
      std::max(usual_budget * of_test, usual_share * static_cast<double>(plan.steps()));
  const double updates = options.budget() ? *options.budget() * of_test : usual;
  return static_cast<std::int64_t>(std::min(updates, 1e15));
}

/// Whether nothing happens on a curve: the mean losses of its first and last quarter differ by less
/// than the standard deviation of the losses in the first quarter.
inline bool is_level(const History& history) {
  const auto losses = history.paired_loss();
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

/// Whether a descent is too small to be told from the noise.
inline bool hides_in_noise(const Descent& descent) {
  return descent.standard_errors(descent.lowest_log_lr()) <= min_standard_errors;
}

/// Returns a wider range for another test if this test cut the descent off. The new range starts
/// lower if the loss rises from the first rate on. It ends higher if the loss does not rise in the
/// end. Returns none if the range was wide enough.
inline std::optional<RangeTestSettings> wider_range(RangeTestSettings range,
                                                    const History& history) {
  constexpr double widening = 1e3;
  bool lower = false;
  try {
    const Descent descent(history, "find");
    const bool nothing_happened =
        hides_in_noise(descent) && !diverged(history) && is_level(history);
    if (rose_again(descent, history) && !nothing_happened) return std::nullopt;
  } catch (const NoSuggestion&) {  // the loss never falls
    lower = diverged(history);
  }
  for (std::size_t group = 0; group < range.start_lr.size(); ++group) {
    if (range.start_lr[group] == range.end_lr[group]) continue;  // keeps its rate
    if (lower) range.start_lr[group] /= widening;
    if (!lower) range.end_lr[group] *= widening;
  }
  return range;
}

/// The settings of a search for the best rate of a plan, after a range test. `updates`: the updates
/// of all trials together.
inline SearchSettings search_settings(const TrainingPlan& plan, const History& history,
                                      std::int64_t updates) {
  SearchSettings settings;
  settings.updates = updates;
  settings.plan_steps = plan.steps();
  settings.mean_late_factor = plan.mean_late_factor();
  settings.length_exponent = length_exponent(plan);
  const bool was_tested = history.settings.num_iter > 0;
  settings.diverge_th = was_tested ? history.settings.diverge_th : RangeTestOptions().diverge_th();
  if (diverged(history)) settings.highest_lr = history.lr.back();
  // If the descent is lost in the noise, its place says nothing.
  settings.around = history.lr.back() / 10;
  try {
    const Descent descent(history, "find");
    if (!hides_in_noise(descent)) settings.around = std::pow(10, descent.lowest_log_lr());
  } catch (const NoSuggestion&) {  // the loss never falls
  }
  return settings;
}

}  // namespace lrfinder::detail
