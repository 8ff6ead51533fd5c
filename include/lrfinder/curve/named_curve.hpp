#pragma once

#include <string>
#include <vector>

#include <lrfinder/curve/history.hpp>

namespace lrfinder {

/// A history with the name under which it stands in a picture of several.
struct NamedCurve {
  std::string name;  ///< as the legend has it
  History history;   ///< what is drawn
  /// Lower edge of a band around the smoothed loss, for example the quartiles of repeats; one value
  /// an iteration, or empty for no band.
  std::vector<double> lower{};
  /// Upper edge of the band.
  std::vector<double> upper{};
};

}  // namespace lrfinder
