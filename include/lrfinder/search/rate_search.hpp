#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/recorder.hpp>
#include <lrfinder/history/suggestion.hpp>
#include <lrfinder/search/search_constants.hpp>
#include <lrfinder/search/trial_level.hpp>

namespace lrfinder::detail {

/// Finds the best rate for a training by trials that are shorter than the training.
///
/// Short trials begin around the rate that the range test shows, long ones around the best rate of
/// the short ones. As long as no trial on a side is clearly worse than the best one, the next trial
/// goes further out on that side. A parabola through the best long trial and its neighbours gives
/// the rate between them. That rate is then converted to the length of the training.
///
/// `run_trials(rates, updates, likely_next)` trains from the start at each of these rates, and
/// returns a Trial for each. A trial follows the plan compressed to `updates` updates. It ends
/// early at a loss that is not finite. A trial at rate 0 measures the loss without training, on the
/// batches that give the losses of the other trials. `likely_next`: rates that the search may ask
/// for next, for idle processes.
template <class RunTrials>
class RateSearch {
  using Constants = SearchConstants;
  using Updates = std::int64_t;

 public:
  /// Both arguments must outlive the search.
  RateSearch(const SearchSettings& settings, RunTrials& run_trials)
      : settings_(settings), run_trials_(run_trials), left_(settings.updates) {}

  /// Runs the trials. Recipe and index of the suggestion are left to the caller.
  ///
  /// Throws NoSuggestion if every rate that was tried harms, or if none changes anything.
  Suggestion run() {
    TrialLevel short_level = short_trials();
    const double share = static_cast<double>(left_) / Constants::long_trials;
    TrialLevel long_level{length(share), Constants::long_spacing};
    const auto at_long_level = [&](double log_lr) {
      return std::min(log_lr - shift(short_level.updates, long_level.updates), highest_log_lr());
    };
    double begin = at_long_level(short_level.best_log_lr());
    measure_untrained(long_level);
    if (!short_level.descends()) {
      const double harmless = at_long_level(short_level.highest_harmless());
      run_trial(long_level, harmless);
      if (!(long_level.descent() > Constants::later_descent)) return without_descent(short_level);
      if (short_level.descent() < Constants::slight_descent) begin = harmless;
    }
    run_around(long_level, begin);
    require_progress(short_level, long_level);
    step_down(long_level, [&] { return !std::isfinite(long_level.best_loss()); });
    if (!std::isfinite(long_level.best_loss())) throw_no_suggestion(long_level);
    extend(long_level, static_cast<double>(left_));
    return suggestion(short_level, long_level);
  }

 private:
  TrialLevel short_trials() {
    const double share = Constants::short_share * static_cast<double>(settings_.updates);
    TrialLevel level{length(share / Constants::short_trials), Constants::short_spacing};
    const double log_lr = std::min(std::log10(settings_.around), highest_log_lr());
    measure_untrained(level);
    run_around(level, log_lr);
    // Rates above a divergence may all give the same loss. The descent is then at lower rates.
    step_down(level, [&] { return !level.descends(); });
    extend(level, std::min(share, static_cast<double>(left_)));
    return level;
  }

  // Measures the loss without training on the batches of a level.
  void measure_untrained(TrialLevel& level) {
    level.untrained_loss = run_trials_({0}, level.updates, {}).front().loss;
    if (!std::isfinite(level.untrained_loss)) {
      throw NoSuggestion(concat("LRFinder: the loss is ", level.untrained_loss,
                                " before any update; look at the validation data, the criterion "
                                "and the weights of the model"));
    }
  }

  // Rounds the number of updates of a trial, and limits it to the steps of the plan.
  Updates length(double updates) const {
    return std::clamp<Updates>(static_cast<Updates>(updates), 1, settings_.plan_steps);
  }

  double highest_log_lr() const { return std::log10(settings_.highest_lr); }
  bool is_allowed(double log_lr) const { return log_lr <= highest_log_lr(); }

  void run_around(TrialLevel& level, double log_lr) {
    std::vector<double> around;
    for (const double step : {0.0, level.spacing, -level.spacing}) {
      const double rate = log_lr + step;
      if (level.trials.count(rate) == 0 && is_allowed(rate)) around.push_back(rate);
    }
    run_trials(level, around);
  }

  bool has_updates_for(const TrialLevel& level) const { return left_ >= level.updates; }

  // Tries a few much lower rates as long as a condition holds.
  template <class Condition>
  void step_down(TrialLevel& level, Condition&& holds) {
    for (int i = 0; i < Constants::max_steps_down && holds() && has_updates_for(level); ++i) {
      run_trial(level, level.lowest_log_lr() - 2 * level.spacing);
    }
  }

