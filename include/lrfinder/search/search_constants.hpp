#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace lrfinder::detail {

/// The settings of a search for the best rate.
struct SearchSettings {
  /// The rate that the search begins with.
  double around = 0;
  /// The rate at which the range test diverged, else infinity. No higher rate is tried.
  double highest_lr = std::numeric_limits<double>::infinity();
  /// Optimizer updates of all trials together. The search may exceed them by three trials.
  std::int64_t updates = 0;
  /// Optimizer updates of the training that the rate is for.
  std::int64_t plan_steps = 0;
  /// TrainingPlan::mean_late_factor() of the plan.
  double mean_late_factor = 1;
  /// best_lr ~ length^-length_exponent.
  double length_exponent = 0;
  /// The multiple of the untrained loss above which a trial has diverged, as in a range test. 0: no
  /// loss diverges.
  double diverge_th = 0;
  /// Whether the losses are those of a validation loader.
  bool validates = false;
};

/// The constants of RateSearch. `docs/find_measured.md` lists the trainings on which they were
/// chosen.
struct SearchConstants {
  /// Share of all updates for the short trials, and the number of trials that this share allows.
  static constexpr double short_share = 0.28;
  static constexpr double short_trials = 5;
  /// The number of long trials that the other updates allow.
  static constexpr double long_trials = 4;
  /// Distance of neighbouring rates in decades, in the short trials and in the long ones.
  static constexpr double short_spacing = 0.5;
  static constexpr double long_spacing = 0.3;
  /// A trial that lowers the loss by this share shows a descent.
  static constexpr double min_descent = 0.02;
  /// If no short trial shows a descent, the training may begin slowly. One long trial, at the
  /// highest rate that does no harm, decides by a descent of this share.
  static constexpr double later_descent = 0.03;
  /// Then the best rate of the short trials still says where to look, if they lower the loss by
  /// this share.
  static constexpr double slight_descent = 0.005;
  /// A loss at a rate below the best one is no worse if it is higher by less than this share of the
  /// descent, or by less than the noise.
  static constexpr double tie = 0.01;
  /// So many trials on a side that are no worse show a plateau, and the search goes no further.
  static constexpr std::ptrdiff_t max_ties = 3;
  /// A smaller descent of the long trials gets a caveat.
  static constexpr double sure_descent = 0.05;
  /// A trial that was unsteady or diverged within this distance, in decades, gets a caveat.
  static constexpr double near_rate = 0.3;
  /// If there is no descent, up to this many lower rates are tried, at twice the spacing.
  static constexpr int max_steps_down = 3;
  /// Maximum number of trials of one length. More would reach rates that no training needs.
  static constexpr std::size_t max_trials = 40;
  /// A rise of the loss by this share is harmless at a constant rate. Decaying plans tolerate a
  /// larger rise, because later low rates repair it.
  static constexpr double harmless_rise = 0.1;
  static constexpr double harmless_rise_of_decay = 0.2;
  /// That is so if the training is this many times as long as a trial. A training that is shorter
  /// by a factor of 10 has no time to repair any harm.
  static constexpr double repairs_after = 60;
  /// Late in a training, more updates lower the loss by this share of what they do in the trials.
  /// With this value the worse end of the interval costs 5 % of the time (median).
  static constexpr double later_gain = 0.108;
};

}  // namespace lrfinder::detail
