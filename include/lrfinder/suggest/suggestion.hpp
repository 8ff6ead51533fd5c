#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include <lrfinder/history/history.hpp>

namespace lrfinder {

/// A learning rate read off a curve.
struct Suggestion {
  /// The learning rate, of the first parameter group.
  double lr = 0;
  /// The iteration of the history whose learning rate is nearest.
  std::size_t index = 0;
  /// The loss at that iteration, from the column that the recipe reads.
  double loss = 0;
  /// The name of the recipe, for example "steepest".
  std::string recipe;
  /// Plain words on why the answer should be taken with care; empty where it need not be.
  std::string caveat;
  /// Lowest learning rate that single curves suggest, where the suggestion stands on several
  /// (suggest::repeated); 0 where it stands on one.
  double lr_low = 0;
  /// Highest learning rate that single curves suggest, or 0, as above.
  double lr_high = 0;

  /// A suggestion is used as the number it stands for: `double lr = finder.suggestion();`
  operator double() const noexcept { return lr; }
};

/// Anything that reads a suggestion off a history. It throws NoSuggestion where the curve does not
/// carry an answer.
using Recipe = std::function<Suggestion(const History&)>;

}  // namespace lrfinder
