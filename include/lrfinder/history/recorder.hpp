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
#include <lrfinder/history/iteration.hpp>
#include <lrfinder/history/smoothing.hpp>

namespace lrfinder {

/// The divergence threshold of a range test.
///
/// With \f$d\f$ = `diverge_th`, a smoothed loss \f$s\f$ has diverged when
/// \f$s > best + (d-1)\,|best|\f$, where best is the smallest smoothed loss so far. For positive
/// losses that is \f$s > d \cdot best\f$, the rule of pytorch-lr-finder. The absolute value makes
/// the threshold lie above negative losses too, where that rule would stop at once.
class Divergence {
 public:
  /// `diverge_th`: at least 1; with infinity no loss diverges.
  explicit Divergence(double diverge_th) : margin_(diverge_th - 1) {}

  /// Takes the next smoothed loss. Returns whether it has diverged.
  bool operator()(double smoothed_loss) {
    best_ = std::fmin(best_, smoothed_loss);
    return std::isfinite(margin_) && smoothed_loss > best_ + margin_ * std::fabs(best_);
  }

  /// The smallest smoothed loss so far; infinity before the first.
  double best() const noexcept { return best_; }

 private:
  double margin_;
  double best_ = std::numeric_limits<double>::infinity();
};

/// Records the history of a range test, iteration by iteration: smooths the loss and compares it
/// with the divergence threshold.
class Recorder {
 public:
  /// `settings`: those of the test; `smooth_f` in [0, 1), `diverge_th` at least 1.
  ///
  /// Throws InvalidOption when `smooth_f` is out of range.
  explicit Recorder(RangeTestSettings settings)
      : smooth_(settings.smooth_f), divergence_(settings.diverge_th) {
    if (settings.start_lr.size() > 1) history_.group_lr.resize(settings.start_lr.size());
    current_.num_iter = settings.num_iter;
    history_.settings = std::move(settings);
  }

  /// Records one iteration. `group_lr`: the learning rate of each parameter group. Returns false,
  /// and records nothing, where the loss is not finite.
  ///
  /// After an exception (std::bad_alloc) the history holds the iterations before this one.
  bool record(const std::vector<double>& group_lr, Measurement measured) {
    if (!std::isfinite(measured.loss)) return false;
    current_.index = static_cast<std::int64_t>(history_.size());
    current_.lr = group_lr.front();
    current_.group_lr = group_lr;
    current_.raw_loss = measured.loss;
    current_.loss = smooth_(measured.loss);
    has_diverged_ = divergence_(current_.loss);
    current_.best_loss = divergence_.best();
    current_.grad_norm = measured.grad_norm;
    current_.metrics = std::move(measured.metrics);
    try {
      append_current();
    } catch (...) {
      remove_rows_from(static_cast<std::size_t>(current_.index));
      throw;
    }
    return true;
  }

  /// Whether the last recorded loss has passed the divergence threshold.
  bool has_diverged() const noexcept { return has_diverged_; }

  /// The last recorded iteration.
  const Iteration& current() const noexcept { return current_; }

  /// The history so far, with the time since the recorder was made. Nothing can be recorded
  /// afterwards.
  History finish(StopReason reason) {
    history_.stop_reason = reason;
    history_.wall_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    return std::move(history_);
  }

 private:
  void append_current() {
    history_.lr.push_back(current_.lr);
    history_.loss.push_back(current_.loss);
    history_.raw_loss.push_back(current_.raw_loss);
    for (std::size_t group = 0; group < history_.group_lr.size(); ++group) {
      history_.group_lr[group].push_back(current_.group_lr[group]);
    }
    if (current_.grad_norm) history_.grad_norm.push_back(*current_.grad_norm);
    for (const auto& [name, value] : current_.metrics) history_.metrics[name].push_back(value);
  }

  /// Makes all columns equally long again, after only some of them have got a new row.
  void remove_rows_from(std::size_t row) {
    const auto shorten = [row](std::vector<double>& column) {
      column.resize(std::min(column.size(), row));
    };
    for (auto* column : {&history_.lr, &history_.loss, &history_.raw_loss, &history_.grad_norm}) {
      shorten(*column);
    }
    for (auto& column : history_.group_lr) shorten(column);
    for (auto& metric : history_.metrics) shorten(metric.second);
  }

  History history_;
  Iteration current_;
  ExponentialSmoothing smooth_;
  Divergence divergence_;
  bool has_diverged_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace lrfinder
