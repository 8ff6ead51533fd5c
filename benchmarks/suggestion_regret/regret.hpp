#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

/// How well a task trains at constant learning rates, and what a suggestion is worth by that.
struct Outcomes {
  /// The loss on held-back data before training.
  double initial_loss = 0;
  /// The rates, ascending, and the loss on held-back data after training at each; infinite where
  /// training failed.
  std::vector<double> lr, final_loss;

  /// What a suggestion loses: 0 at the best of the rates, 1 where training gains nothing, more
  /// where it harms. Interpolated between the rates over log lr, losses capped at 1.5 times the
  /// initial one.
  double regret(double suggested_lr) const {
    const double cap = 1.5 * initial_loss;
    const auto loss = [&](std::size_t i) {
      return std::isfinite(final_loss[i]) ? std::min(final_loss[i], cap) : cap;
    };
    double best = cap;
    for (std::size_t i = 0; i < lr.size(); ++i) best = std::min(best, loss(i));
    const double at = std::clamp(suggested_lr, lr.front(), lr.back());
    std::size_t right = 1;
    while (right + 1 < lr.size() && lr[right] < at) ++right;
    const double share = std::log(at / lr[right - 1]) / std::log(lr[right] / lr[right - 1]);
    const double reached = loss(right - 1) + share * (loss(right) - loss(right - 1));
    return (reached - best) / (initial_loss - best);
  }
};
