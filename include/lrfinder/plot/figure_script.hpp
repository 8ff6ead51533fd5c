#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/plot/figure.hpp>
#include <lrfinder/plot/plot_options.hpp>

namespace lrfinder::detail {

/// What differs between gnuplot's terminals.
struct Terminal {
  /// The name of the terminal, and its settings.
  std::string_view name;
  /// The size of a pixel in the unit of length of the terminal.
  double pixel;
  /// Sizes at which fonts and points look alike in all terminals.
  double font_size, point_size;
  /// The suffix that makes a font bold.
  std::string_view bold;
  /// Whether the terminal draws with characters. Such a terminal shows only the first panel.
  bool is_text = false;
};

/// Writes a script with which gnuplot draws a figure to its standard output. The user's texts enter
/// the script only through gnuplot_string().
class FigureScript {
 public:
  FigureScript(const Figure& figure, const Terminal& terminal, const PlotOptions& options)
      : figure_(figure), terminal_(terminal), options_(options) {}

  std::string write() {
    line("set encoding utf8");
    terminal_.is_text ? write_text() : write_graphic();
    return std::move(script_);
  }

 private:
  void line(const std::string& command) { script_ += command + "\n"; }

  void write_text() {
    const auto [columns, rows] = options_.text_size().value_or(std::pair(80, 24));
    const std::vector<std::string> remarks = lines_of(
        figure_.remarks, static_cast<std::size_t>(columns - 1), static_cast<std::size_t>(rows / 4));
    const int plot_rows = rows - static_cast<int>(remarks.size());
    line("set terminal " + std::string(terminal_.name) + " noenhanced size " +
         std::to_string(columns) + "," + std::to_string(plot_rows));
    write_data(terminal_.point_size);
    line("set title " +
         gnuplot_label(shortened(figure_.title, static_cast<std::size_t>(columns - 4))));
    line("set key below horizontal width 1\nset border back\nset tics scale 0.5\nset xlabel '" +
         figure_.x_name + "'");
    script_ +=
        figure_.x.commands("x", "1e%L", static_cast<std::size_t>(columns / 12)) +
        figure_.panels.front().axis.commands("y", "1e%L", static_cast<std::size_t>(plot_rows / 3));
    write_plots(figure_.panels.front());
    if (!remarks.empty()) line("set print '-'");
    for (const std::string& text : remarks) line("print " + gnuplot_string(text));
  }

  void write_graphic() {
    const auto [width, height] = options_.size();
    const double scale = std::min(width / 800.0, height / 450.0);
    width_ = width / scale;
    height_ = height / scale;
    line("set terminal " + std::string(terminal_.name) + " size " +
         to_text(width * terminal_.pixel) + "," + to_text(height * terminal_.pixel) +
         " enhanced rounded background rgb 'white' linewidth " + rounded(scale, 4) + font(scale));
    write_data(scale * terminal_.point_size);
    line("set multiplot");
    write_panels(font(1.15 * scale, terminal_.bold));
    line("unset multiplot");
  }

  std::string font(double size, std::string_view weight = "") const {
    return " font 'sans-serif" + std::string(weight) + "," +
           rounded(size * terminal_.font_size, 4) + "'";
  }

  void write_data(double point_size) {
    line("point_size = " + rounded(point_size, 4));
    for (std::size_t i = 0; i < figure_.curves.size(); ++i) {
      script_ += data_block("$curve" + std::to_string(i), figure_.curves[i]);
    }
    script_ += figure_.data;
  }

