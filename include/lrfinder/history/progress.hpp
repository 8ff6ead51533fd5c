#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iomanip>
#include <ostream>
#include <string>
#include <utility>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/history/history.hpp>

namespace lrfinder {

/// Prints the progress of a range test: on a terminal in one line that is updated in place,
/// otherwise in a line for every 10 % of the iterations. Used as
/// `on_iteration(std::ref(progress))`.
///
///      42/100  lr 1.2e-3  loss 0.431  best 0.42  0:12 left
///      87/100  lr 1.3  loss 2.5  best 0.42  diverged
class Progress {
 public:
  /// Seconds since some point in the past.
  using Clock = std::function<double()>;

  /// `out`: must outlive the object. `is_terminal`: whether `out` is a terminal; see
  /// lrfinder::is_terminal. `stage`: the text before each line, for example "trials". `clock`: for
  /// tests.
  Progress(std::ostream& out, bool is_terminal, const std::string& stage = "",
           Clock clock = steady_seconds)
      : out_(out),
        is_terminal_(is_terminal),
        stage_(stage.empty() ? "" : stage + "  "),
        clock_(std::move(clock)),
        start_(clock_()) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { end(); }

  /// Prints an iteration that has just ended.
  void operator()(const Iteration& iteration) {
    const double now = clock_();
    last_ = iteration;
    const bool last = iteration.index + 1 == iteration.num_iter;
    if (is_terminal_) {
      constexpr double shortest_wait = 0.05;
      if (line_open_ && !last && now - shown_ < shortest_wait) return;
      out_ << '\r' << line(iteration, time_left(iteration, now)) << "\x1b[K" << std::flush;
      line_open_ = true;
    } else if (last || tenths_done(iteration, 1) > tenths_done(iteration, 0)) {
      out_ << line(iteration, time_left(iteration, now)) << '\n' << std::flush;
    }
    shown_ = now;
    if (last) end();
  }

  /// Ends the line, so that other output can follow. To be called if a test stops early.
  void end() {
    if (line_open_) out_ << '\n' << std::flush;
    line_open_ = false;
  }

  /// Ends the line with the reason why the test stopped, if it did not run to its end.
  void end(StopReason reason) {
    if (reason == StopReason::completed) return end();
    const std::string text =
        last_.num_iter > 0 ? line(last_, to_string(reason)) : stage_ + to_string(reason);
    out_ << (line_open_ ? "\r" : "") << text << (line_open_ ? "\x1b[K\n" : "\n") << std::flush;
    line_open_ = false;
  }

 private:
  static double steady_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

  static std::int64_t tenths_done(const Iteration& iteration, std::int64_t and_more) {
    return (iteration.index + and_more) * 10 / std::max<std::int64_t>(1, iteration.num_iter);
  }

  std::string line(const Iteration& iteration, const std::string& end) const {
    using detail::rounded;
    const std::string total = std::to_string(iteration.num_iter);
    const bool has_best = std::isfinite(iteration.best_loss);  // a search has none at first
    const std::string best = has_best ? "best " + rounded(iteration.best_loss) + "  " : "";
    return detail::concat(stage_, std::setw(static_cast<int>(total.size())), iteration.index + 1,
                          '/', total, "  lr ", rounded(iteration.lr), "  loss ",
                          rounded(iteration.loss), "  ", best, end);
  }

  std::string time_left(const Iteration& iteration, double now) const {
    const auto done = static_cast<double>(iteration.index + 1);
    const auto to_do = static_cast<double>(iteration.num_iter) - done;
    const double left = std::fmax(0, std::ceil((now - start_) / done * to_do));
    if (!(left < 360000)) return "over 99 h left";
    const auto seconds = static_cast<std::int64_t>(left);
    const auto two_digits = [](std::int64_t value) {
      return (value < 10 ? ":0" : ":") + std::to_string(value);
    };
    const std::string minutes =
        seconds < 3600 ? std::to_string(seconds / 60)
                       : std::to_string(seconds / 3600) + two_digits(seconds / 60 % 60);
    return minutes + two_digits(seconds % 60) + " left";
  }

  std::ostream& out_;
  bool is_terminal_;
  std::string stage_;
  Clock clock_;
  double start_;
  double shown_ = 0;
  bool line_open_ = false;
  Iteration last_;
};

}  // namespace lrfinder
