#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include <lrfinder/history/history.hpp>

namespace lrfinder {

/// A learning rate that a recipe has read off a curve.
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

  /// The learning rate: `double lr = finder.suggestion();`
  operator double() const noexcept { return lr; }
};

/// A function that reads a suggestion off a history. It throws NoSuggestion where the curve gives
/// none.
using Recipe = std::function<Suggestion(const History&)>;

}  // namespace lrfinder
