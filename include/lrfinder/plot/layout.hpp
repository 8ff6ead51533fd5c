#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/plot/picture.hpp>

namespace lrfinder::detail {

/// One of the panels that stand above each other and share the axis of learning rates. Its ends are
/// in units from the top of the picture.
struct Panel {
  const Axis* axis;
  std::string name;
  double top, bottom;
};

/// What the legend says of a mark.
inline std::string legend_of(const Mark& mark) {
  return shortened(mark.recipe, 30) + ": " + rounded(mark.lr);
}

/// What the legend says of a curve; among several, with the learning rates suggested on it.
inline std::string legend_of(const Picture& picture, std::size_t curve) {
  const std::string& name = picture.curves[curve].name;
  if (picture.single() && !name.empty()) return shortened(name, 40);
  if (picture.single()) return picture.shows_raw_loss() ? "smoothed loss" : "loss";
  std::string text = shortened(name, 40);
  const char* separator = text.empty() ? "lr " : ": lr ";
  for (const Mark& mark : picture.marks) {
    if (mark.curve == curve) text += separator + rounded(mark.lr), separator = ", ";
  }
  return text;
}

/// The first mark of each recipe.
inline std::vector<Mark> one_mark_per_recipe(const Picture& picture) {
  std::vector<Mark> firsts;
  for (const Mark& mark : picture.marks) {
    const auto same = [&](const Mark& other) { return other.recipe_index == mark.recipe_index; };
    if (std::none_of(firsts.begin(), firsts.end(), same)) firsts.push_back(mark);
  }
  return firsts;
}

/// Where everything stands in a picture. Lengths are in units, of which the picture is 800 wide.
struct Layout {
  Layout(const Picture& picture, int width_in_pixels, int height_in_pixels)
      : width(width_in_pixels), height(height_in_pixels), unit(width_in_pixels / 800.0) {
    title = picture.title.empty() ? std::vector<std::string>() : wrapped(picture.title, 78, 3);
    for (const std::string& remark : picture.remarks) {
      for (const std::string& line : wrapped(remark, 112, 3)) remarks.push_back(line);
    }
    if (remarks.size() > 6) remarks.resize(6);
    place_legend(picture);
    place_panels(picture);
  }

  double fraction_of_width(double units) const { return units * unit / width; }
  double fraction_of_height(double units) const { return units * unit / height; }

  int width;
  int height;
  double unit;
  std::vector<std::string> title;
  std::vector<std::string> remarks;
  double left = 84;
  double right = 780;
  std::size_t legend_columns = 1;
  double legend_top = 0;
  std::vector<Panel> panels;

 private:
  void place_legend(const Picture& picture) {
    std::vector<std::string> entries;
    for (std::size_t i = 0; i < picture.curves.size(); ++i) {
      entries.push_back(legend_of(picture, i));
    }
    if (picture.shows_raw_loss()) entries.emplace_back("raw loss");
    if (picture.trials) entries.insert(entries.end(), {"short trials", "long trials"});
    if (picture.single()) {
      for (const Mark& mark : picture.marks) entries.push_back(legend_of(mark));
    } else {
      for (const Mark& mark : one_mark_per_recipe(picture)) {
        entries.push_back(shortened(mark.recipe, 30));
      }
    }
    if (picture.show_lr) entries.push_back("lr " + rounded(*picture.show_lr));
    std::size_t longest = 0;
    for (const std::string& entry : entries) longest = std::max(longest, length(entry));
    const double entry_width = 50 + 7.5 * static_cast<double>(longest);
    const auto fitting = static_cast<std::size_t>((right - left) / entry_width);
    legend_columns = std::max<std::size_t>(1, std::min(fitting, entries.size()));
    legend_rows_ = (entries.size() + legend_columns - 1) / legend_columns;
  }

  void place_panels(const Picture& picture) {
    legend_top = 10 + 22 * static_cast<double>(title.size());
    const double above = legend_top + 10 + 19 * static_cast<double>(legend_rows_);
    const bool has_metric = !picture.metric_name.empty();
    const double gap = 14;
    const auto room = [&] {
      const double below = remarks.empty() ? 0 : 6 + 15 * static_cast<double>(remarks.size());
      return height / unit - above - 54 - below - (has_metric ? 2 : 1) * gap;
    };
    while (room() < 200 && !remarks.empty()) remarks.pop_back();
    const double share = std::max(room(), 60.0) / (has_metric ? 3.5 : 2.6);
    double top = above;
    const auto add = [&](const Axis& axis, const std::string& name, double parts) {
      panels.push_back({&axis, name, top, top + parts * share});
      top += parts * share + gap;
    };
    add(picture.loss, picture.loss_name, has_metric ? 1.5 : 1.6);
    add(picture.change, "change in loss", 1);
    if (has_metric) add(picture.metric, shortened(picture.metric_name, 24), 1);
  }

  std::size_t legend_rows_ = 1;
};

/// Where the text beside a mark stands, in fractions of the panel from its lower left corner.
struct LabelPlace {
  double x, y;
  bool left_aligned;
};

/// The corner around a mark at which a text of this width and height covers the fewest losses.
inline LabelPlace label_place(double x, double y, double width, double height,
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
