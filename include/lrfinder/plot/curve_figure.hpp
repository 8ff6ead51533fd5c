#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/plot/drawn_curves.hpp>
#include <lrfinder/plot/figure.hpp>
#include <lrfinder/plot/plot_options.hpp>

namespace lrfinder::detail {

/// Makes a figure of curves. For a single curve, it also shows raw losses, trials and divergence.
class CurveFigure {
 public:
  /// `is_text`: whether the figure is drawn with characters instead of lines.
  CurveFigure(const std::vector<NamedCurve>& curves, const PlotOptions& options, bool is_text)
      : drawn_(curves, options), options_(options), is_text_(is_text) {}

  Figure make() {
    figure_.title = options_.title();
    figure_.x_name = "learning rate";
    figure_.x = drawn_.lr_axis();
    figure_.curves = drawn_.tables;
    figure_.remarks = drawn_.remarks.substr(0, drawn_.remarks.find_last_of('\n'));
    add_loss_panel();
    add_lower_panel("change in loss", Drawn::change, drawn_.change_range());
    if (!options_.metric().empty()) {
      add_lower_panel(options_.metric(), Drawn::metric, widened(drawn_.ends_of(Drawn::metric)));
    }
    return std::move(figure_);
  }

 private:
  using Drawn = DrawnCurves;
  static std::string data_of(std::size_t curve) { return "$curve" + std::to_string(curve); }

  /// In print without colours, dashes tell curves apart. In a text plot, characters do.
  std::string line_style(std::size_t curve) const {
    if (is_text_) return " lt " + std::to_string(curve + 1);
    return line_colour(curve) + " dt " + std::to_string(curve % 5 + 1);
  }

  /// On a single curve, each recipe has its own colour. Otherwise, each curve has.
  std::string colour_of(const Mark& mark) const {
    return line_colour(drawn_.is_single ? mark.recipe_index + 1 : mark.curve);
  }

  /// Each recipe has its own filled shape, or its own letter in a text plot.
  std::string shape_of(const Mark& mark) const {
    const std::size_t i = mark.recipe_index;
    return " with points ps 1.1*point_size pt " +
           std::to_string(is_text_ ? i % 26 + 1 : 5 + 2 * ((i + 1) % 5));
  }

  /// The point of a mark on a column of its curve, or at the end of the axis if the curve is
  /// beyond. `label`: the text at the point.
  std::string point_of(const Mark& mark, Drawn::Field field, Range axis,
                       const std::string& label = "") const {
    const double value = drawn_.value_at(mark, field);
    return single_point(mark.suggestion.lr, std::min(std::max(value, axis.low), axis.high), label);
  }

  /// The legend of a curve. With several curves, it has the rates suggested on this one.
  std::string legend_of(std::size_t curve) const {
    std::string text = shortened(drawn_.tables[curve].name, 40);
    const bool has_raw_loss = !drawn_.column(0, Drawn::raw_loss).empty();
    if (drawn_.is_paired && text.empty()) return "paired loss, smoothed";
    if (drawn_.is_single) return !text.empty() ? text : has_raw_loss ? "smoothed loss" : "loss";
    const char* separator = text.empty() ? "lr " : ": lr ";
    for (const Mark& mark : drawn_.marks) {
      if (mark.curve != curve) continue;
      text += separator + rounded(mark.suggestion.lr);
      separator = ", ";
    }
    return text;
  }

  void add_loss_panel() {
    Panel& panel = add_panel(drawn_.tables.front().columns[Drawn::loss].first, drawn_.loss_axis(),
                             options_.metric().empty() ? 1.6 : 1.5);
    if (drawn_.diverged_from && figure_.x.holds(*drawn_.diverged_from)) {
      panel.commands += "set label 'diverged' at " + to_text(*drawn_.diverged_from) +
                        ",graph 0.97 right rotate by 90 offset character 1.2,0 textcolor rgb "
                        "'#707070'\n";
    }
    if (!drawn_.column(0, Drawn::raw_loss).empty()) {
      const std::string size = drawn_.column(0, Drawn::lr).size() > 300 ? "0.3" : "0.45";
      panel.draw(data_of(0) + " using 1:3 with " +
                     (is_text_ ? "dots" : "points pt 7 lc rgb '#7FB8DE' ps point_size*" + size),
                 "raw loss");
    }
    const std::string points = options_.markers() ? "points pt 7 ps 0.5*point_size" : "";
    for (std::size_t i = 0; i < drawn_.tables.size(); ++i) {
      panel.draw(data_of(i) + " using 1:2 with lines" + points + " lw 2.2" + line_style(i),
                 legend_of(i));
    }
    draw_trials(panel);
    draw_marks(panel);
    if (options_.show_lr() && !is_text_ && figure_.x.holds(*options_.show_lr())) {
      panel.draw("NaN with lines dt 2 lw 1.2 lc rgb '#404040'",
                 "lr " + rounded(*options_.show_lr()));
    }
  }

  Panel& add_panel(const std::string& name, const Axis& axis, double height) {
    figure_.panels.push_back({name, axis, height, regions()});
    return figure_.panels.back();
  }

