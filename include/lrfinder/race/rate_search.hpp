#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/error.hpp>
#include <lrfinder/history/recorder.hpp>
#include <lrfinder/suggest/suggestion.hpp>
#include <lrfinder/suggest/trial.hpp>

namespace lrfinder::detail {

/// What a search for the best rate is asked to do, with every blank filled in.
struct RateSearchSettings {
  /// The rate that the search begins with.
  double around = 0;
  /// No rate above this is tried: where the range test diverged, infinity where it did not.
  double highest_lr = std::numeric_limits<double>::infinity();
  /// Optimizer updates of all trials together, at most.
  std::int64_t num_iter = 0;
  /// Optimizer updates of the training that the rate is for.
  std::int64_t plan_steps = 0;
  /// The mean rate near the end of the plan, as a share of its peak; see
  /// TrainingPlan::final_share().
  double final_share = 1;
  /// The best rate falls with the length of a training to the power of minus this.
  double length_exponent = 0;
  /// The loss before training.
  double untrained_loss = 0;
  /// The multiple of it, as for a range test, at which training has diverged.
  double diverge_th = 0;
};

/// The constants of RateSearch. `docs/race.md` says what they were chosen on, and over which range
/// they can be moved.
struct RateSearchConstants {
  /// Share of all updates that the short trials may take, five of them at first.
  static constexpr double short_share = 0.28;
  static constexpr double short_trials = 5;
  /// Long trials that the updates suffice for after the short ones.
  static constexpr double long_trials = 4;
  /// Distance of neighbouring rates in decades, in the short trials and in the long ones.
  static constexpr double short_spacing = 0.5;
  static constexpr double long_spacing = 0.3;
  /// A descent of more than this share of the untrained loss is one. A smaller one is compared with
  /// a trial at a rate that changes nothing ...
  static constexpr double clear_descent = 0.03;
  /// ... and has to be of this share.
  static constexpr double min_descent = 0.02;
  /// What a training gains near its end from a longer time, as a share of what a trial gains.
  static constexpr double later_gain = 0.3;
  /// Without a clear descent so many lower rates are tried, with twice the spacing.
  static constexpr int max_steps_down = 3;
  /// A loss above the untrained one by this share of it still counts as harmless at a constant
  /// rate, and by so much more where the rate decays: what high rates break, low ones mend.
  static constexpr double harmless_rise = 0.1;
  static constexpr double harmless_rise_of_decay = 0.2;
};

/// Finds the best rate for a training by trials that are shorter than it: trials of two lengths,
/// each around the best rate of what came before, and further out while the best is the lowest or
/// highest tried. A parabola through the best of the long trials and its neighbours, over log lr,
/// gives the rate between them; it is carried to the length of the training.
///
/// `run_trial(lr, num_iter)` trains from the start, with the plan compressed to `num_iter` updates,
/// up to its end or the first loss that is not finite, and returns a Trial.
template <class RunTrial>
class RateSearch {
  using Constants = RateSearchConstants;

 public:
  /// Both live as long as this.
  RateSearch(const RateSearchSettings& settings, RunTrial& run_trial)
      : settings_(settings), run_trial_(run_trial), left_(settings.num_iter) {}

  /// Runs the trials. The suggestion has no recipe and no index yet.
  ///
  /// Throws NoSuggestion where no rate that was tried keeps the loss from rising.
  Suggestion operator()() {
    const double budget = static_cast<double>(settings_.num_iter);
    const Level brief = run_level(std::log10(settings_.around), Constants::short_spacing,
                                  budget * Constants::short_share / Constants::short_trials,
                                  budget * 2 * Constants::short_share);
    if (const auto untrained = loss_without_descent(brief)) {
      return without_descent(brief, *untrained);
    }
    const double long_iter = static_cast<double>(left_) / Constants::long_trials;
    const Level extended =
        run_level(brief.best_log_lr() - shift(brief.num_iter, length(long_iter)),
                  Constants::long_spacing, long_iter, static_cast<double>(left_));
    return suggestion(brief, extended);
  }

 private:
  using Updates = std::int64_t;

  // Trials of one length, by log lr; a loss is infinite where the trial diverged.
  struct Level {
    Updates num_iter = 0;
    double spacing = 0;  // of neighbouring rates, in decades
    std::map<double, double> losses{};

