#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <utility>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/history/iteration.hpp>

namespace lrfinder {

/// Shows how far a range test is: on a terminal one line that is drawn anew, elsewhere a line every
/// 10 % of the iterations.
///
///      42/100  lr 1.2e-3  loss 0.431  best 0.42  0:12 left
class Progress {
 public:
  /// Seconds since some point in the past.
  using Clock = std::function<double()>;

  /// `out`: lives as long as this. `is_terminal`: whether `out` is seen on one;
  /// lrfinder::is_terminal knows.
  Progress(std::ostream& out, bool is_terminal, Clock clock = steady_seconds)
      : out_(out), is_terminal_(is_terminal), clock_(std::move(clock)), start_(clock_()) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { end(); }

  /// Shows an iteration that has just ended.
  void operator()(const Iteration& iteration) {
    const double now = clock_();
    const bool last = iteration.index + 1 == iteration.num_iter;
    if (is_terminal_) {
      constexpr double shortest_wait = 0.05;
      if (line_open_ && !last && now - shown_ < shortest_wait) return;
      out_ << '\r' << line(iteration, now) << "\x1b[K" << std::flush;
      line_open_ = true;
    } else if (last || tenths(iteration, 1) > tenths(iteration, 0)) {
      out_ << line(iteration, now) << '\n' << std::flush;
    }
    shown_ = now;
    if (last) end();
  }

  /// Ends the line, after which other output may follow; for a test that stops early.
  void end() {
    if (line_open_) out_ << '\n' << std::flush;
    line_open_ = false;
  }

 private:
  static double steady_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

  /// How many tenths of the iterations are over before this one, or with it.
  static std::int64_t tenths(const Iteration& iteration, std::int64_t with_it) {
    return (iteration.index + with_it) * 10 / std::max<std::int64_t>(1, iteration.num_iter);
  }

  std::string line(const Iteration& iteration, double now) const {
    const std::string total = std::to_string(iteration.num_iter);
    std::string done = std::to_string(iteration.index + 1);
    done.insert(0, total.size() - std::min(total.size(), done.size()), ' ');
    return done + "/" + total + "  lr " + detail::rounded(iteration.lr) + "  loss " +
           detail::rounded(iteration.loss) + "  best " + detail::rounded(iteration.best_loss) +
           "  " + time_left(iteration, now);
  }

  std::string time_left(const Iteration& iteration, double now) const {
    const auto done = static_cast<double>(iteration.index + 1);
    const auto to_do = static_cast<double>(iteration.num_iter) - done;
    const double left = std::fmax(0, std::ceil((now - start_) / done * to_do));
    if (!(left < 360000)) return "long to go";
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
  Clock clock_;
  double start_;
  double shown_ = 0;
  bool line_open_ = false;
};

}  // namespace lrfinder
