#pragma once

#include <cstdint>
#include <map>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include <lrfinder/suggest/suggestion.hpp>

namespace lrfinder {

/// What training at one constant learning rate reached in a race, in its longest heat.
struct RaceEntry {
  /// Learning rate of the first parameter group.
  double lr = 0;
  /// Optimizer updates from the start of training.
  std::int64_t num_iter = 0;
  /// The validation loss after the last update or, without a validation loader, the mean of the
  /// last training losses; infinite where a loss was not finite.
  double loss = 0;
  /// True where training diverged: the loss ended where a range test would call it diverged.
  bool diverged = false;
  /// The metrics of the range test, measured with the loss.
  std::map<std::string, double> metrics{};
};

/// The winner of a race, with what each rate reached. It may lie between two of them: there its
/// loss is read off the line between theirs.
struct RaceResult : Suggestion {
  /// One entry for each rate that was tried, by learning rate.
  std::vector<RaceEntry> table;
  /// Optimizer updates of all trials together.
  std::int64_t total_iter = 0;
};

/// Prints a line for each rate that was tried, and for the winner where it lies between two of
/// them; the winner is marked.
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
