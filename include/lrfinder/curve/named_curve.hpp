#pragma once

#include <string>
#include <vector>

#include <lrfinder/curve/history.hpp>

namespace lrfinder {

/// A history with the name under which it stands in a picture of several.
struct NamedCurve {
  std::string name;
  History history;
  /// A band around the smoothed loss, for example the quartiles of repeats; one value an iteration,
  /// or empty for no band.
  std::vector<double> lower{};
  std::vector<double> upper{};
};

}  // namespace lrfinder
