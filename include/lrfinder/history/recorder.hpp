#pragma once

#include <chrono>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include <lrfinder/history/history.hpp>
#include <lrfinder/history/iteration.hpp>
#include <lrfinder/history/smoothing.hpp>

namespace lrfinder {

/// Says when a loss has left for good.
///
/// With \f$d\f$ = `diverge_th`, a smoothed loss \f$s\f$ has diverged when
/// \f$s > best + (d-1)\,|best|\f$, where best is the smallest smoothed loss so far. For positive
/// losses that is \f$s > d \cdot best\f$, the rule of pytorch-lr-finder; negative losses, which
/// that rule stops at once, keep their meaning.
class Divergence {
 public:
  /// `diverge_th`: at least 1; infinity never diverges.
  explicit Divergence(double diverge_th) : margin_(diverge_th - 1) {}

  /// Takes the next smoothed loss and tells whether it has diverged.
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

/// Writes a history, iteration by iteration, and watches for divergence.
class Recorder {
 public:
  /// A recorder of the test that has these settings.
  explicit Recorder(RangeTestSettings settings)
      : smooth_(settings.smooth_f), divergence_(settings.diverge_th) {
    const auto rows = static_cast<std::size_t>(settings.num_iter);
    for (auto* column : {&history_.lr, &history_.loss, &history_.raw_loss}) column->reserve(rows);
    if (settings.start_lr.size() > 1) history_.group_lr.resize(settings.start_lr.size());
    current_.num_iter = settings.num_iter;
    history_.settings = std::move(settings);
  }

  /// Records what was measured at the given rates, one for each parameter group. A loss that is not
  /// finite is not recorded: returns false.
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

    history_.lr.push_back(current_.lr);
    history_.loss.push_back(current_.loss);
    history_.raw_loss.push_back(current_.raw_loss);
    for (std::size_t group = 0; group < history_.group_lr.size(); ++group) {
      history_.group_lr[group].push_back(group_lr[group]);
    }
    if (current_.grad_norm) history_.grad_norm.push_back(*current_.grad_norm);
    for (const auto& [name, value] : current_.metrics) history_.metrics[name].push_back(value);
    return true;
  }

  /// Whether the loss recorded last has passed the divergence threshold.
  bool has_diverged() const noexcept { return has_diverged_; }

  /// The figures of the iteration recorded last.
  const Iteration& current() const noexcept { return current_; }

  /// The history so far, with the time since the recorder was made.
  History finish(StopReason reason) {
    history_.stop_reason = reason;
    history_.wall_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    return std::move(history_);
  }

 private:
  History history_;
  Iteration current_;
  ExponentialSmoothing smooth_;
  Divergence divergence_;
  bool has_diverged_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace lrfinder