  bool is_open_above(const TrialLevel& level) const {
    return level.is_open_above() && is_allowed(level.highest_log_lr() + level.spacing);
  }

  // Goes further out on the sides that are open, for at most `updates`.
  void extend(TrialLevel& level, double updates) {
    const double more = std::max(0.0, updates / static_cast<double>(level.updates));
    const std::size_t most = level.trials.size() + static_cast<std::size_t>(more);
    while (level.trials.size() < std::min(most, Constants::max_trials)) {
      if (level.is_open_below() && level.below_best() < Constants::max_ties) {
        run_trial(level, level.lowest_log_lr() - level.spacing);
      } else if (is_open_above(level) && level.above_best() < Constants::max_ties) {
        run_trial(level, level.highest_log_lr() + level.spacing);
      } else {
        break;
      }
    }
  }

  void run_trial(TrialLevel& level, double log_lr) { run_trials(level, {log_lr}); }

  void run_trials(TrialLevel& level, const std::vector<double>& log_rates) {
    std::vector<double> rates;
    for (const double log_lr : log_rates) rates.push_back(std::pow(10, log_lr));
    std::vector<Trial> trials = run_trials_(rates, level.updates, likely_next(level, log_rates));
    for (std::size_t i = 0; i < trials.size(); ++i) {
      Trial& trial = trials[i];
      trial.diverged = !std::isfinite(trial.loss) ||
                       has_diverged(trial.loss, level.untrained_loss, settings_.diverge_th);
      left_ -= trial.updates;
      trials_.push_back(trial);
      if (trial.diverged) trial.loss = std::numeric_limits<double>::infinity();
      level.trials[log_rates[i]] = std::move(trial);
    }
  }

  // Returns the rates that extend() may ask for next: further out on the side of `log_rates`.
  std::vector<double> likely_next(const TrialLevel& level,
                                  const std::vector<double>& log_rates) const {
    constexpr int steps = 2;
    std::vector<double> rates;
    if (log_rates.empty()) return rates;
    const auto [lowest, highest] = std::minmax_element(log_rates.begin(), log_rates.end());
    const bool is_first = level.trials.empty();
    double below = *lowest, above = *highest;
    const bool goes_down = is_first || below < level.lowest_log_lr();
    const bool goes_up = is_first || above > level.highest_log_lr();
    for (int i = 0; i < steps; ++i) {
      below -= level.spacing;
      above += level.spacing;
      if (goes_up && is_allowed(above)) rates.push_back(std::pow(10, above));
      if (goes_down) rates.push_back(std::pow(10, below));
    }
    return rates;
  }

  // By how many decades the best rate falls between two lengths.
  double shift(Updates from, Updates to) const {
    return settings_.length_exponent *
           std::log10(static_cast<double>(to) / static_cast<double>(from));
  }

  Suggestion suggestion(TrialLevel& short_level, const TrialLevel& long_level) {
    const double log_lr =
        long_level.best_log_lr() - shift(long_level.updates, settings_.plan_steps);
    if (log_lr < std::min(short_level.lowest_log_lr(), long_level.lowest_log_lr())) {
      run_trial(short_level, log_lr);  // no answer without a trial at or below it
    }
    Suggestion result = with_trials(log_lr, long_level.half_of_interval(short_level));
    result.loss = long_level.best_loss();
    const bool is_low = long_level.is_open_below();
    if (is_low || is_open_above(long_level)) {
      const char* side = is_low ? "lower" : "higher";
      result.caveat = concat("the best rate may be ", side, ", as no ", side,
                             " one that was tried is clearly worse: raise the budget");
    } else if (const Trial* const trial = unsteady_near(long_level, log_lr)) {
      result.caveat =
          concat("a trial at ", trial->lr, trial->diverged ? " diverged" : " was unsteady",
                 ", so a longer training may diverge at this rate, too: clip the "
                 "gradients, or train at a lower rate");
    } else if (!(long_level.descent() > Constants::sure_descent)) {
      result.caveat =
          "the trials hardly lowered the loss, so another rate may be the best: raise the budget";
    }
    return result;
  }

  // The trial at the lowest rate near this one that was unsteady or diverged, if the training is
  // longer than such a trial.
  const Trial* unsteady_near(const TrialLevel& level, double log_lr) const {
    if (settings_.plan_steps < 2 * level.updates) return nullptr;
    const auto end = level.trials.upper_bound(log_lr + Constants::near_rate);
    const auto found = std::find_if(
        level.trials.lower_bound(log_lr - level.spacing / 2), end,
        [](const auto& tried) { return tried.second.diverged || tried.second.unsteady; });
    return found == end ? nullptr : &found->second;
  }

