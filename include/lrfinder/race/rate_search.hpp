#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <sstream>
#include <utility>
#include <vector>

#include <lrfinder/error.hpp>
#include <lrfinder/history/recorder.hpp>
#include <lrfinder/history/trial.hpp>
#include <lrfinder/race/trial_level.hpp>
#include <lrfinder/suggest/suggestion.hpp>

namespace lrfinder::detail {

/// What a search for the best rate is asked to do, with every blank filled in.
struct RateSearchSettings {
  /// The rate that the search begins with.
  double around = 0;
  /// No rate above this is tried: where the range test diverged, infinity where it did not.
  double highest_lr = std::numeric_limits<double>::infinity();
  /// Optimizer updates of all trials together, at most but for those of three trials.
  std::int64_t num_iter = 0;
  /// Optimizer updates of the training that the rate is for.
  std::int64_t plan_steps = 0;
  /// The mean rate near the end of the plan, as a share of its peak; see
  /// TrainingPlan::final_share().
  double final_share = 1;
  /// The best rate falls with the length of a training to the power of minus this.
  double length_exponent = 0;
  /// The loss before training ...
  double untrained_loss = 0;
  /// ... and whether it was measured on the batches that give the losses of the trials.
  bool untrained_is_paired = false;
  /// The multiple of it, as for a range test, at which training has diverged.
  double diverge_th = 0;
};

/// The constants of RateSearch. `docs/find.md` says on which trainings they were chosen.
struct RateSearchConstants {
  /// Share of all updates that five short trials take.
  static constexpr double short_share = 0.28;
  static constexpr double short_trials = 5;
  /// Long trials that the updates suffice for after the short ones.
  static constexpr double long_trials = 4;
  /// Distance of neighbouring rates in decades, in the short trials and in the long ones.
  static constexpr double short_spacing = 0.5;
  static constexpr double long_spacing = 0.3;
  /// The loss descends where a trial lowers it by this share.
  static constexpr double min_descent = 0.02;
  /// A descent that is less, but at least by the first of these shares, gets a longer look: a long
  /// trial that lowers the loss by the second shows that the training only begins slowly.
  static constexpr double slight_descent = 0.005;
  static constexpr double later_descent = 0.03;
  /// A lesser descent than this needs a loss before training of the same batches to compare with.
  static constexpr double sure_descent = 0.15;
  /// Without a descent so many lower rates are tried, with twice the spacing.
  static constexpr int max_steps_down = 3;
  /// A loss above that before training by this share of it is harmless at a constant rate, and by
  /// so much more where the rate decays: what high rates break, low ones mend.
  static constexpr double harmless_rise = 0.1;
  static constexpr double harmless_rise_of_decay = 0.2;
  /// What a training gains near its end from a longer time, as a share of what a trial gains. Such
  /// that the worse end of the interval costs 5 % of the time, in the median.
  static constexpr double later_gain = 0.108;
};

/// Finds the best rate for a training by trials that are shorter than it: trials of two lengths,
/// each around the best rate of what came before, and further out while the best is the lowest or
/// highest tried. A parabola through the best of the long trials and its neighbours gives the rate
/// between them; it is carried to the length of the training.
///
/// `run_trials(rates, num_iter)` trains from the start at each of these rates, with the plan
/// compressed to `num_iter` updates, up to its end or the first loss that is not finite, and
/// returns a Trial for each.
template <class RunTrials>
class RateSearch {
  using Constants = RateSearchConstants;
  using Updates = std::int64_t;

 public:
  /// Both live as long as this.
  RateSearch(const RateSearchSettings& settings, RunTrials& run_trials)
      : settings_(settings),
        run_trials_(run_trials),
        left_(settings.num_iter),
        untrained_loss_(settings.untrained_loss) {}

  /// Runs the trials. The suggestion has no recipe and no index yet.
  ///
  /// Throws NoSuggestion where every rate that was tried harms, or none changes anything.
  Suggestion operator()() {
    const TrialLevel brief = short_trials();
    const double share = static_cast<double>(left_) / Constants::long_trials;
    TrialLevel extended{length(share), Constants::long_spacing};
    const double log_lr =
        std::min(brief.best_log_lr() - shift(brief.num_iter, extended.num_iter), highest_log_lr());
    if (!descends(brief) && !descends_later(brief, log_lr, extended)) return without_descent(brief);
    run_around(extended, log_lr);
    extend(extended, max_trials(extended, static_cast<double>(left_)));
    return suggestion(brief, extended);
  }

