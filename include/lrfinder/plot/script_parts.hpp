#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/plot/axis.hpp>
#include <lrfinder/plot/picture.hpp>

// Pieces of gnuplot scripts. Nothing a user names gets into a script except as a gnuplot_string,
// and none of it is markup: every terminal is set to `noenhanced`.
namespace lrfinder::detail {

/// A string of gnuplot's that stands for exactly this text. Within single quotes gnuplot knows no
/// escapes, no commands in backquotes and no macros. What cannot stand there is joined to the rest
/// as a constant; a doubled quote will not do, as gnuplot 5.4 misreads one at the beginning.
inline std::string gnuplot_string(std::string_view text) {
  std::string quoted = "'";
  for (const auto& character : characters(text)) {
    if (character == "'") {
      quoted += R"('."\047".')";
    } else if (character == "\n") {
      quoted += R"('."\n".')";
    } else {
      quoted += character;
    }
  }
  return quoted + "'";
}

/// Okabe and Ito's colours, which can be told apart with any colour vision.
inline std::string colour(std::size_t i) {
  static constexpr std::array<const char*, 7> colours = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                         "#E69F00", "#56B4E9", "#000000"};
  return std::string(" lc rgb '") + colours[i % colours.size()] + "'";
}

/// Dashes and shapes tell curves and marks apart in print without colours.
inline std::string dashes(std::size_t i) {
  static constexpr std::array<const char*, 5> patterns = {"1", "(16,10)", "(2,8)", "(16,8,2,8)",
                                                          "(28,8)"};
  return std::string(" dt ") + patterns[i % patterns.size()];
}
inline std::string shape(std::size_t i) {
  static constexpr std::array<int, 5> shapes = {7, 13, 9, 5, 11};
  return " pt " + std::to_string(shapes[i % shapes.size()]);
}

/// The name of a curve's data.
inline std::string block(std::size_t curve) { return "$curve" + std::to_string(curve); }

/// A number as gnuplot reads it. What is not finite is undefined: nothing is drawn there.
inline std::string number_or_gap(double value) {
  return std::isfinite(value) ? to_text(value) : "NaN";
}

/// The data of all curves, and the scale on which changes are drawn.
inline std::string data_blocks(const Picture& picture) {
  std::string text =
      "# lr, smoothed loss, raw loss, change in loss, lower and upper end of the band, metric\n";
  for (std::size_t i = 0; i < picture.curves.size(); ++i) {
    const DrawnCurve& curve = picture.curves[i];
    text += block(i) + " << EOD\n";
    for (std::size_t row = 0; row < curve.lr.size(); ++row) {
      const char* separator = "";
      for (const Column* column : {&curve.lr, &curve.loss, &curve.raw_loss, &curve.change,
                                   &curve.lower, &curve.upper, &curve.metric}) {
        text += separator + (column->empty() ? "NaN" : number_or_gap((*column)[row]));
        separator = " ";
      }
      text += "\n";
    }
    text += "EOD\n";
  }
  return text + "symlog(y) = sgn(y) * log10(1 + abs(y) / " +
         to_text(picture.change_scale.threshold) + ")\n";
}

/// The data of the trials; nothing where there are none.
inline std::string trial_blocks(const Picture& picture) {
  if (!picture.trials) return {};
  const auto data = [](const char* name, const Column& lr, const Column& loss) {
    std::string text = std::string("$") + name + " << EOD\nNaN NaN\n";
    for (std::size_t i = 0; i < lr.size(); ++i) {
      text += number_or_gap(lr[i]) + " " + number_or_gap(loss[i]) + "\n";
    }
    return text + "EOD\n";
  };
  const DrawnTrials& trials = *picture.trials;
  return data("short_trials", trials.short_lr, trials.short_loss) +
         data("long_trials", trials.long_lr, trials.long_loss);
}

inline std::string ticks(const Axis& axis, bool labelled) {
  std::string text;
  for (const Tick& tick : axis.ticks) {
    text += (text.empty() ? "" : ", ") + gnuplot_string(labelled ? tick.label : "") + " " +
            to_text(tick.position) + (tick.label.empty() ? " 1" : " 0");
  }
  return "(" + text + ")";
}

/// The commands that set up one axis: "x" or "y".
inline std::string axis_commands(const std::string& name, const Axis& axis, bool labelled) {
  return (axis.logarithmic ? "set logscale " : "unset logscale ") + name + "\nset " + name +
         "range [" + to_text(axis.range.low) + ":" + to_text(axis.range.high) + "]\nset " + name +
         "tics " + ticks(axis, labelled) + "\n";
}

/// Something to plot that is a single point.
inline std::string point(double x, double y) {
  return "'+' using (" + number_or_gap(x) + "):(" + number_or_gap(y) + ") every ::::0";
}

/// Something to plot that is defined and cannot be seen. Without it a curve of which nothing can be
/// drawn is an error to gnuplot.
inline std::string nothing(const Axis& x, const Axis& y) {
  return "'+' using (" + to_text(x.range.low) + "):(" + to_text(y.range.low) +
         ") every ::::0 with lines notitle\n";
}

}  // namespace lrfinder::detail
