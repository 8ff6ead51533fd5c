#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <sstream>
#include <vector>

#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/race/options.hpp>
#include <lrfinder/suggest/numeric.hpp>
#include <lrfinder/suggest/steepest.hpp>

namespace lrfinder::detail {

/// What a race is asked to do, with every blank filled in.
struct RaceSettings {
  /// The first candidates, ascending.
  std::vector<double> candidates;
  /// Ratio of neighbouring candidates, greater than 1.
  double factor = 0;
  /// No rate above this is tried: where the range test diverged, infinity where it did not.
  double highest_lr = std::numeric_limits<double>::infinity();
  /// Optimizer updates of all trials together.
  std::int64_t num_iter = 0;
  /// How often the worse half drops out.
  std::int64_t rungs = 0;
  /// Share of the best one's gain that a lower rate may lack and win.
  double tolerance = 0;
  /// The loss before training.
  double untrained_loss = 0;
  /// The multiple of it, as for a range test, at which training has diverged.
  double diverge_th = 0;
};

/// The loss before training, as a range test saw it: the median raw loss in the first half of the
/// way to the lowest.
inline double untrained_loss(const History& history) {
  const auto begin = history.raw_loss.begin();
  const auto lowest = std::min_element(begin, history.raw_loss.end());
  return quantile({begin, begin + (lowest - begin) / 2 + 1}, 0.5);
}

/// The rate to race around where none is given: the suggestion or, where the curve carries none, a
/// decade below its end.
inline double rate_to_race_around(const History& history) {
  try {
    return suggest::steepest(history).lr;
  } catch (const NoSuggestion&) {
    return history.lr.back() / 10;
  }
}

/// Throws InvalidOption for the first option of a race that makes no sense by itself.
inline void check_race(const RaceOptions& options) {
  const auto require = [](bool sensible, const char* name, double given, const char* allowed) {
    if (sensible) return;
    std::ostringstream message;
    message << "RaceOptions: " << name << " (" << given << ") must be " << allowed;
    throw InvalidOption(message.str());
  };
  const auto positive = [&](const char* name, double given) {
    require(given > 0 && std::isfinite(given), name, given, "positive and finite");
  };
  const auto not_negative = [&](const char* name, double given) {
    require(given >= 0 && std::isfinite(given), name, given, "finite and not negative");
  };
  positive("budget", options.budget());
  positive("spacing", options.spacing());
  not_negative("decades_down", options.decades_down());
  not_negative("decades_up", options.decades_up());
  require(options.rungs() >= 1, "rungs", static_cast<double>(options.rungs()), "at least 1");
  require(options.tolerance() >= 0 && options.tolerance() < 1, "tolerance", options.tolerance(),
          "at least 0 and less than 1");
  if (options.around()) positive("around", *options.around());
}

/// The share of the updates left that goes to the next rung, with that one and others to come.
///
/// Each rung takes four times as many updates as the one before (3 to 6 do): the first only has to
/// find the decade, and what the last decides on should be as long as can be.
inline double share_of_next(std::int64_t rungs_left) {
  return 3 / (std::pow(4.0, static_cast<double>(rungs_left)) - 1);
}

/// Resolves the options of a race, together with the history that it stands on.
///
/// Throws InvalidOption for the first thing that makes no sense.
inline RaceSettings resolve_race(const RaceOptions& options, const History& history) {
  check_race(options);
  RaceSettings settings;
  settings.factor = std::pow(10, options.spacing());
  settings.rungs = options.rungs();
  settings.tolerance = options.tolerance();
  settings.untrained_loss = untrained_loss(history);
  settings.diverge_th = history.settings.diverge_th;
  const double updates = options.budget() * static_cast<double>(history.size());
  settings.num_iter = static_cast<std::int64_t>(std::min(updates, 1e15));
  if (history.stop_reason == StopReason::diverged ||
      history.stop_reason == StopReason::non_finite_loss) {
    settings.highest_lr = history.lr.back();
  }

  const double around = options.around() ? *options.around() : rate_to_race_around(history);
  // A little more than the quotient, which may have been rounded down.
  const double down = std::floor(options.decades_down() / options.spacing() * (1 + 1e-9));
  const double up = std::floor(options.decades_up() / options.spacing() * (1 + 1e-9));
  const double shortest_trial =
      share_of_next(settings.rungs) * static_cast<double>(settings.num_iter) / (down + up + 2);
  if (!(shortest_trial >= 2)) {
    std::ostringstream message;
    message << "RaceOptions: budget (" << options.budget() << ") gives " << settings.num_iter
            << " updates, too few for " << down + up + 1 << " candidates and " << settings.rungs
            << " rungs of at least 2 updates a trial; raise it, or run a longer range test";
    throw InvalidOption(message.str());
  }
  for (double step = -down; step <= up; ++step) {
    const double lr = around * std::pow(settings.factor, step);
    if (lr <= settings.highest_lr) settings.candidates.push_back(lr);
  }
  if (settings.candidates.empty()) {
    std::ostringstream message;
    message << "RaceOptions: all candidates around " << around << " lie past "
            << settings.highest_lr << ", where the range test diverged; lower around()";
    throw InvalidOption(message.str());
  }
  return settings;
}

}  // namespace lrfinder::detail