  /// Gives the panels the room that the title, the legend and the remarks leave. gnuplot itself
  /// makes room for the legend in the first panel. `columns` makes that what is computed here.
  void write_panels(const std::string& title_font) {
    constexpr std::size_t most_ticks = 10;
    std::size_t longest = 0;
    for (const Panel& panel : figure_.panels) {
      longest = std::max(longest, panel.axis.longest_label(most_ticks));
    }
    const double label = 8.4 * static_cast<double>(figure_.x.longest_label(most_ticks));
    left_ = std::max(84.0, 46 + 8.4 * static_cast<double>(longest));
    const double right = std::max(20.0, 4 + label / 2);
    const double inner_width = width_ - left_ - right;
    const auto x_ticks = std::min(most_ticks, static_cast<std::size_t>(inner_width / (label + 20)));
    const std::vector<std::string> title =
        lines_of(figure_.title, static_cast<std::size_t>(inner_width / 8.9), 3);
    const std::vector<std::string> remarks =
        lines_of(figure_.remarks, static_cast<std::size_t>(inner_width / 6.6), 6);
    const Panel& first = figure_.panels.front();
    const double columns = std::max(
        1.0, std::floor(inner_width / (52 + 9.1 * static_cast<double>(first.longest_entry))));
    const double rows = std::ceil(static_cast<double>(first.legend_entries) / columns);
    const double legend = rows > 0 ? 5.5 + 19.5 * rows : 0;
    const double above = 8 + 22 * static_cast<double>(title.size());
    const double below = 66 + 16 * static_cast<double>(remarks.size());
    const double room = height_ - above - below - gap * static_cast<double>(figure_.panels.size());
    double heights = 0;
    for (const Panel& panel : figure_.panels) heights += panel.height;
    const double share = std::max(room - legend, 0.4 * room) / heights;

    double bottom = above + std::min(legend, 0.6 * room);
    for (const Panel& panel : figure_.panels) {
      const double top = bottom + gap;
      bottom = top + panel.height * share;
      const bool is_first = &panel == &first;
      line(frame);
      line("set lmargin at screen " + across(left_) + "\nset rmargin at screen " +
           across(width_ - right) + "\nset bmargin at screen " + down(bottom));
      line(is_first ? "set size 1," + down(above) : "set tmargin at screen " + down(top));
      const auto y_ticks = static_cast<std::size_t>(std::max(2.0, (bottom - top) / 24));
      script_ += figure_.x.commands("x", "10^{%L}", std::max<std::size_t>(2, x_ticks)) +
                 panel.axis.commands("y", "10^{%L}", std::min(most_ticks, y_ticks));
      if (is_first) line("set key maxcols " + to_text(columns));
      line("set label " + gnuplot_label(panel.name) + " at screen " + across(16) +
           ",graph 0.5 center rotate by 90");
      if (is_first) write_labels(title, 20, 22, title_font);
      if (&panel == &figure_.panels.back()) {
        line("set xlabel '" + figure_.x_name + "'");
        write_labels(remarks, bottom + 71, 15, " textcolor rgb '#505050'");
      } else {
        line("set format x ''");
      }
      script_ += panel.commands;
      write_plots(panel);
      if (is_first) line("panels_top = GPVAL_TERM_YMAX");
    }
  }

  static std::vector<std::string> lines_of(const std::string& text, std::size_t width,
                                           std::size_t most) {
    return text.empty() ? std::vector<std::string>() : wrapped(text, width, most);
  }

  std::string across(double units) const { return to_text(units / width_); }
  std::string down(double units) const { return to_text(1 - units / height_); }

  /// Writes lines of text, from `top` downwards.
  void write_labels(const std::vector<std::string>& lines, double top, double height,
                    const std::string& style) {
    for (const std::string& text : lines) {
      line("set label " + gnuplot_label(text) + " at screen " + across(left_) + "," + down(top) +
           style);
      top += height;
    }
  }

  void write_plots(const Panel& panel) {
    // gnuplot fails if no value is finite. So a finite point without any text is added.
    line("plot " + panel.plots + single_point(figure_.x.range.low, panel.axis.range.low, "''") +
         " with labels notitle");
  }

  static constexpr double gap = 14;
  // `reset` forgets errors.
  static constexpr const char* frame = R"(if (exists('GPVAL_ERRNO') && GPVAL_ERRNO) failed = 1
reset
set minussign
set border 3 lc rgb '#606060'
set tics nomirror out scale 0.6,0.3 textcolor rgb '#303030'
set xzeroaxis lt 1 lc rgb '#909090'
set grid xtics ytics lt 1 lc rgb '#E8E8E8' lw 0.8
set style textbox opaque noborder fc rgb '#FFFFFF' margins 0.5,0.5
set key tmargin left horizontal Left reverse samplen 1.6 width 1 textcolor rgb '#303030')";

  const Figure& figure_;
  const Terminal& terminal_;
  const PlotOptions& options_;
  /// In pixels of a picture of 800 by 600.
  double width_ = 0, height_ = 0, left_ = 0;
  std::string script_;
};

}  // namespace lrfinder::detail
