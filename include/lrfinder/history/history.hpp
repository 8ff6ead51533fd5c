#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/suggestion.hpp>

namespace lrfinder {

struct ForeignFormat;

/// How the learning rate rises in a range test.
enum class RangeSchedule {
  exponential,  ///< by a constant factor: every decade gets the same number of iterations
  linear        ///< by a constant difference, as in Smith 2017, section 3.3
};

/// The name of a schedule, in print and in files.
inline const char* to_string(RangeSchedule schedule) {
  return schedule == RangeSchedule::linear ? "linear" : "exponential";
}

/// The learning rate of one iteration of a range test. It rises from `a` = `start_lr` to `b` =
/// `end_lr` over `N` = `num_iter` iterations: `a (b/a)^(i/(N-1))` (exponential) or
/// `a + (b-a) i/(N-1)` (linear).
///
/// `start_lr`, `end_lr`: positive and finite. `num_iter`: at least 2.
inline double scheduled_lr(RangeSchedule schedule, double start_lr, double end_lr,
                           std::int64_t iteration, std::int64_t num_iter) {
  const double progress = static_cast<double>(iteration) / static_cast<double>(num_iter - 1);
  if (schedule == RangeSchedule::linear) return start_lr + (end_lr - start_lr) * progress;
  const double ratio = end_lr / start_lr;
  if (std::isnormal(ratio)) return start_lr * std::pow(ratio, progress);
  // Avoids overflow of end_lr / start_lr.
  return std::pow(start_lr, 1 - progress) * std::pow(end_lr, progress);
}

/// The complete settings of a range test: its options, completed with values of the optimizer.
struct RangeTestSettings {
  /// Learning rate of each parameter group in the first iteration.
  std::vector<double> start_lr;
  /// Learning rate of each parameter group in the last iteration.
  std::vector<double> end_lr;
  /// Number of iterations. A test that stops early records fewer. 0 if there was no range test.
  std::int64_t num_iter = 0;
  /// How the rate rises from start to end.
  RangeSchedule schedule = RangeSchedule::exponential;
  /// Weight of the newest loss in the exponential smoothing, in [0, 1); 0: no smoothing.
  double smooth_f = 0;
  /// Multiple of the best smoothed loss above which the test stops (see has_diverged), at least 1.
  /// 0: the test never stops early.
  double diverge_th = 0;
  /// Number of batches whose gradients are added up for one update.
  std::int64_t accumulation_steps = 1;
  /// Mean age, in iterations, of the gradients that an update of the first group averages: 9 with
  /// momentum 0.9 or Adam's defaults. 0 without averaging or for an unknown optimizer.
  double gradient_age = 0;
  /// Whether the recorded loss is the loss on a validation loader.
  bool validation = false;
  /// Number of batches that were left out, because their loss was not finite before any update.
  std::int64_t skipped_batches = 0;
};

/// Why a range test ended.
enum class StopReason {
  completed,          ///< all iterations ran
  diverged,           ///< the smoothed loss passed the divergence threshold
  non_finite_loss,    ///< the loss was NaN or infinite; that loss is not in the history
  stopped_by_caller,  ///< the `on_iteration` callback returned false
  failed              ///< an exception ended the test; the history holds the iterations before
};

/// The reason in print and in files, for example "non-finite loss".
inline const char* to_string(StopReason reason) {
  static constexpr const char* names[] = {"completed", "diverged", "non-finite loss",
                                          "stopped by the caller", "failed"};
  const auto index = static_cast<std::size_t>(reason);
  return index < std::size(names) ? names[index] : "unknown";
}

/// Prints the reason.
inline std::ostream& operator<<(std::ostream& out, StopReason reason) {
  return out << to_string(reason);
}

namespace detail {

/// Throws InvalidHistory unless a column of a history has one value for each learning rate.
inline void require_column(const std::vector<double>& lr, const std::vector<double>& column,
                           const std::string& name) {
  if (column.size() == lr.size()) return;
  throw InvalidHistory(concat("History: column ", name, " has ", column.size(),
                              " values but lr has ", lr.size(), "; give one for each iteration"));
}

/// Whether a value may be a learning rate.
inline bool is_rate(double value) { return value >= 0 && std::isfinite(value); }

/// The rate of the first group that is searched: the first one that is not 0. 0 if all are.
inline double first_rate(const std::vector<double>& group_lr) {
  const auto is_searched = [](double rate) { return rate != 0; };
  const auto first = std::find_if(group_lr.begin(), group_lr.end(), is_searched);
  return first == group_lr.end() ? 0 : *first;
}

/// Index of the value nearest to `target`; the first if several are equally near. `values`: not
/// empty, without NaN.
inline std::size_t nearest_index(const std::vector<double>& values, double target) {
  const auto nearer = [target](double a, double b) {
    return std::fabs(a - target) < std::fabs(b - target);
  };
  return static_cast<std::size_t>(std::min_element(values.begin(), values.end(), nearer) -
                                  values.begin());
}

}  // namespace detail

/// The curve of a range test. Columns that are not empty have a value for each iteration.
struct History {
  History() = default;

