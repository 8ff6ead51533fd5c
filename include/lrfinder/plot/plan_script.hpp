#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/plot/axis.hpp>
#include <lrfinder/plot/gnuplot_script.hpp>
#include <lrfinder/plot/options.hpp>
#include <lrfinder/plot/script_parts.hpp>

namespace lrfinder::detail {

/// The values of a plan at some steps, as a picture shows them.
struct DrawnPlan {
  /// `peak`: the highest rate; without one the rates are shares of it.
  ///
  /// Throws InvalidOption for a plan without steps.
  DrawnPlan(const TrainingPlan& plan, std::optional<double> peak) {
    static_cast<void>(plan.fraction(0));
    constexpr std::int64_t max_points = 2000;
    const std::int64_t last = plan.steps() - 1;
    const std::int64_t points = std::min(plan.steps(), max_points);
    for (std::int64_t i = 0; i < points; ++i) {
      const std::int64_t step =
          points > 1 ? last / (points - 1) * i + last % (points - 1) * i / (points - 1) : 0;
      steps.push_back(static_cast<double>(step));
      rates.push_back(peak.value_or(1) * plan.fraction(step));
      if (const auto momentum = plan.momentum(step)) momenta.push_back(*momentum);
    }
  }

  std::string data() const {
    std::string text = "$plan << EOD\n";
    for (std::size_t i = 0; i < steps.size(); ++i) {
      text += to_text(steps[i]) + " " + to_text(rates[i]);
      if (!momenta.empty()) text += " " + to_text(momenta[i]);
      text += "\n";
    }
    return text + "EOD\n";
  }

  std::vector<double> steps, rates, momenta;
};

/// An axis from the lowest to the highest of the values, and somewhat beyond.
inline Axis axis_around(const std::vector<double>& values, int ticks) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double margin = *high > *low ? 0.04 * (*high - *low) : 0.1 * std::max(*high, 1e-12);
  return linear_axis({*low - margin, std::min(*high + margin, std::numeric_limits<double>::max())},
                     ticks);
}

/// The script that draws a plan: the rates over the steps and, where the plan cycles the momentum,
/// the momentum below.
inline std::string plan_script(const TrainingPlan& plan, std::optional<double> peak,
                               PictureFormat format, const PlotOptions& options) {
  const DrawnPlan drawn(plan, peak);
  const std::string title = options.title().empty() ? to_string(plan) : options.title();
  const std::string rate_name = peak ? "learning rate" : "share of the peak";
  const Axis steps = linear_axis({drawn.steps.front(), std::max(drawn.steps.back(), 1.0)}, 8);
  const Axis rates = axis_around(drawn.rates, 6);
  if (format == PictureFormat::txt) {
    const auto [columns, rows] = options.text_size().value_or(std::pair(80, 24));
    return "set encoding utf8\nset terminal dumb noenhanced mono size " + std::to_string(columns) +
           "," + std::to_string(rows) + "\n" + drawn.data() + "set title " +
           gnuplot_string(shortened(title, static_cast<std::size_t>(columns) - 4)) +
           "\nunset key\nset tics scale 0.5\nset xlabel 'step'\n" +
           axis_commands("x", steps, true) + axis_commands("y", rates, true) +
           "plot $plan using 1:2 with lines\n";
  }
  const double unit = options.width() / 800.0;
  const auto size = [&](double value) { return rounded(value * unit, 4); };
  const GraphicTerminal terminal = graphic_terminal(format, options.width(), options.height());
  std::string script = "set encoding utf8\nset terminal " + terminal.name_and_size +
                       " noenhanced rounded background rgb 'white' font 'sans-serif," +
                       size(terminal.font_scale) + "'\n" + drawn.data();
  const bool two_panels = !drawn.momenta.empty();
  script += "set multiplot layout " + std::string(two_panels ? "2" : "1") + ",1\n";
  const auto panel = [&](const std::string& name, const Axis& axis, int column, bool first,
                         bool last) {
    script += "set border 3 lc rgb '#606060' lw " + size(1) +
              "\nset tics nomirror out scale 0.6,0.3 textcolor rgb '#303030'\n"
              "set grid xtics ytics lt 1 lc rgb '#E8E8E8' lw " +
              size(0.8) + "\nunset key\nset lmargin 12\nset rmargin 3\n" +
              (first ? "set title " + gnuplot_string(title) + "\n" : "unset title\n") +
              (last ? "set xlabel 'step'\n" : "unset xlabel\n") + "set ylabel " +
              gnuplot_string(name) + "\n" + axis_commands("x", steps, true) +
              axis_commands("y", axis, true) + "plot $plan using 1:" + std::to_string(column) +
              " with lines lw " + size(2.5) + colour(static_cast<std::size_t>(column - 2)) + "\n";
  };
  panel(rate_name, rates, 2, true, !two_panels);
  if (two_panels) panel("momentum", axis_around(drawn.momenta, 4), 3, false, true);
  return script + "unset multiplot\n";
}

}  // namespace lrfinder::detail
