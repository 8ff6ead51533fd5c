#pragma once

#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include <lrfinder/detail/system.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/history/iteration.hpp>
#include <lrfinder/history/progress.hpp>

namespace lrfinder::detail {

/// Reports iterations: to the progress line on stderr and to the user's callback, where they are
/// wanted; with several ranks, to those of rank 0.
class ProgressReporter {
 public:
  /// `stage`: what stands before the progress, or empty. `session` lives as long as this.
  ProgressReporter(bool progress, const std::string& stage, IterationCallback callback,
                   Session& session)
      : callback_(std::move(callback)), session_(session) {
    if (progress && session.leads()) {
      progress_ = std::make_unique<Progress>(std::cerr, is_terminal(stderr), stage);
    }
  }

  /// Reports an iteration that has ended. Returns whether the test goes on.
  bool operator()(const Iteration& iteration) const {
    if (progress_) (*progress_)(iteration);
    return session_.goes_on(!session_.leads() || callback_(iteration));
  }

 private:
  IterationCallback callback_;
  Session& session_;
  std::unique_ptr<Progress> progress_;
};

}  // namespace lrfinder::detail