  /// Makes a history from columns that were recorded elsewhere. The losses may be NaN or infinite.
  /// They become both the raw and the smoothed losses.
  ///
  /// Throws InvalidHistory if the columns differ in length, or if a learning rate is negative or
  /// not finite.
  History(std::vector<double> lr_column, std::vector<double> loss_column)
      : lr(std::move(lr_column)), loss(std::move(loss_column)), raw_loss(loss) {
    detail::require_column(lr, loss, "loss");
    for (std::size_t i = 0; i < lr.size(); ++i) {
      if (detail::is_rate(lr[i])) continue;
      throw InvalidHistory(detail::concat("History: learning rate ", i, " is ",
                                          detail::to_text(lr[i]),
                                          "; it must be finite and not negative"));
    }
  }

  /// Saves the whole history as CSV. to_csv() describes the format. If the file cannot be written,
  /// its old contents stay. Defined in `csv.hpp`.
  ///
  /// Throws Error if the file cannot be written. Throws InvalidHistory if the history could not be
  /// loaded again, because its columns differ in length, or a learning rate is negative or not
  /// finite.
  void save(const std::string& path) const;

  /// Loads a saved history. Every number equals the saved one. Loads a curve of another tool, too,
  /// if its columns have usual names. Its rows are sorted by their rates. Defined in `csv.hpp`.
  ///
  /// Throws InvalidHistory with the file, the line and the reason if the file cannot be read.
  [[nodiscard]] static History load(const std::string& path);

  /// Loads a curve of another tool, for example
  /// `History::load("lr.csv", {smoothing_of("fastai")})`. A history that save() has written needs
  /// no `format`.
  [[nodiscard]] static History load(const std::string& path, const ForeignFormat& format);

  /// The paired losses: `l[i] - u[i] + mean(u)` for the raw losses `l[i]` and the untrained losses
  /// `u[i]` of the same batches. What differs between the batches cancels, and what the learning
  /// rate does remains. The raw losses if there are no untrained losses.
  ///
  /// Throws InvalidHistory if the columns differ in length.
  std::vector<double> paired_loss() const {
    detail::require_column(lr, raw_loss, "raw_loss");
    if (untrained_loss.empty()) return raw_loss;
    detail::require_column(lr, untrained_loss, "untrained_loss");
    double mean = 0;
    for (const double each : untrained_loss) mean += each / static_cast<double>(size());
    std::vector<double> paired;
    for (std::size_t i = 0; i < size(); ++i) {
      paired.push_back(raw_loss[i] - untrained_loss[i] + mean);
    }
    return paired;
  }

  /// Number of recorded iterations.
  std::size_t size() const noexcept { return lr.size(); }
  /// Whether there is no iteration.
  bool empty() const noexcept { return lr.empty(); }

