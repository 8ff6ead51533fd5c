#pragma once

#include <cstdint>
#include <map>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include <lrfinder/suggest/suggestion.hpp>

namespace lrfinder {

/// The result of training at one constant learning rate in a race: that of its longest trial.
struct RaceEntry {
  /// Learning rate of the first parameter group.
  double lr = 0;
  /// Optimizer updates of that trial.
  std::int64_t num_iter = 0;
  /// The validation loss after the last update or, without a validation loader, the mean of the
  /// last quarter of the training losses; infinite where a loss was not finite.
  double loss = 0;
  /// Whether the trial diverged: its loss has passed the divergence threshold of the range test.
  bool diverged = false;
  /// The metrics of the range test by name, measured on the same batches as the loss.
  std::map<std::string, double> metrics{};
};

/// The winner of a race, and the results of all learning rates. The winner may lie between two of
/// them; its loss is then interpolated.
struct RaceResult : Suggestion {
  /// One entry for each learning rate, in ascending order.
  std::vector<RaceEntry> table;
  /// Optimizer updates of all trials.
  std::int64_t total_iter = 0;
};

/// Prints a line for each learning rate, and one for a winner between two of them. The winner is
/// marked with `*`.
inline std::ostream& operator<<(std::ostream& out, const RaceResult& result) {
  std::ostringstream lines;
  lines.precision(3);
  double last_lr = 0;
  for (const auto& entry : result.table) {
    if (last_lr < result.lr && result.lr < entry.lr) {
      lines << "* lr " << result.lr << "  loss " << result.loss << ", between the two\n";
    }
    lines << (entry.lr == result.lr ? "* lr " : "  lr ") << entry.lr << "  loss " << entry.loss
          << " after " << entry.num_iter << " iterations" << (entry.diverged ? ", diverged" : "")
          << '\n';
    last_lr = entry.lr;
  }
  return out << lines.str();
}

}  // namespace lrfinder
