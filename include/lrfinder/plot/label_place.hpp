#pragma once

#include <array>
#include <cmath>
#include <cstddef>

#include <lrfinder/plot/picture.hpp>

namespace lrfinder::detail {

/// Where the words beside a mark stand, in fractions of the panel from its lower left corner.
struct LabelPlace {
  double x, y;
  bool left_aligned;
};

/// The corner around a mark at which words of this width and height cover the fewest losses.
inline LabelPlace place_beside(double x, double y, double width, double height,
                               const Picture& picture) {
  constexpr double gap = 0.02;
  const std::array<LabelPlace, 4> corners = {{{x + gap, y + 1.5 * gap + height / 2, true},
                                              {x - gap, y - 1.5 * gap - height / 2, false},
                                              {x - gap, y + 1.5 * gap + height / 2, false},
                                              {x + gap, y - 1.5 * gap - height / 2, true}}};
  const auto covered = [&](const LabelPlace& place) {
    const double left = place.left_aligned ? place.x : place.x - width;
    const bool inside =
        left >= 0 && left + width <= 1 && place.y - height / 2 >= 0 && place.y + height / 2 <= 1;
    std::size_t points = inside ? 0 : 1000000;
    for (const DrawnCurve& curve : picture.curves) {
      for (const Column* losses : {&curve.loss, &curve.raw_loss}) {
        for (std::size_t i = 0; i < losses->size(); ++i) {
          const double point = picture.lr.fraction(curve.lr[i]) - left;
          const double above = picture.loss.fraction((*losses)[i]) - place.y;
          points +=
              point >= -gap && point <= width + gap && std::fabs(above) <= height / 2 + gap / 2;
        }
      }
    }
    return points;
  };
  LabelPlace best = corners.front();
  for (const LabelPlace& place : corners) {
    if (covered(place) < covered(best)) best = place;
  }
  return best;
}

}  // namespace lrfinder::detail