 private:
  TrialLevel short_trials() {
    const double share = Constants::short_share * static_cast<double>(settings_.num_iter);
    TrialLevel level{length(share / Constants::short_trials), Constants::short_spacing};
    run_around(level, std::min(std::log10(settings_.around), highest_log_lr()));
    if (!settings_.untrained_is_paired && descent(level) < Constants::sure_descent) {
      untrained_loss_ = loss_of_no_change(level);
    }
    // Past a divergence the loss may be level: the descent lies below.
    for (int i = 0; i < Constants::max_steps_down && !descends(level); ++i) {
      run_trial(level, level.lowest_log_lr() - 2 * level.spacing);
    }
    extend(level, max_trials(level, share));
    return level;
  }

  // The loss without a change of the model, on the batches that give the losses of a level.
  double loss_of_no_change(const TrialLevel& level) {
    constexpr double changes_nothing = 1e-4;
    TrialLevel still{level.num_iter};
    run_trial(still, level.lowest_log_lr() + std::log10(changes_nothing));
    return still.best_loss();
  }

  // A training may begin slowly: whether a long trial shows what the short ones hardly did. What is
  // left must suffice for an answer without a descent.
  bool descends_later(const TrialLevel& brief, double log_lr, TrialLevel& extended) {
    if (descent(brief) < Constants::slight_descent || left_ < settings_.num_iter / 2) return false;
    run_trial(extended, log_lr);
    const double before =
        settings_.untrained_is_paired ? untrained_loss_ : loss_of_no_change(extended);
    return before - extended.best_loss() > Constants::later_descent * std::fabs(before);
  }

  // The number of updates of a trial.
  Updates length(double num_iter) const {
    return std::clamp<Updates>(static_cast<Updates>(num_iter), 1, settings_.plan_steps);
  }

  // How many trials a level may have, with so many updates for more of them.
  static std::size_t max_trials(const TrialLevel& level, double updates) {
    return level.losses.size() +
           static_cast<std::size_t>(std::max(0.0, updates / static_cast<double>(level.num_iter)));
  }

  double highest_log_lr() const { return std::log10(settings_.highest_lr); }
  bool is_allowed(double log_lr) const { return log_lr <= highest_log_lr(); }

  void run_around(TrialLevel& level, double log_lr) {
    std::vector<double> around;
    for (const double step : {0.0, level.spacing, -level.spacing}) {
      const bool is_new = level.losses.count(log_lr + step) == 0;
      if (is_new && is_allowed(log_lr + step)) around.push_back(log_lr + step);
    }
    run_trials(level, around);
  }

  // Goes further out while the best is the lowest or highest tried.
  void extend(TrialLevel& level, std::size_t max_trials) {
    while (level.losses.size() < max_trials) {
      const double below = level.lowest_log_lr() - level.spacing;
      const double above = level.highest_log_lr() + level.spacing;
      if (level.best_tried() == level.lowest_log_lr() && descends(level)) {
        run_trial(level, below);
      } else if (level.best_tried() == level.highest_log_lr() && is_allowed(above)) {
        run_trial(level, above);
      } else {
        break;
      }
    }
  }

  void run_trial(TrialLevel& level, double log_lr) { run_trials(level, {log_lr}); }

  void run_trials(TrialLevel& level, const std::vector<double>& log_rates) {
    std::vector<double> rates;
    for (const double log_lr : log_rates) rates.push_back(std::pow(10, log_lr));
    std::vector<Trial> trials = run_trials_(rates, level.num_iter);
    for (std::size_t i = 0; i < trials.size(); ++i) {
      Trial& trial = trials[i];
      Divergence diverged(settings_.diverge_th);
      diverged(settings_.untrained_loss);
      trial.diverged = !std::isfinite(trial.loss) || diverged(trial.loss);
      left_ -= trial.num_iter;
      level.losses[log_rates[i]] =
          trial.diverged ? std::numeric_limits<double>::infinity() : trial.loss;
      trials_.push_back(std::move(trial));
    }
  }

  // How far the best trial lowers the loss, as a share of that before training.
  double descent(const TrialLevel& level) const {
    return (untrained_loss_ - level.best_loss()) / std::fabs(untrained_loss_);
  }

