#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/schedule.hpp>
#include <lrfinder/history/trial.hpp>

namespace lrfinder {

/// The settings of a range test, all resolved: its options, and what they take from the optimizer.
/// A history keeps those that it was recorded with.
struct RangeTestSettings {
  /// Learning rate of each parameter group in the first iteration.
  std::vector<double> start_lr;
  /// Learning rate of each parameter group in the last iteration.
  std::vector<double> end_lr;
  /// Number of iterations; a test that stops early records fewer. 0 where the history was not
  /// recorded by a range test.
  std::int64_t num_iter = 0;
  /// How the rate rises from start to end.
  Schedule schedule = Schedule::exponential;
  /// Weight of the new value in the exponential smoothing of the loss, in [0, 1); 0: no smoothing.
  double smooth_f = 0;
  /// Multiple of the best smoothed loss at which the test stops (see Divergence); infinity: never.
  double diverge_th = 0;
  /// Batches whose gradients are added up for one update.
  std::int64_t accumulation_steps = 1;
  /// Mean age, in iterations, of the gradients that the optimizer averages for an update of the
  /// first parameter group: 9 with momentum 0.9 or Adam's defaults; 0 where it averages none or the
  /// optimizer is not known.
  double gradient_age = 0;
  /// True where the recorded loss is the loss on a validation loader.
  bool validation = false;
};

/// Why a range test ended.
enum class StopReason {
  completed,          ///< all iterations ran
  diverged,           ///< the smoothed loss passed the divergence threshold
  non_finite_loss,    ///< the loss was NaN or infinite; that loss is not in the history
  stopped_by_caller,  ///< the `on_iteration` callback returned false
  failed              ///< an exception ended the test; the history holds the iterations before
};

/// The reason as it is printed and saved, for example "non-finite loss".
inline const char* to_string(StopReason reason) {
  switch (reason) {
    case StopReason::completed:
      return "completed";
    case StopReason::diverged:
      return "diverged";
    case StopReason::non_finite_loss:
      return "non-finite loss";
    case StopReason::stopped_by_caller:
      return "stopped by the caller";
    case StopReason::failed:
      return "failed";
  }
  return "unknown";
}

/// The curve that a range test recorded. All columns that are not empty have one value for each
/// iteration.
struct History {
  History() = default;

  /// A history from columns that were recorded elsewhere. The losses become both the raw and the
  /// smoothed losses; they may be NaN or infinite.
  ///
  /// Throws InvalidHistory when the columns differ in length, or a learning rate is negative or not
  /// finite.
  History(std::vector<double> lr_column, std::vector<double> loss_column)
      : lr(std::move(lr_column)), loss(std::move(loss_column)), raw_loss(loss) {
    if (lr.size() != loss.size()) {
      throw InvalidHistory("History: " + std::to_string(lr.size()) + " learning rates but " +
                           std::to_string(loss.size()) +
                           " losses; give one loss for each learning rate");
    }
    for (std::size_t i = 0; i < lr.size(); ++i) {
      if (!std::isfinite(lr[i]) || lr[i] < 0) {
        throw InvalidHistory("History: learning rate " + std::to_string(i) + " is " +
                             detail::to_text(lr[i]) + "; it must be finite and not negative");
      }
    }
  }

  /// Saves the history with all its columns and settings as CSV; to_csv describes the format. Where
  /// the file cannot be written, it keeps its old contents. Defined in `csv.hpp`.
  ///
  /// Throws Error when the file cannot be written, InvalidHistory when the columns differ in length
  /// or a learning rate is negative or not finite.
  void save(const std::string& path) const;

  /// Loads a saved history, equal in every number to the one that was saved. Defined in `csv.hpp`.
  ///
  /// Throws InvalidHistory with the file, the line and the reason where the file cannot be read.
  static History load(const std::string& path);

  /// Number of iterations recorded.
  std::size_t size() const noexcept { return lr.size(); }
  /// Whether there is no iteration.
  bool empty() const noexcept { return lr.empty(); }

  /// Learning rate of the first parameter group.
  std::vector<double> lr;
  /// Smoothed loss, \f$s_i = f l_i + (1-f) s_{i-1}\f$ with \f$f\f$ = `settings.smooth_f`.
  std::vector<double> loss;
  /// Loss as measured: of the training batches before the update or, with a validation loader, the
  /// mean over its samples after the update.
  std::vector<double> raw_loss;
  /// Learning rate of each parameter group, `group_lr[group][iteration]`; empty where there is only
  /// one group.
  std::vector<std::vector<double>> group_lr;
  /// Norm of the gradient over all parameters, before clipping; empty where it was not recorded.
  std::vector<double> grad_norm;
  /// The metrics by name, one value for each iteration; NaN where a metric was not measured.
  std::map<std::string, std::vector<double>> metrics;

  /// Why the test ended.
  StopReason stop_reason = StopReason::completed;
  /// Duration of the iterations in seconds, without taking and restoring the snapshot.
  double wall_seconds = 0;
  /// What trials have found after the test: LRFinder::find() and a race by a plan set it. It is
  /// saved with the history, but for the metrics of the trials.
  std::optional<FoundRate> found;
  /// The settings of the test; defaults where the history was not recorded by a range test.
  RangeTestSettings settings;
};

namespace detail {

/// Throws InvalidHistory where a column does not have one value for each iteration.
inline void require_column(const History& history, const std::vector<double>& column,
                           const std::string& name) {
  if (column.size() == history.size()) return;
  throw InvalidHistory("History: column " + name + " has " + std::to_string(column.size()) +
                       " values but lr has " + std::to_string(history.size()) +
                       "; give one for each iteration");
}

}  // namespace detail

}  // namespace lrfinder
