#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <lrfinder/history/history.hpp>

namespace lrfinder {

/// Whether a smoothed loss `s` has diverged, so that a range test stops. The rule is
/// `s > best + (d-1) max(|best|, spread)` with `d` = `diverge_th`. For positive losses
/// and a small spread this is `s > d * best`, the rule of pytorch-lr-finder. That rule
/// would stop at once if losses are negative, or if the best one is that of a lucky batch.
///
/// `best_loss`: the smallest smoothed loss so far, or a loss before training. `diverge_th`: at
/// least 1. If it is 0, no loss diverges. `spread`: the standard deviation of the losses of the
/// batches before training; 0 if it is not known.
inline bool has_diverged(double loss, double best_loss, double diverge_th, double spread = 0) {
  return diverge_th > 0 &&
         loss > best_loss + (diverge_th - 1) * std::max(std::fabs(best_loss), spread);
}

/// Judges the losses of a range test one after the other: which one has diverged. If the untrained
/// losses are known, the paired losses are judged, so a batch with a small loss does no harm.
class DivergenceRule {
 public:
  /// `settings`: `smooth_f` and `diverge_th` count.
  explicit DivergenceRule(const RangeTestSettings& settings)
      : diverge_th_(settings.diverge_th),
        new_weight_(settings.smooth_f > 0 ? settings.smooth_f : 1) {}

  /// Adds the losses of the next iteration. `untrained`: 0 if it is not known. Returns whether the
  /// smoothed loss has diverged.
  bool add(double raw_loss, double untrained) {
    ++count_;
    const double from_mean = untrained - mean_;
    mean_ += from_mean / count_;
    squares_ += from_mean * (untrained - mean_);
    const double change = raw_loss - untrained;
    smoothed_ = count_ == 1 ? change : new_weight_ * change + (1 - new_weight_) * smoothed_;
    best_ = std::fmin(best_, smoothed_);
    return has_diverged(mean_ + smoothed_, mean_ + best_, diverge_th_,
                        std::sqrt(squares_ / count_));
  }

 private:
  double diverge_th_;
  double new_weight_;  // of a new loss in the smoothed loss
  double count_ = 0;
  double mean_ = 0, squares_ = 0;  // of the untrained losses; squares of the distances to the mean
  double smoothed_ = 0;            // change of the loss
  double best_ = std::numeric_limits<double>::infinity();
};

/// Records the history of a range test, iteration by iteration. Smooths each loss, and compares it
/// with the divergence threshold.
///
/// The smoothed loss is `s[0] = l[0]`, `s[i] = f l[i] + (1-f) s[i-1]` with `f` = `smooth_f`,
/// as in pytorch-lr-finder. On a steady descent, the smoothed loss lags by `(1-f)/f`
/// iterations. With the default of 0.05 these are 19 iterations.
class Recorder {
 public:
  /// `settings`: those of the test, checked. `is_paired`: whether untrained losses are recorded.
  explicit Recorder(RangeTestSettings settings, bool is_paired = true)
      : divergence_(settings), is_paired_(is_paired) {
    if (settings.smooth_f > 0) new_weight_ = settings.smooth_f;
    if (settings.start_lr.size() > 1) history_.group_lr.resize(settings.start_lr.size());
    current_.num_iter = settings.num_iter;
    current_.best_loss = std::numeric_limits<double>::infinity();
    history_.settings = std::move(settings);
  }

  /// Records one iteration. `group_lr`: the learning rate of each parameter group. If the loss or
  /// the untrained loss is not finite, records nothing and returns false.
  ///
  /// After an exception (std::bad_alloc) the history holds the iterations before this one.
  bool record(const std::vector<double>& group_lr, Measurement measured) {
    if (!is_paired_) measured.untrained_loss.reset();
    if (!std::isfinite(measured.raw_loss) || !std::isfinite(measured.untrained_loss.value_or(0))) {
      untrained_loss_at_end_ = measured.untrained_loss;
      return false;
    }
    const bool goes_on_paired =
        history_.empty() ? agrees_before_training(measured) : measured.untrained_loss.has_value();
    if (is_paired_ && !goes_on_paired) end_pairing(measured);
    current_.index = static_cast<std::int64_t>(history_.size());
    current_.lr = detail::first_rate(group_lr);
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
    has_diverged_ = divergence_.add(current_.raw_loss, current_.untrained_loss.value_or(0));
    return true;
  }

  /// Whether the last recorded loss has passed the divergence threshold.
  bool has_diverged() const noexcept { return has_diverged_; }

  /// Whether the untrained losses are recorded. No longer after an iteration without one, or after
  /// a first iteration in which it differs from the raw loss by more than 1 %, though nothing has
  /// been trained: the model then keeps a state that one more forward pass changes.
  bool is_paired() const noexcept { return is_paired_; }

  /// Number of recorded iterations.
  std::size_t size() const noexcept { return history_.size(); }

  /// The untrained loss of the iteration that was not recorded; none if it was not measured.
  std::optional<double> untrained_loss_at_end() const noexcept { return untrained_loss_at_end_; }

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
  static bool agrees_before_training(const Measurement& first) {
    constexpr double tolerance = 0.01;  // kernels of a GPU need not repeat their last digits
    if (!first.untrained_loss) return false;
    return std::fabs(first.raw_loss - *first.untrained_loss) <=
           tolerance * std::fmax(std::fabs(first.raw_loss), std::fabs(*first.untrained_loss));
  }

  // Goes on as if no untrained loss had been measured.
  void end_pairing(Measurement& measured) {
    is_paired_ = false;
    measured.untrained_loss.reset();
    history_.untrained_loss.clear();
    divergence_ = DivergenceRule(history_.settings);
    for (const double loss : history_.raw_loss) divergence_.add(loss, 0);
  }

  /// Calls `visit` with each column and its value in the current iteration.
  template <class Visit>
  void each_column(Visit visit) {
    visit(history_.lr, current_.lr);
    visit(history_.loss, current_.loss);
    visit(history_.raw_loss, current_.raw_loss);
    for (std::size_t group = 0; group < history_.group_lr.size(); ++group) {
      visit(history_.group_lr[group], current_.group_lr[group]);
    }
    if (current_.untrained_loss) visit(history_.untrained_loss, *current_.untrained_loss);
    if (current_.grad_norm) visit(history_.grad_norm, *current_.grad_norm);
    for (const auto& [name, value] : current_.metrics) visit(history_.metrics[name], value);
  }

  History history_;
  Iteration current_;
  DivergenceRule divergence_;
  bool is_paired_;
  bool has_diverged_ = false;
  std::optional<double> untrained_loss_at_end_;
  double new_weight_ = 1;  // weight of a new loss in the smoothed loss
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace lrfinder