  bool descends(const TrialLevel& level) const { return descent(level) > Constants::min_descent; }

  // How many decades the best rate falls from one length to another.
  double shift(Updates from, Updates to) const {
    return settings_.length_exponent *
           std::log10(static_cast<double>(to) / static_cast<double>(from));
  }

  Suggestion suggestion(const TrialLevel& brief, const TrialLevel& extended) {
    const double log_lr = extended.best_log_lr() - shift(extended.num_iter, settings_.plan_steps);
    Suggestion result = with_trials(log_lr, half_of_interval(brief, extended));
    result.loss = extended.best_loss();
    const bool lowest = extended.best_tried() == extended.lowest_log_lr();
    const bool highest = extended.best_tried() == extended.highest_log_lr() &&
                         is_allowed(extended.highest_log_lr() + extended.spacing);
    if (lowest || highest) {
      result.caveat = std::string("the best rate is the ") + (lowest ? "lowest" : "highest") +
                      " of those tried: raise the budget";
    }
    return result;
  }

  // How many decades to both sides cost no more than 5 % of the time: as far as the loss on the
  // parabola rises by what 5 % more updates lower it.
  static double half_of_interval(const TrialLevel& brief, const TrialLevel& extended) {
    constexpr double min_width = 0.03, max_width = 0.18, usual_width = 0.048;
    const double decades =
        std::log10(static_cast<double>(extended.num_iter) / static_cast<double>(brief.num_iter));
    const double gain = Constants::later_gain * std::log10(1.05) *
                        (brief.best_loss() - extended.best_loss()) / decades;
    const double curvature = extended.curvature();
    if (!(curvature > 0) || !(gain > 0)) return usual_width;
    return std::clamp(std::sqrt(gain / curvature), min_width, max_width);
  }

  // The model may know the data already: then a short training only does harm, the more the higher
  // its rate, and a long one still does good. The answer is the highest rate that does little.
  Suggestion without_descent(TrialLevel level) {
    const double rise =
        Constants::harmless_rise + Constants::harmless_rise_of_decay * (1 - settings_.final_share);
    const double enough = untrained_loss_ + rise * std::fabs(untrained_loss_);
    const auto harmful = [&] {
      return std::find_if(level.losses.begin(), level.losses.end(),
                          [&](const auto& tried) { return !(tried.second <= enough); });
    };
    const auto may_go_on = [&] { return left_ >= level.num_iter; };
    while (may_go_on() && harmful() == level.losses.begin()) {
      run_trial(level, level.lowest_log_lr() - 2 * level.spacing);
    }
    while (may_go_on() && harmful() == level.losses.end() &&
           is_allowed(level.highest_log_lr() + level.spacing)) {
      run_trial(level, level.highest_log_lr() + level.spacing);
    }
    const auto above = harmful();
    if (above == level.losses.begin() || above == level.losses.end()) throw_no_suggestion(level);
    const auto below = std::prev(above);
    const double share = std::isfinite(above->second)
                             ? (enough - below->second) / (above->second - below->second)
                             : 0;
    Suggestion result =
        with_trials(below->first + share * (above->first - below->first), level.spacing);
    result.loss = below->second;
    result.caveat =
        "no rate lowered the loss in the trials: the model may know the data already, and this is "
        "the highest rate that did little harm; raise the budget";
    return result;
  }

  [[noreturn]] void throw_no_suggestion(const TrialLevel& level) const {
    std::ostringstream message;
    message << "LRFinder: none of the rates from " << std::pow(10, level.lowest_log_lr()) << " to "
            << std::pow(10, level.highest_log_lr()) << " lowers the loss from the "
            << untrained_loss_ << " before training in " << level.num_iter
            << " updates; look at the data and the criterion, and whether the optimizer has the "
               "parameters of this model, or raise the budget";
    throw NoSuggestion(message.str());
  }

  Suggestion with_trials(double log_lr, double half_of_interval) {
    Suggestion result;
    result.lr = std::pow(10, log_lr);
    result.low = std::pow(10, log_lr - half_of_interval);
    result.high = std::pow(10, log_lr + half_of_interval);
    result.updates = settings_.num_iter - left_;
    result.trials = std::move(trials_);
    return result;
  }

  const RateSearchSettings& settings_;
  RunTrials& run_trials_;
  Updates left_;
  double untrained_loss_;
  std::vector<Trial> trials_;
};

}  // namespace lrfinder::detail
