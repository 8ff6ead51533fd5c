#pragma once

#include <cmath>
#include <cstdint>

namespace lrfinder {

/// How the learning rate rises in a range test.
enum class Schedule {
  exponential,  ///< by a constant factor: every decade gets the same number of iterations
  linear        ///< by a constant difference, as in Smith 2017, section 3.3
};

/// The name of a schedule, as it is printed and saved.
inline const char* to_string(Schedule schedule) {
  return schedule == Schedule::linear ? "linear" : "exponential";
}

/// The learning rate of one iteration of a range test.
///
/// With \f$a\f$ = `start_lr`, \f$b\f$ = `end_lr` and \f$N\f$ = `num_iter`, iteration \f$i\f$ has
/// the rate \f$a (b/a)^{i/(N-1)}\f$ (exponential) or \f$a + (b-a)\,i/(N-1)\f$ (linear). The first
/// iteration runs at `start_lr`, the last at `end_lr`.
///
/// `start_lr`, `end_lr`: positive and finite. `iteration`: from 0 to `num_iter` - 1. `num_iter`: at
/// least 2.
inline double scheduled_lr(Schedule schedule, double start_lr, double end_lr,
                           std::int64_t iteration, std::int64_t num_iter) {
  const double progress = static_cast<double>(iteration) / static_cast<double>(num_iter - 1);
  if (schedule == Schedule::linear) return start_lr + (end_lr - start_lr) * progress;
  const double ratio = end_lr / start_lr;
  if (std::isnormal(ratio)) return start_lr * std::pow(ratio, progress);
  // The same rate, for a ratio that is no double: from 1e-300 to 1e300 it would be infinite.
  return std::pow(start_lr, 1 - progress) * std::pow(end_lr, progress);
}

}  // namespace lrfinder
