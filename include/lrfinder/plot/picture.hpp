#pragma once

#include <optional>
#include <string>
#include <vector>

#include <lrfinder/plot/axis.hpp>
#include <lrfinder/plot/columns.hpp>

namespace lrfinder::detail {

/// The columns of one curve as they are drawn; those that it lacks are empty.
struct DrawnCurve {
  std::string name;
  Column lr, loss, raw_loss, change, lower, upper, metric;

  bool has_band() const { return !lower.empty() && !upper.empty(); }
};

/// A suggestion on a curve.
struct Mark {
  std::size_t curve;
  /// The recipe, and which of those in the picture it is.
  std::string recipe;
  std::size_t recipe_index;
  double lr, loss, change;
};

/// Everything that is decided before a line is drawn: what is shown, on which axes, with which
/// marks and words.
struct Picture {
  std::string title;
  std::vector<DrawnCurve> curves;
  std::vector<Mark> marks;
  /// Why there is no mark, or why one should be taken with care.
  std::vector<std::string> remarks;
  Axis lr, loss, change, metric;
  SymmetricLog change_scale;
  std::string loss_name, metric_name;
  /// Where the region of divergence begins.
  std::optional<double> diverged_from;
  std::optional<double> show_lr;

  /// A picture of one curve shows its raw losses and where it diverges; of several, only the
  /// curves.
  bool single() const { return curves.size() == 1; }
  bool shows_raw_loss() const {
    return single() && !curves[0].raw_loss.empty() && !curves[0].has_band();
  }
};

}  // namespace lrfinder::detail