  // The model may know the data already. Then a short training only does harm, and more harm at a
  // higher rate. A long one still does good. The answer is the highest rate that does little harm.
  Suggestion without_descent(TrialLevel level) {
    const double longer =
        static_cast<double>(settings_.plan_steps) / static_cast<double>(level.updates);
    const double rise = (Constants::harmless_rise +
                         Constants::harmless_rise_of_decay * (1 - settings_.mean_late_factor)) *
                        std::clamp(1 + std::log10(longer / Constants::repairs_after), 0.0, 1.0);
    const double enough = level.untrained_loss + rise * std::fabs(level.untrained_loss);
    const auto harmful = [&] {
      return std::find_if(level.trials.begin(), level.trials.end(),
                          [&](const auto& tried) { return !(tried.second.loss <= enough); });
    };
    const auto may_go_on = [&] {
      return has_updates_for(level) && level.trials.size() < Constants::max_trials;
    };
    while (may_go_on() && harmful() == level.trials.begin()) {
      run_trial(level, level.lowest_log_lr() - 2 * level.spacing);
    }
    while (may_go_on() && harmful() == level.trials.end() &&
           is_allowed(level.highest_log_lr() + level.spacing)) {
      run_trial(level, level.highest_log_lr() + level.spacing);
    }
    const auto above = harmful();
    const auto changes = [&](const auto& tried) {
      constexpr double hardly = 1e-3;
      return std::fabs(tried.second.loss - level.untrained_loss) >
             hardly * std::fabs(level.untrained_loss);
    };
    const bool nothing_changes = std::none_of(level.trials.begin(), level.trials.end(), changes);
    if (above == level.trials.begin() || nothing_changes) throw_no_suggestion(level);
    const auto below = std::prev(above);
    double log_lr = below->first;
    if (above != level.trials.end() && std::isfinite(above->second.loss)) {
      const double share =
          (enough - below->second.loss) / (above->second.loss - below->second.loss);
      log_lr += share * (above->first - below->first);
    }
    Suggestion result = with_trials(log_lr, level.spacing);
    result.loss = below->second.loss;
    result.caveat =
        "no rate lowered the loss in the trials, so this training may not help: the model may know "
        "the data already, or need more updates to learn anything. This is the highest rate that "
        "did little harm; raise the budget";
    return result;
  }

  // A training loss that measures progress falls with the length of a trial. The surrogate loss of
  // a policy gradient starts near 0, falls below, and returns to 0 as the policy gets better.
  void require_progress(const TrialLevel& short_level, const TrialLevel& long_level) const {
    constexpr double undone = 0.55;
    const double best = short_level.best_tried();
    const double early = short_level.untrained_loss - short_level.best_loss();
    const bool falls_below_0 = std::fabs(short_level.untrained_loss) < early / 2;
    if (settings_.validates || !falls_below_0) return;
    const double at_best = long_level.loss_between(best);
    const double late = long_level.untrained_loss - at_best;
    if (!(late < undone * early) || !std::isfinite(late)) return;
    throw NoSuggestion(
        concat("LRFinder: the loss does not measure the progress of the training. It starts at ",
               short_level.untrained_loss, ". At lr ", std::pow(10, best), " it is ",
               short_level.best_loss(), " after ", short_level.updates, " updates, but ", at_best,
               " after ", long_level.updates,
               ". The surrogate loss of a policy gradient does so. Pass a validation loader, or a "
               "criterion, whose loss measures progress, for example the negative return"));
  }

  [[noreturn]] void throw_no_suggestion(const TrialLevel& level) const {
    throw NoSuggestion(
        concat("LRFinder: none of the rates from ", std::pow(10, level.lowest_log_lr()), " to ",
               std::pow(10, level.highest_log_lr()), " lowers the loss from the ",
               level.untrained_loss, " before training in ", level.updates,
               " updates; look at the data and the criterion, and whether the optimizer has the "
               "parameters of this model, or raise the budget"));
  }

  // Makes a suggestion. Its interval goes at most half of the way to a rate that diverged.
  Suggestion with_trials(double log_lr, double half_of_interval) {
    double low = log_lr - half_of_interval;
    double high = std::min(log_lr + half_of_interval, std::max(log_lr, highest_log_lr()));
    for (const Trial& trial : trials_) {
      if (!trial.diverged) continue;
      const double half_way = (log_lr + std::log10(trial.lr)) / 2;
      if (half_way > log_lr) high = std::min(high, half_way);
      if (half_way < log_lr) low = std::max(low, half_way);
    }
    Suggestion result;
    result.lr = std::pow(10, log_lr);
    result.low = std::pow(10, low);
    result.high = std::pow(10, high);
    result.updates = settings_.updates - left_;
    result.trials = std::move(trials_);
    return result;
  }

  const SearchSettings& settings_;
  RunTrials& run_trials_;
  Updates left_;
  std::vector<Trial> trials_;
};

}  // namespace lrfinder::detail
