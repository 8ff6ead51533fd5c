#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <lrfinder/history/history.hpp>
#include <lrfinder/history/trial.hpp>

namespace lrfinder {

/// A learning rate to train with: read off a curve by a recipe or, by a race or a find, also from
/// trials.
struct Suggestion {
  /// The suggested learning rate, of the first parameter group.
  double lr = 0;
  /// Index of the iteration of the history whose learning rate is nearest.
  std::size_t index = 0;
  /// The loss of that iteration, from the column that the recipe reads.
  double loss = 0;
  /// The name of the recipe, for example "steepest".
  std::string recipe;
  /// Why the suggestion may be wrong and what to change, as a message; empty where nothing speaks
  /// against it.
  std::string caveat;
  /// Lowest suggestion on one of several curves (see suggest::repeated); 0 where there is only one.
  double lr_low = 0;
  /// Highest suggestion on one of several curves, or 0.
  double lr_high = 0;
  /// Lower end of the interval of rates that do almost as well, from a find; otherwise 0. The worse
  /// of its ends costs 5 % of the training's time in the median of the trainings in `docs/find.md`.
  double low = 0;
  /// Upper end of that interval, or 0.
  double high = 0;
  /// What was tried, in the order of the trials; empty where the rate was only read off a curve.
  std::vector<Trial> trials{};
  /// Optimizer updates that were spent on it, range tests included; 0 where the rate was only read
  /// off a curve.
  std::int64_t updates = 0;

  /// The learning rate: `double lr = finder.suggestion();`
  operator double() const noexcept { return lr; }
};

/// A function that reads a suggestion off a history. It throws NoSuggestion where the curve gives
/// none.
using Recipe = std::function<Suggestion(const History&)>;

}  // namespace lrfinder
