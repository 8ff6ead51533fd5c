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

/// Prints the progress of a range test: on a terminal one line that is updated in place, elsewhere
/// one line for every 10 % of the iterations.
///
///      42/100  lr 1.2e-3  loss 0.431  best 0.42  0:12 left
class Progress {
 public:
  /// Seconds since some point in the past.
  using Clock = std::function<double()>;

  /// `out`: must outlive this object. `is_terminal`: whether `out` is a terminal; see
  /// lrfinder::is_terminal. `clock`: for tests.
  Progress(std::ostream& out, bool is_terminal, Clock clock = steady_seconds)
      : out_(out), is_terminal_(is_terminal), clock_(std::move(clock)), start_(clock_()) {}

  /// `stage`: what stands before each line, for example "trials".
  Progress(std::ostream& out, bool is_terminal, const std::string& stage)
      : Progress(out, is_terminal) {
    if (!stage.empty()) stage_ = stage + "  ";
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { end(); }

  /// Prints an iteration that has just ended.
  void operator()(const Iteration& iteration) {
    const double now = clock_();
    const bool last = iteration.index + 1 == iteration.num_iter;
    if (is_terminal_) {
      constexpr double shortest_wait = 0.05;
      if (line_open_ && !last && now - shown_ < shortest_wait) return;
      out_ << '\r' << line(iteration, now) << "\x1b[K" << std::flush;
      line_open_ = true;
    } else if (last || completes_tenth(iteration)) {
      out_ << line(iteration, now) << '\n' << std::flush;
    }
    shown_ = now;
    if (last) end();
  }

  /// Ends the line, so that other output can follow; for a test that stops early.
  void end() {
    if (line_open_) out_ << '\n' << std::flush;
    line_open_ = false;
  }

 private:
  static double steady_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

  /// Whether an iteration completes one of ten equal parts of the test.
  static bool completes_tenth(const Iteration& iteration) {
    const auto tenths = [&](std::int64_t done) {
      return done * 10 / std::max<std::int64_t>(1, iteration.num_iter);
    };
    return tenths(iteration.index + 1) > tenths(iteration.index);
  }

  std::string line(const Iteration& iteration, double now) const {
    const std::string total = std::to_string(iteration.num_iter);
    std::string done = std::to_string(iteration.index + 1);
    done.insert(0, total.size() - std::min(total.size(), done.size()), ' ');
    return stage_ + done + "/" + total + "  lr " + detail::rounded(iteration.lr) + "  loss " +
           detail::rounded(iteration.loss) + "  best " + detail::rounded(iteration.best_loss) +
           "  " + time_left(iteration, now);
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
};

}  // namespace lrfinder