  /// Learning rate of the first parameter group whose rate is not 0.
  std::vector<double> lr;
  /// Smoothed loss, `s[i] = f l[i] + (1-f) s[i-1]` with `f` = `settings.smooth_f`.
  std::vector<double> loss;
  /// The measured loss. With a validation loader, the mean loss over its samples after the update.
  /// Otherwise the loss of the training batches before the update.
  std::vector<double> raw_loss;
  /// The loss of the same batches at the weights that the test started from, with the same random
  /// numbers; empty if it was not measured. See paired_loss().
  std::vector<double> untrained_loss;
  /// Learning rate of each parameter group, `group_lr[group][iteration]`; empty if there is only
  /// one group.
  std::vector<std::vector<double>> group_lr;
  /// Norm of the gradient over all parameters, before clipping; empty if it was not recorded.
  std::vector<double> grad_norm;
  /// The metrics by name, one value for each iteration; NaN if the metric was not measured.
  std::map<std::string, std::vector<double>> metrics;

  /// Why the test ended.
  StopReason stop_reason = StopReason::completed;
  /// Duration of the iterations in seconds, without the time to save and restore the state.
  double wall_seconds = 0;
  /// The result of a search after the test, set by LRFinder::find().
  std::optional<Suggestion> found;
  /// The settings of the test; defaults if no test recorded the history.
  RangeTestSettings settings;
};

/// Prints what a range test did in one line, and what a search has found after it. No newline ends
/// the last line.
///
///     94 iterations, lr 1e-7 to 3.27, diverged; smoothed loss 2.31, lowest 0.412 at lr 0.351
inline std::ostream& operator<<(std::ostream& out, const History& history) {
  using detail::rounded;
  std::string text = std::to_string(history.size()) + " iterations";
  if (!history.empty()) {
    text += ", lr " + rounded(history.lr.front()) + " to " + rounded(history.lr.back());
  }
  if (history.settings.num_iter > 0) text += std::string(", ") + to_string(history.stop_reason);
  if (!history.empty() && history.loss.size() == history.size()) {
    std::size_t lowest = 0;
    for (std::size_t i = 1; i < history.size(); ++i) {
      if (history.loss[i] < history.loss[lowest] || std::isnan(history.loss[lowest])) lowest = i;
    }
    text += "; smoothed loss " + rounded(history.loss.front()) + ", lowest " +
            rounded(history.loss[lowest]) + " at lr " + rounded(history.lr[lowest]);
  }
  out << text;
  if (history.found) out << "\nfound: " << *history.found;
  return out;
}

/// A function that reads a suggestion off a history. It throws NoSuggestion if the curve gives
/// none.
using Recipe = std::function<Suggestion(const History&)>;

/// The values measured in one iteration.
struct Measurement {
  /// The measured loss, without smoothing.
  double raw_loss = 0;
  /// Norm of the gradient over all parameters, before clipping; none if it is not recorded.
  std::optional<double> grad_norm;
  /// Metrics by name, with the same names in every iteration.
  std::map<std::string, double> metrics;
  /// The loss of the same batches at the weights that the test started from; none if it is not
  /// measured.
  std::optional<double> untrained_loss = std::nullopt;
};

/// One iteration of a range test, for the `on_iteration` callback.
struct Iteration : Measurement {
  /// Index of the iteration, from 0.
  std::int64_t index = 0;
  /// Number of iterations of the whole test.
  std::int64_t num_iter = 0;
  /// Learning rate of the first parameter group whose rate is not 0.
  double lr = 0;
  /// Learning rate of each parameter group.
  std::vector<double> group_lr;
  /// Smoothed loss.
  double loss = 0;
  /// Smallest smoothed loss so far.
  double best_loss = 0;
};

/// A function that is called after each iteration. If it returns false, the test stops. A function
/// that returns nothing, like Progress, never stops the test.
class IterationCallback {
 public:
  IterationCallback() = default;

  /// Wraps a callable that takes a `const Iteration&` and returns a bool or nothing.
  template <class Callable,
            class = std::enable_if_t<std::is_invocable_v<Callable&, const Iteration&>>>
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
