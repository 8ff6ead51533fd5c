#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>

namespace lrfinder {

/// A training at one learning rate, from the start, which a search has tried.
struct Trial {
  /// Learning rate of the first parameter group whose rate is not 0. If the trial follows a plan,
  /// its peak.
  double lr = 0;
  /// Optimizer updates.
  std::int64_t updates = 0;
  /// The validation loss after the last update or, without a validation loader, the mean training
  /// loss of the last quarter of the updates, in which unusually large losses count less. Infinite
  /// if a loss was not finite.
  double loss = 0;
  /// Whether the loss of the trial is above the divergence threshold of the range test.
  bool diverged = false;
  /// The metrics by name, measured on the same batches as the loss.
  std::map<std::string, double> metrics{};
  /// Whether the loss of one update rose above its loss without training by more than twice a usual
  /// loss. The loss came back, but in a longer training it may not.
  bool unsteady = false;
  /// What each of the last updates adds to the mean training loss, also with a validation loader.
  /// Trials of one length see the same batches, so a search reads from these how much noise the
  /// difference between two trials has. Empty if a loss was not finite. Not saved.
  std::vector<double> loss_parts{};
};

/// A learning rate to train with. A recipe has read it off a curve, or trials have found it.
struct Suggestion {
  /// The suggested learning rate of the first parameter group whose rate is not 0. For a plan, the
  /// peak.
  double lr = 0;
  /// The iteration of the history whose learning rate is nearest to `lr`.
  std::size_t index = 0;
  /// From a recipe: the loss of that iteration, in the column that the recipe reads. From a search:
  /// the lowest loss of its longest trials.
  double loss = 0;
  /// The name of the recipe, for example "steepest"; "find" for a search.
  std::string recipe{};
  /// A message that says why the suggestion may be wrong and what to change; empty if nothing
  /// speaks against the suggestion.
  std::string caveat{};
  /// Lower end of the interval of rates that may be as good; 0 if only one curve was read.
  ///
  /// From a search: rates in the interval do almost as well. In `docs/find_measured.md` the worse
  /// end costs 5 % of the training's time in the median. From suggest::repeated: the lowest
  /// suggestion on one curve.
  double low = 0;
  /// Upper end of that interval, or 0.
  double high = 0;
  /// The trials of a search, in their order; empty if the rate was only read off a curve.
  std::vector<Trial> trials{};
  /// Optimizer updates of a search, including those of its range tests; 0 if the rate was only read
  /// off a curve.
  std::int64_t updates = 0;
  /// Steps of the training that a search has found the rate for; 0 if the rate was only read off a
  /// curve.
  std::int64_t steps = 0;

  /// The learning rate: `double lr = finder.suggestion();`
  operator double() const noexcept { return lr; }
};

/// Prints the rate with its interval, a line for each rate tried, and the caveat. The line of a
/// rate shows its longest trial. A star marks the suggested rate, which the best of the longest
/// trials carries to the length of the training. No newline ends the last line.
///
///     lr 0.02, interval 0.01 to 0.04, after 460 updates
///       lr 0.01  loss 0.4 after 180 updates
///     * lr 0.02  carried to 10000 steps
///       lr 0.1  loss inf after 7 updates, diverged
///     caveat: ...
inline std::ostream& operator<<(std::ostream& out, const Suggestion& suggestion) {
  using detail::rounded;
  std::string text = "lr " + rounded(suggestion.lr);
  if (suggestion.high > 0) {
    text += ", interval " + rounded(suggestion.low) + " to " + rounded(suggestion.high);
  }
  if (suggestion.updates > 0) text += ", after " + std::to_string(suggestion.updates) + " updates";
  if (!suggestion.trials.empty()) {
    std::map<double, const Trial*> longest{{suggestion.lr, nullptr}};
    for (const Trial& trial : suggestion.trials) {
      const Trial*& of_rate = longest[trial.lr];
      if (!of_rate || trial.updates >= of_rate->updates) of_rate = &trial;
    }
    for (const auto& [lr, trial] : longest) {
      text += (lr == suggestion.lr ? "\n* lr " : "\n  lr ") + rounded(lr) + "  ";
      text += trial ? "loss " + rounded(trial->loss) + " after " + std::to_string(trial->updates) +
                          " updates" + (trial->diverged ? ", diverged" : "") +
                          (trial->unsteady ? ", unsteady" : "")
              : suggestion.steps > 0 ? "carried to " + std::to_string(suggestion.steps) + " steps"
                                     : "no trial";
    }
  }
  if (!suggestion.caveat.empty()) text += "\ncaveat: " + detail::printable(suggestion.caveat);
  return out << text;
}

}  // namespace lrfinder
