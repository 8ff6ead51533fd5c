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

/// What is measured in one iteration.
struct Measurement {
  /// The loss to record.
  double loss = 0;
  /// Norm of the gradient over all parameters, before clipping, where it is recorded.
  std::optional<double> grad_norm;
  /// Further figures by name; the same names in every iteration.
  std::map<std::string, double> metrics;
};

/// The figures of one iteration of a range test, as the `on_iteration` callback gets them.
struct Iteration {
  /// Counts from 0.
  std::int64_t index = 0;
  /// Number of iterations asked for.
  std::int64_t num_iter = 0;
  /// Learning rate of the first parameter group.
  double lr = 0;
  /// Learning rate of every parameter group.
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

/// Called after each iteration; returning false stops the test. A callable that returns nothing
/// never stops it.
class IterationCallback {
 public:
  IterationCallback() = default;

  /// Calls what is callable with `const Iteration&`.
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

  /// Whether there is something to call.
  bool is_set() const noexcept { return static_cast<bool>(callback_); }

  /// Whether the test goes on.
  bool operator()(const Iteration& iteration) const { return !callback_ || callback_(iteration); }

 private:
  std::function<bool(const Iteration&)> callback_;
};

}  // namespace lrfinder
