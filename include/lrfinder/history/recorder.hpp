#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include <lrfinder/history/history.hpp>

namespace lrfinder {

/// Whether a smoothed loss \f$s\f$ has diverged, so that a range test stops. The rule is
/// \f$s > best + (d-1)\,|best|\f$ with \f$d\f$ = `diverge_th`. For positive losses this is
/// \f$s > d \cdot best\f$, the rule of pytorch-lr-finder. That rule would stop at once if losses
/// are negative.
///
/// `best_loss`: the smallest smoothed loss so far, or a loss before training. `diverge_th`: at
/// least 1. If it is 0, no loss diverges.
inline bool has_diverged(double loss, double best_loss, double diverge_th) {
  return diverge_th > 0 && loss > best_loss + (diverge_th - 1) * std::fabs(best_loss);
}

/// Records the history of a range test, iteration by iteration. Smooths each loss, and compares it
/// with the divergence threshold.
///
/// The smoothed loss is \f$s_0 = l_0,\; s_i = f\,l_i + (1-f)\,s_{i-1}\f$ with \f$f\f$ = `smooth_f`,
/// as in pytorch-lr-finder. On a steady descent, the smoothed loss lags by \f$(1-f)/f\f$
/// iterations. With the default of 0.05 these are 19 iterations.
class Recorder {
 public:
  /// `settings`: those of the test, checked.
  explicit Recorder(RangeTestSettings settings) {
    if (settings.smooth_f > 0) new_weight_ = settings.smooth_f;
    if (settings.start_lr.size() > 1) history_.group_lr.resize(settings.start_lr.size());
    current_.num_iter = settings.num_iter;
    current_.best_loss = std::numeric_limits<double>::infinity();
    history_.settings = std::move(settings);
  }

  /// Records one iteration. `group_lr`: the learning rate of each parameter group. If the loss is
  /// not finite, records nothing and returns false.
  ///
  /// After an exception (std::bad_alloc) the history holds the iterations before this one.
  bool record(const std::vector<double>& group_lr, Measurement measured) {
    if (!std::isfinite(measured.raw_loss)) return false;
    current_.index = static_cast<std::int64_t>(history_.size());
    current_.lr = group_lr.front();
    current_.group_lr = group_lr;
    current_.loss = history_.empty()
                        ? measured.raw_loss
                        : new_weight_ * measured.raw_loss + (1 - new_weight_) * current_.loss;
    current_.best_loss = std::fmin(current_.best_loss, current_.loss);
    static_cast<Measurement&>(current_) = std::move(measured);
    // Gets all memory first. If that fails, the columns still have equal lengths.
    each_column([](std::vector<double>& column, double) {
      if (column.size() == column.capacity())
        column.reserve(std::max<std::size_t>(1, 2 * column.size()));
    });
    each_column([](std::vector<double>& column, double value) { column.push_back(value); });
    return true;
  }

  /// Whether the last recorded loss has passed the divergence threshold.
  bool has_diverged() const noexcept {
    return lrfinder::has_diverged(current_.loss, current_.best_loss, history_.settings.diverge_th);
  }

  /// The last recorded iteration.
  const Iteration& current() const noexcept { return current_; }

  /// Returns the history, with the time since the recorder was made. Nothing can be recorded
  /// afterwards.
  History finish(StopReason reason) {
    history_.stop_reason = reason;
    history_.wall_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    return std::move(history_);
  }

 private:
  /// Calls `visit` with each column and its value in the current iteration.
  template <class Visit>
  void each_column(Visit visit) {
    visit(history_.lr, current_.lr);
    visit(history_.loss, current_.loss);
    visit(history_.raw_loss, current_.raw_loss);
    for (std::size_t group = 0; group < history_.group_lr.size(); ++group) {
      visit(history_.group_lr[group], current_.group_lr[group]);
    }
    if (current_.grad_norm) visit(history_.grad_norm, *current_.grad_norm);
    for (const auto& [name, value] : current_.metrics) visit(history_.metrics[name], value);
  }

  History history_;
  Iteration current_;
  double new_weight_ = 1;  // weight of a new loss in the smoothed loss
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace lrfinder