    using Tried = std::map<double, double>::const_iterator;
    // Where all diverge, the lowest.
    Tried best() const {
      return std::min_element(losses.begin(), losses.end(),
                              [](const auto& a, const auto& b) { return a.second < b.second; });
    }
    double best_loss() const { return best()->second; }
    // Whether there are finite losses on both sides of the best.
    bool is_bracketed() const {
      const Tried at = best();
      return at != losses.begin() && std::next(at) != losses.end() &&
             std::isfinite(std::next(at)->second);
    }
    // The lowest point of a parabola through the best and its neighbours, at most half of the way
    // to them.
    double best_log_lr() const {
      const Tried at = best();
      if (!is_bracketed()) return at->first;
      const auto [a, rise_a] = from_best(std::prev(at));
      const auto [b, rise_b] = from_best(std::next(at));
      const double slope = 2 * (rise_a * b - rise_b * a);
      if (slope == 0) return at->first;
      return at->first + std::clamp((rise_a * b * b - rise_b * a * a) / slope, a / 2, b / 2);
    }
    // Half of the second derivative of that parabola; 0 where there is none.
    double curvature() const {
      if (!is_bracketed()) return 0;
      const auto [a, rise_a] = from_best(std::prev(best()));
      const auto [b, rise_b] = from_best(std::next(best()));
      return (rise_a / a - rise_b / b) / (a - b);
    }

   private:
    std::pair<double, double> from_best(Tried other) const {
      return {other->first - best()->first, other->second - best()->second};
    }
  };

  // The number of updates of a trial.
  Updates length(double num_iter) const {
    return std::clamp<Updates>(static_cast<Updates>(num_iter), 1, settings_.plan_steps);
  }

  // Trials around a rate, and further out while the best is at an end and they take no more than
  // `max_updates`.
  Level run_level(double log_lr, double spacing, double num_iter, double max_updates) {
    Level level{length(num_iter), spacing};
    const double highest = std::log10(settings_.highest_lr);
    const auto max_trials =
        static_cast<std::size_t>(std::max(3.0, max_updates / static_cast<double>(level.num_iter)));
    log_lr = std::min(log_lr, highest);
    for (const double step : {0.0, spacing, -spacing}) {
      if (log_lr + step <= highest) run_trial(level, log_lr + step);
    }
    // Past a divergence the loss may be level: the descent lies below.
    for (int i = 0;
         i < Constants::max_steps_down && level.losses.size() < max_trials && !is_clear(level);
         ++i) {
      run_trial(level, level.losses.begin()->first - 2 * spacing);
    }
    while (level.losses.size() < max_trials) {
      const double lowest_tried = level.losses.begin()->first;
      const double highest_tried = level.losses.rbegin()->first;
      if (level.best()->first == lowest_tried && is_clear(level)) {
        run_trial(level, lowest_tried - spacing);
      } else if (level.best()->first == highest_tried && highest_tried + spacing <= highest) {
        run_trial(level, highest_tried + spacing);
      } else {
        break;
      }
    }
    return level;
  }

  void run_trial(Level& level, double log_lr) {
    Trial trial = run_trial_(std::pow(10, log_lr), level.num_iter);
    Divergence diverged(settings_.diverge_th);
    diverged(settings_.untrained_loss);
    trial.diverged = !std::isfinite(trial.loss) || diverged(trial.loss);
    left_ -= trial.num_iter;
    level.losses[log_lr] = trial.diverged ? std::numeric_limits<double>::infinity() : trial.loss;
    trials_.push_back(std::move(trial));
  }

  // How many decades the best rate falls from one length to another.
  double shift(Updates from, Updates to) const {
    return settings_.length_exponent *
           std::log10(static_cast<double>(to) / static_cast<double>(from));
  }

  Suggestion suggestion(const Level& brief, const Level& extended) {
    Suggestion result = with_trials();
    const double log_lr = extended.best_log_lr() - shift(extended.num_iter, settings_.plan_steps);
    result.lr = std::pow(10, log_lr);
    result.loss = extended.best_loss();
    const double half_width = half_of_interval(brief, extended);
    result.low = std::pow(10, log_lr - half_width);
    result.high = std::pow(10, log_lr + half_width);
    const double best = extended.best()->first;
    const bool lowest = best == extended.losses.begin()->first;
    const bool highest = best == extended.losses.rbegin()->first &&
                         best + extended.spacing <= std::log10(settings_.highest_lr);
    if (lowest || highest) {
      result.caveat = std::string("the best rate is the ") + (lowest ? "lowest" : "highest") +
                      " of those tried: raise the budget";
    }
    return result;
  }

