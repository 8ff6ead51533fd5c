#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lrfinder {

/// A training at one learning rate, from the start: what a race or a find has tried.
struct Trial {
  /// Learning rate of the first parameter group; the peak, where the trial follows a plan.
  double lr = 0;
  /// Optimizer updates.
  std::int64_t num_iter = 0;
  /// The validation loss after the last update or, without a validation loader, the mean of the
  /// last quarter of the training losses; infinite where a loss was not finite.
  double loss = 0;
  /// Whether the trial diverged: its loss has passed the divergence threshold of the range test.
  bool diverged = false;
  /// The metrics of the range test by name, measured on the same batches as the loss.
  std::map<std::string, double> metrics{};
};

/// A learning rate that was found by trials, as a history keeps it.
struct FoundRate {
  /// Learning rate of the first parameter group.
  double lr = 0;
  /// Lower end of the interval of rates that do almost as well.
  double low = 0;
  /// Upper end of that interval.
  double high = 0;
  /// What was tried, in the order of the trials.
  std::vector<Trial> trials;
};

}  // namespace lrfinder
