#pragma once

#include <cmath>
#include <cstdint>

namespace lrfinder {

/// How the learning rate goes from the start of a range test to its end.
enum class Schedule {
  exponential,  ///< equal factors: every decade gets as many iterations as the next
  linear        ///< equal steps, as in Smith 2017, section 3.3
};

inline const char* to_string(Schedule schedule) {
  return schedule == Schedule::linear ? "linear" : "exponential";
}

/// The learning rate of one iteration of a range test.
///
/// With \f$a\f$ = `start_lr`, \f$b\f$ = `end_lr` and \f$N\f$ = `num_iter`, iteration \f$i\f$ gets
/// \f$a (b/a)^{i/(N-1)}\f$ (exponential) or \f$a + (b-a)\,i/(N-1)\f$ (linear), so that the first
/// iteration runs at `start_lr` and the last at `end_lr`.
///
/// `iteration` counts from 0 to `num_iter` - 1; `num_iter` is at least 2.
inline double scheduled_lr(Schedule schedule, double start_lr, double end_lr,
                           std::int64_t iteration, std::int64_t num_iter) {
  const double progress = static_cast<double>(iteration) / static_cast<double>(num_iter - 1);
  return schedule == Schedule::linear ? start_lr + (end_lr - start_lr) * progress
                                      : start_lr * std::pow(end_lr / start_lr, progress);
}

}  // namespace lrfinder
