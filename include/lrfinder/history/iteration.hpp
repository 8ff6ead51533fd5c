#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace lrfinder {

/// The values measured in one iteration.
struct Measurement {
  /// The raw loss.
  double loss = 0;
  /// Norm of the gradient over all parameters, before clipping, where it is recorded.
  std::optional<double> grad_norm;
  /// Metrics by name; the same names in every iteration.
  std::map<std::string, double> metrics;
};

/// One iteration of a range test, as the `on_iteration` callback receives it.
struct Iteration {
  /// Counts from 0.
  std::int64_t index = 0;
  /// Number of iterations of the whole test.
  std::int64_t num_iter = 0;
  /// Learning rate of the first parameter group.
  double lr = 0;
  /// Learning rate of each parameter group.
  std::vector<double> group_lr;
  /// Loss as measured.
  double raw_loss = 0;
  /// Smoothed loss.
  double loss = 0;
  /// Smallest smoothed loss so far.
  double best_loss = 0;
  /// Norm of the gradient over all parameters, before clipping, where it is recorded.
  std::optional<double> grad_norm;
  /// Metrics by name.
  std::map<std::string, double> metrics;
};

/// A function that is called after each iteration. It stops the test by returning false; a function
/// that returns nothing never stops it.
class IterationCallback {
 public:
  IterationCallback() = default;

  /// Wraps a callable that takes a `const Iteration&` and returns a bool or nothing.
  template <class Callable,
            class = std::enable_if_t<!std::is_same_v<std::decay_t<Callable>, IterationCallback> &&
                                     std::is_invocable_v<Callable&, const Iteration&>>>
  IterationCallback(Callable callable) {  // NOLINT(google-explicit-constructor)
    if constexpr (std::is_invocable_r_v<bool, Callable&, const Iteration&>) {
      callback_ = std::move(callable);
    } else {
      callback_ = [callable = std::move(callable)](const Iteration& iteration) mutable {
        callable(iteration);
        return true;
      };
    }
  }

  /// Whether there is a function to call.
  bool is_set() const noexcept { return static_cast<bool>(callback_); }

  /// Calls the function, if there is one. Returns whether the test goes on.
  bool operator()(const Iteration& iteration) const { return !callback_ || callback_(iteration); }

 private:
  std::function<bool(const Iteration&)> callback_;
};

}  // namespace lrfinder
