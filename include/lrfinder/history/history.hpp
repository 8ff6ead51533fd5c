#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/error.hpp>
#include <lrfinder/history/schedule.hpp>

namespace lrfinder {

/// What a range test was asked to do, with every default filled in: the options of the test
/// together with what the optimizer said. A history keeps the settings it was recorded with.
struct RangeTestSettings {
  /// First learning rate of each parameter group.
  std::vector<double> start_lr;
  /// Last learning rate of each parameter group.
  std::vector<double> end_lr;
  /// Number of iterations asked for; a test that stops early records fewer.
  std::int64_t num_iter = 0;
  /// How the rate goes from start to end.
  Schedule schedule = Schedule::exponential;
  /// Weight of the new value in the exponential smoothing of the loss; 0: no smoothing.
  double smooth_f = 0;
  /// Multiple of the best smoothed loss at which the test stops; infinity: never.
  double diverge_th = 0;
  /// Batches whose gradients are added up for one iteration.
  std::int64_t accumulation_steps = 1;
  /// Mean age, in iterations, of the gradients that the optimizer averages into an update of the
  /// first parameter group: 9 with momentum 0.9 or Adam; 0 where it averages none, or where that
  /// is not known.
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
  failed              ///< an exception ended the test; the history holds what came before
};

/// The reason in plain words, as it is printed and saved.
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

/// The curve that a range test recorded: one entry an iteration in every column.
struct History {
  History() = default;

  /// A history from columns that were recorded elsewhere; the losses serve as raw and as smoothed
  /// losses. Losses may be NaN or infinite, learning rates may not.
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
                             std::to_string(lr[i]) + "; it must be finite and not negative");
      }
    }
  }

  /// Saves the history as CSV with everything it holds; to_csv has the format. The file is complete
  /// or, where it cannot be written, what it was before. Defined in `saved_history.hpp`.
  ///
  /// Throws Error when the file cannot be written, InvalidHistory when the columns differ in length
  /// or a learning rate is negative or not finite.
  void save(const std::string& path) const;

  /// The history that a file holds, equal in every number to the one that was saved.
  ///
  /// Throws InvalidHistory with the file, the line and the reason where it holds none.
  static History load(const std::string& path);

  /// Number of iterations recorded.
  std::size_t size() const noexcept { return lr.size(); }
  /// Whether nothing has been recorded.
  bool empty() const noexcept { return lr.empty(); }

  /// Learning rate of the first parameter group.
  std::vector<double> lr;
  /// Smoothed loss, \f$s_i = f l_i + (1-f) s_{i-1}\f$ with \f$f\f$ = `settings.smooth_f`.
  std::vector<double> loss;
  /// Loss as it was measured: of the training batches before the update or, with a validation
  /// loader, the mean over its samples after the update.
  std::vector<double> raw_loss;
  /// Learning rate of every parameter group, `group_lr[group][iteration]`; empty where there is
  /// only one group.
  std::vector<std::vector<double>> group_lr;
  /// Norm of the gradient over all parameters, before clipping; empty where it was not recorded.
  std::vector<double> grad_norm;
  /// Further figures by name, one value an iteration each; NaN where one was not measured.
  std::map<std::string, std::vector<double>> metrics;

  /// Why the test ended.
  StopReason stop_reason = StopReason::completed;
  /// Duration of the iterations in seconds, without saving and giving back.
  double wall_seconds = 0;
  /// What the test was asked to do; default values where the history was not recorded by a test.
  RangeTestSettings settings;
};

}  // namespace lrfinder
