#pragma once

#include <cstdint>
#include <map>
#include <ostream>
#include <sstream>
#include <utility>
#include <vector>

#include <lrfinder/history/trial.hpp>
#include <lrfinder/suggest/suggestion.hpp>

namespace lrfinder {

/// The result of one learning rate in a race: that of its longest trial.
using RaceEntry = Trial;

/// The winner of a race, and the results of all learning rates. The winner may lie between two of
/// them; its loss is then interpolated.
struct RaceResult : Suggestion {
  RaceResult() = default;

  /// The result of a race by a plan, with the table of its trials.
  explicit RaceResult(Suggestion found) : Suggestion(std::move(found)), total_iter(updates) {
    std::map<double, RaceEntry> longest;
    for (const Trial& trial : trials) {
      auto& entry = longest[trial.lr];
      if (trial.num_iter >= entry.num_iter) entry = trial;
    }
    for (const auto& of_rate : longest) table.push_back(of_rate.second);
  }

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