  // How many decades to both sides cost no more than 5 % of the time: as far as the loss on the
  // parabola rises by what 5 % more updates lower it, from the short trials to the long ones.
  static double half_of_interval(const Level& brief, const Level& extended) {
    constexpr double min_width = 0.05, max_width = 0.3, usual_width = 0.12;
    const double curvature = extended.curvature();
    const double decades =
        std::log10(static_cast<double>(extended.num_iter) / static_cast<double>(brief.num_iter));
    const double gain = (brief.best_loss() - extended.best_loss()) / decades * std::log10(1.05) *
                        Constants::later_gain;
    if (!(curvature > 0) || !(gain > 0)) return usual_width;
    return std::clamp(std::sqrt(gain / curvature), min_width, max_width);
  }

  // The loss that no trial lowers; none where one does.
  std::optional<double> loss_without_descent(const Level& level) {
    if (is_clear(level)) return std::nullopt;
    constexpr double changes_nothing = 1e-4;
    Level still{level.num_iter};
    run_trial(still, level.losses.begin()->first + std::log10(changes_nothing));
    const double untrained = still.best_loss();
    if (descent(level, untrained) > Constants::min_descent) return std::nullopt;
    return untrained;
  }

  bool is_clear(const Level& level) const {
    return descent(level, settings_.untrained_loss) > Constants::clear_descent;
  }

  // How far the best trial lowers the loss, as a share of the untrained one.
  static double descent(const Level& level, double untrained) {
    return (untrained - level.best_loss()) / std::fabs(untrained);
  }

  // The model may know the data already: then a short training only does harm, the more the higher
  // its rate, and a long one still does good. The answer is the highest rate that does hardly any.
  Suggestion without_descent(Level level, double untrained) {
    const double rise =
        Constants::harmless_rise + Constants::harmless_rise_of_decay * (1 - settings_.final_share);
    const double enough = untrained + rise * std::fabs(untrained);
    const double highest = std::log10(settings_.highest_lr);
    const auto harmful = [&] {
      return std::find_if(level.losses.begin(), level.losses.end(),
                          [&](const auto& tried) { return !(tried.second <= enough); });
    };
    while (left_ > settings_.num_iter / 4 && harmful() == level.losses.begin()) {
      run_trial(level, level.losses.begin()->first - 2 * level.spacing);
    }
    while (left_ > settings_.num_iter / 4 && harmful() == level.losses.end() &&
           level.losses.rbegin()->first + level.spacing <= highest) {
      run_trial(level, level.losses.rbegin()->first + level.spacing);
    }
    const auto above = harmful();
    if (above == level.losses.begin() || above == level.losses.end()) {
      std::ostringstream message;
      message << "LRFinder: none of the rates from " << std::pow(10, level.losses.begin()->first)
              << " to " << std::pow(10, level.losses.rbegin()->first)
              << " lowers the loss from the " << untrained << " before training in "
              << level.num_iter
              << " updates; look at the data, the criterion, and whether the optimizer has the "
                 "parameters of this model, or raise the budget";
      throw NoSuggestion(message.str());
    }
    const auto below = std::prev(above);
    const double share = std::isfinite(above->second)
                             ? (enough - below->second) / (above->second - below->second)
                             : 0;
    const double log_lr = below->first + share * (above->first - below->first);
    Suggestion result = with_trials();
    result.lr = std::pow(10, log_lr);
    result.loss = below->second;
    result.low = std::pow(10, log_lr - level.spacing);
    result.high = std::pow(10, log_lr + level.spacing);
    result.caveat =
        "no rate lowered the loss in the trials: the model may know the data already, and this is "
        "the highest rate that did hardly any harm; raise the budget";
    return result;
  }

  Suggestion with_trials() {
    Suggestion result;
    result.updates = settings_.num_iter - left_;
    result.trials = std::move(trials_);
    return result;
  }

  const RateSearchSettings& settings_;
  RunTrial& run_trial_;
  Updates left_;
  std::vector<Trial> trials_;
};

}  // namespace lrfinder::detail
