#pragma once

#include <cstdio>
#include <iostream>
#include <memory>

#include <lrfinder/curve/iteration.hpp>
#include <lrfinder/curve/progress.hpp>
#include <lrfinder/curve/terminal.hpp>
#include <lrfinder/training/options.hpp>

namespace lrfinder::training {

/// Those who watch a test: the progress line and the user's callback, as the options ask for them.
class Watch {
 public:
  /// `options` live as long as this.
  explicit Watch(const RangeTestOptions& options) : options_(options) {
    if (options.progress()) {
      progress_ = std::make_unique<Progress>(std::cerr, is_terminal(stderr));
    }
  }

  /// Shows an iteration that has ended. Returns whether the test goes on.
  bool operator()(const Iteration& iteration) const {
    if (progress_) (*progress_)(iteration);
    return options_.on_iteration()(iteration);
  }

 private:
  const RangeTestOptions& options_;
  std::unique_ptr<Progress> progress_;
};

}  // namespace lrfinder::training
