#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include <lrfinder/curve/divergence.hpp>
#include <lrfinder/curve/history.hpp>
#include <lrfinder/curve/iteration.hpp>
#include <lrfinder/curve/settings.hpp>
#include <lrfinder/curve/smoothing.hpp>

namespace lrfinder {

/// Writes a history, iteration by iteration, and knows when the test has to end.
class Recorder {
 public:
  explicit Recorder(RangeTestSettings settings)
      : smooth_(settings.smooth_f), diverged_(settings.diverge_th) {
    const auto rows = static_cast<std::size_t>(settings.num_iter);
    for (auto* column : {&history_.lr, &history_.loss, &history_.raw_loss}) column->reserve(rows);
    if (settings.start_lr.size() > 1) history_.group_lr.resize(settings.start_lr.size());
    current_.num_iter = settings.num_iter;
    history_.stop_reason = StopReason::failed;  // until the test says otherwise
    history_.settings = std::move(settings);
  }

  /// Records the loss at the given rates, one for each parameter group. Returns whether the test
  /// goes on. A loss that is not finite ends it without being recorded.
  bool record(const std::vector<double>& group_lr, double raw_loss) {
    if (!std::isfinite(raw_loss)) {
      end(StopReason::non_finite_loss);
      return false;
    }
    current_.index = static_cast<std::int64_t>(history_.size());
    current_.lr = group_lr.front();
    current_.group_lr = group_lr;
    current_.raw_loss = raw_loss;
    current_.loss = smooth_(raw_loss);
    const bool diverged = diverged_(current_.loss);
    current_.best_loss = diverged_.best();

    history_.lr.push_back(current_.lr);
    history_.loss.push_back(current_.loss);
    history_.raw_loss.push_back(current_.raw_loss);
    for (std::size_t group = 0; group < history_.group_lr.size(); ++group) {
      history_.group_lr[group].push_back(group_lr[group]);
    }
    if (diverged) end(StopReason::diverged);
    return !diverged;
  }

  /// The figures of the iteration recorded last.
  const Iteration& current() const noexcept { return current_; }

  /// Notes why the test ended.
  void end(StopReason reason) noexcept { history_.stop_reason = reason; }

  /// The history so far, with the time since the recorder was made.
  History finish() {
    history_.wall_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    return std::move(history_);
  }

 private:
  History history_;
  Iteration current_;
  ExponentialSmoothing smooth_;
  Divergence diverged_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace lrfinder
