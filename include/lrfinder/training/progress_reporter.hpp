#pragma once

#include <cstdio>
#include <iostream>
#include <memory>

#include <lrfinder/detail/system.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/history/iteration.hpp>
#include <lrfinder/history/progress.hpp>
#include <lrfinder/options.hpp>

namespace lrfinder::detail {

/// Those who watch a test: the progress line and the user's callback, as the options ask for them;
/// with several ranks, those of rank 0.
class ProgressReporter {
 public:
  /// The references live as long as this.
  ProgressReporter(const RangeTestOptions& options, Session& team)
      : options_(options), team_(team) {
    if (options.progress() && team.leads()) {
      progress_ = std::make_unique<Progress>(std::cerr, is_terminal(stderr));
    }
  }

  /// Shows an iteration that has ended. Returns whether the test goes on.
  bool operator()(const Iteration& iteration) const {
    if (progress_) (*progress_)(iteration);
    return team_.goes_on(!team_.leads() || options_.on_iteration()(iteration));
  }

 private:
  const RangeTestOptions& options_;
  Session& team_;
  std::unique_ptr<Progress> progress_;
};

}  // namespace lrfinder::detail