  /// Shades the region of divergence and the interval of a suggestion. Draws lines at rates.
  std::string regions() const {
    if (is_text_) return "";
    // The border shows the interval where it is narrow.
    constexpr const char* grey = "noborder fc rgb '#EDEDED'";
    constexpr const char* green = "border rgb '#8CCFB4' fc rgb '#CFEADF'";
    std::string commands;
    const Axis& axis = figure_.x;
    const auto shade = [&](double low, double high, const char* style) {
      // Stays within the axis, because gnuplot does not accept infinity.
      low = std::max(low, axis.range.low);
      high = std::min(high, axis.range.high);
      if (!(low < high)) return;
      commands += "set object rectangle from " + to_text(low) + ",graph 0 to " + to_text(high) +
                  ",graph 1 behind fs solid " + style + "\n";
    };
    const auto vertical = [&](double rate, const std::string& style) {
      if (!axis.holds(rate)) return;
      const std::string x = to_text(rate);
      commands +=
          "set arrow from " + x + ",graph 0 to " + x + ",graph 1 nohead back lw 1.2" + style + "\n";
    };
    if (drawn_.diverged_from) shade(*drawn_.diverged_from, axis.range.high, grey);
    shade(drawn_.tried.low, drawn_.tried.high, green);
    if (options_.show_lr()) vertical(*options_.show_lr(), " dt 2 lc rgb '#404040'");
    for (const Mark& mark : drawn_.marks) {
      if (drawn_.is_single) vertical(mark.suggestion.lr, " dt 3" + colour_of(mark));
    }
    return commands;
  }

  /// Draws the longest trials and, in another style, the others. Lines join trials that are alike.
  /// A diverged trial is at the top, without a line.
  void draw_trials(Panel& panel) {
    const std::int64_t longest = drawn_.longest_trial();
    const double top = panel.axis.range.high;
    std::vector<Trial> trials = drawn_.tried.trials;
    std::sort(trials.begin(), trials.end(),
              [](const Trial& a, const Trial& b) { return a.lr < b.lr; });
    for (const bool is_long : {false, true}) {
      std::string rows;
      for (const Trial& trial : trials) {
        if ((trial.updates == longest) != is_long) continue;
        rows += gnuplot_number(trial.lr) + " " +
                gnuplot_number(trial.diverged ? top : std::min(trial.loss, top)) + " " +
                gnuplot_number(trial.diverged ? std::nan("") : trial.loss) + "\n";
      }
      if (rows.empty()) continue;
      const std::string name = is_long ? "$long_trials" : "$short_trials";
      figure_.data += concat(name, " << EOD\n", rows, "EOD\n");
      const std::string colour = " lc rgb '#009E73'";
      if (!is_text_) {
        panel.draw(concat(name, " using 1:3 with lines lw 1.2", colour, is_long ? "" : " dt 3"));
      }
      const char* const sign = is_text_ ? (is_long ? "12" : "19") : (is_long ? "7" : "6");
      panel.draw(concat(name, " using 1:2 with points ps 0.9*point_size lw 1.4 pt ", sign, colour),
                 is_long ? concat("trials of ", longest, " updates") : "shorter trials");
    }
    if (!is_text_ && drawn_.tried.high > 0) {
      panel.draw(
          "NaN with boxes fs solid border rgb '#8CCFB4' lc rgb '#CFEADF'",
          concat("interval ", rounded(drawn_.tried.low), " to ", rounded(drawn_.tried.high)));
    }
  }

  void draw_marks(Panel& panel) const {
    const Range shown = panel.axis.range;
    for (const Mark& mark : drawn_.marks) {
      const std::string rate = rounded(mark.suggestion.lr);
      const std::string name = shortened(mark.suggestion.recipe, 30);
      // A text plot has no shade for the interval.
      const auto& [low, high] = std::pair(mark.suggestion.low, mark.suggestion.high);
      const std::string interval =
          is_text_ && high > 0 ? concat(" (", rounded(low), " to ", rounded(high), ")") : "";
      panel.draw(point_of(mark, Drawn::loss, shown) + shape_of(mark) + colour_of(mark),
                 drawn_.is_single ? concat(name, ": ", rate, interval) : "");
      // If there are several curves, the legend says which recipe has which shape.
      const bool is_first = std::none_of(drawn_.marks.data(), &mark, [&](const Mark& other) {
        return other.recipe_index == mark.recipe_index;
      });
      if (!drawn_.is_single && is_first) {
        panel.draw("NaN" + shape_of(mark) + " lc rgb '#303030'", name);
      }
      if (drawn_.marks.size() > 1 || is_text_) continue;
      const bool is_right = figure_.x.position_of(mark.suggestion.lr) > 0.85;
      panel.draw(point_of(mark, Drawn::loss, shown, concat("'lr ", rate, "'")) +
                 " with labels boxed textcolor" + colour_of(mark).substr(3) +
                 (is_right ? " right offset -2,-1" : " left offset 2,1"));
    }
  }

  void add_lower_panel(const std::string& name, Drawn::Field field, Range range) {
    Panel& panel = add_panel(shortened(name, 24), {range}, 1);
    // Where the loss is above its panel, its change would only be spikes.
    const std::string high = gnuplot_number(drawn_.loss_axis().range.high);
    const std::string columns = field == Drawn::change ? " using 1:($2>" + high + "?NaN:$4)"
                                                       : " using 1:" + std::to_string(field + 1);
    for (std::size_t i = 0; i < drawn_.tables.size(); ++i) {
      panel.draw(data_of(i) + columns + " with lines lw 1.5" + line_style(i));
    }
    for (const Mark& mark : drawn_.marks) {
      panel.draw(point_of(mark, field, range) + shape_of(mark) + colour_of(mark));
    }
  }

  const DrawnCurves drawn_;
  const PlotOptions& options_;
  const bool is_text_;
  Figure figure_;
};

}  // namespace lrfinder::detail
