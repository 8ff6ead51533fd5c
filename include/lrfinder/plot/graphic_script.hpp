#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/plot/layout.hpp>
#include <lrfinder/plot/picture.hpp>
#include <lrfinder/plot/script_parts.hpp>

namespace lrfinder::detail {

/// What differs between gnuplot's terminals.
struct GraphicTerminal {
  std::string name_and_size;
  /// Scales at which fonts and points have the same size in each, on a picture 800 units wide.
  double font_scale;
  double point_scale;
  /// What makes a font bold.
  const char* bold;
};

/// Writes the script that draws a picture with lines: its panels one above the other.
class GraphicScript {
 public:
  GraphicScript(const Picture& picture, const Layout& layout, GraphicTerminal terminal)
      : picture_(picture), layout_(layout), terminal_(std::move(terminal)) {}

  std::string write() {
    line("set encoding utf8");
    line("set terminal " + terminal_.name_and_size + " noenhanced rounded background rgb 'white'" +
         font(1));
    script_ += data_blocks(picture_) + trial_blocks(picture_);
    line("set multiplot");
    for (std::size_t i = 0; i < layout_.panels.size(); ++i) panel(i);
    line("unset multiplot");
    return script_;
  }

 private:
  void line(const std::string& command) { script_ += command + "\n"; }

  std::string scaled(double size) const { return rounded(size * layout_.unit, 4); }
  std::string width(double size) const { return " lw " + scaled(size); }
  std::string point_size(double size) const {
    return " ps " + scaled(size * terminal_.point_scale);
  }

  /// `size`: relative to the font of the axes.
  std::string font(double size, const std::string& weight = "") const {
    return " font 'sans-serif" + weight + "," + scaled(size * terminal_.font_scale) + "'";
  }

  /// Text at a place of the whole picture, given in units from its upper left corner.
  void text(double x, double y, const std::string& label, const std::string& style) {
    line("set label " + gnuplot_string(label) + " at screen " +
         to_text(layout_.fraction_of_width(x)) + "," + to_text(1 - layout_.fraction_of_height(y)) +
         " " + style);
  }

  void panel(std::size_t index) {
    const Panel& panel = layout_.panels[index];
    const bool last = index + 1 == layout_.panels.size();
    line("reset");
    line("set border 3 lc rgb '#606060'" + width(1));
    line("set tics nomirror out scale 0.6,0.3 textcolor rgb '#303030'");
    line("set grid xtics ytics lt 1 lc rgb '#E8E8E8'" + width(0.8));
    line("set lmargin at screen " + to_text(layout_.fraction_of_width(layout_.left)));
    line("set rmargin at screen " + to_text(layout_.fraction_of_width(layout_.right)));
    line("set bmargin at screen " + to_text(1 - layout_.fraction_of_height(panel.bottom)));
    line("set tmargin at screen " + to_text(1 - layout_.fraction_of_height(panel.top)));
    script_ += axis_commands("x", picture_.lr, last) + axis_commands("y", *panel.axis, true);
    text(18, (panel.bottom + panel.top) / 2, panel.name, "center rotate by 90");
    regions(index == 0);
    if (index == 0) header();
    if (last) footer(panel.bottom);
    script_ += "plot ";
    if (index == 0) losses();
    if (index == 1) changes();
    if (index == 2) metrics();
    script_ += nothing(picture_.lr, *panel.axis);
  }

  void regions(bool with_label) {
    if (picture_.diverged_from && picture_.lr.holds(*picture_.diverged_from)) {
      line("set object rectangle from " + to_text(*picture_.diverged_from) +
           ",graph 0 to graph 1,1 behind fc rgb '#EDEDED' fs solid noborder");
      const double left = picture_.lr.fraction(*picture_.diverged_from);
      if (with_label) {
        line("set label 'diverged' at graph " + to_text(std::min((left + 1) / 2, left + 0.025)) +
             ",0.97 right rotate by 90 textcolor rgb '#707070'");
      }
    }
    if (picture_.trials) {
      // Within the axis, as infinity is no number to gnuplot.
      const double low = std::max(picture_.trials->low, picture_.lr.range.low);
      const double high = std::min(picture_.trials->high, picture_.lr.range.high);
      if (low < high) {
        line("set object rectangle from " + to_text(low) + ",graph 0 to " + to_text(high) +
             ",graph 1 behind fc rgb '#DDEFE6' fs solid noborder");
      }
    }
    if (picture_.show_lr) vertical(*picture_.show_lr, " dt 2 lc rgb '#404040'");
    if (!picture_.single()) return;
    for (const Mark& mark : picture_.marks) vertical(mark.lr, " dt 3" + colour_of(mark));
  }

  void vertical(double lr, const std::string& style) {
    if (!picture_.lr.holds(lr)) return;
    const std::string x = to_text(lr);
    line("set arrow from " + x + ",graph 0 to " + x + ",graph 1 nohead back" + width(1.2) + style);
  }

  void header() {
    double y = 20;
    for (const std::string& title : layout_.title) {
      text(layout_.left, y, title, "left" + font(1.15, terminal_.bold));
      y += 22;
    }
    line("set key at screen " + to_text(layout_.fraction_of_width(layout_.left)) + "," +
         to_text(1 - layout_.fraction_of_height(layout_.legend_top)) +
         " left top horizontal Left reverse samplen 1.6 maxcols " +
         std::to_string(layout_.legend_columns) + " textcolor rgb '#303030'");
    if (picture_.single() && picture_.marks.size() == 1) label(picture_.marks.front());
  }

  /// The suggested learning rate beside its mark.
  void label(const Mark& mark) {
    if (!picture_.lr.holds(mark.lr) || !picture_.loss.holds(mark.loss)) return;
    const std::string text = "lr " + rounded(mark.lr);
    const Panel& panel = layout_.panels.front();
    const LabelPlace place =
        label_place(picture_.lr.fraction(mark.lr), picture_.loss.fraction(mark.loss),
                    8 * static_cast<double>(text.size()) / (layout_.right - layout_.left),
                    18 / (panel.bottom - panel.top), picture_);
    line("set style textbox opaque noborder fc rgb '#FFFFFF' margins 0.5,0.5");
    line("set label " + gnuplot_string(text) + " at graph " + to_text(place.x) + "," +
         to_text(place.y) + (place.left_aligned ? " left" : " right") + " front boxed textcolor" +
         colour_of(mark).substr(3));
  }

  void footer(double bottom) {
    double y = bottom + 42;
    text((layout_.left + layout_.right) / 2, y, "learning rate", "center");
    y += 6;
    for (const std::string& remark : layout_.remarks) {
      text(layout_.left, y += 15, remark, "left textcolor rgb '#505050'");
    }
  }

  void add(const std::string& plot) { script_ += plot + ", "; }

  void losses() {
    for (std::size_t i = 0; i < picture_.curves.size(); ++i) {
      if (!picture_.curves[i].has_band()) continue;
      add(block(i) + " using 1:5:6 with filledcurves" + colour(i) +
          " fs transparent solid 0.2 noborder notitle");
    }
    for (std::size_t i = 0; i < picture_.curves.size(); ++i) {
      const DrawnCurve& curve = picture_.curves[i];
      if (picture_.shows_raw_loss()) {
        const std::string style = " with points pt 7 lc rgb '#9CCBEA'";
        add(block(i) + " using 1:3" + style + point_size(curve.lr.size() > 300 ? 0.3 : 0.45) +
            " notitle");
        add("NaN" + style + point_size(0.6) + " title 'raw loss'");
      }
      add(block(i) + " using 1:2 with lines" + width(2.2) + colour(i) + dashes(i) + " title " +
          gnuplot_string(legend_of(picture_, i)));
    }
    if (picture_.trials) {
      add("$short_trials using 1:2 with points pt 6 lc rgb '#009E73'" + width(1.4) +
          point_size(0.9) + " title 'short trials'");
      add("$long_trials using 1:2 with points pt 7 lc rgb '#009E73'" + point_size(0.9) +
          " title 'long trials'");
    }
    for (const Mark& mark : picture_.marks) {
      add(point(mark.lr, mark.loss) + style_of(mark) +
          (picture_.single() ? " title " + gnuplot_string(legend_of(mark)) : " notitle"));
    }
    for (const Mark& mark : one_mark_per_recipe(picture_)) {
      if (picture_.single()) break;
      add("NaN with points lc rgb '#303030'" + point_size(1.1) + shape(mark.recipe_index) +
          " title " + gnuplot_string(shortened(mark.recipe, 30)));
    }
    if (picture_.show_lr) {
      add("NaN with lines dt 2 lc rgb '#404040'" + width(1.2) + " title " +
          gnuplot_string("lr " + rounded(*picture_.show_lr)));
    }
  }

  void changes() {
    add("0 with lines lc rgb '#909090'" + width(1) + " notitle");
    for (std::size_t i = 0; i < picture_.curves.size(); ++i) {
      add(block(i) + " using 1:(symlog($4)) with lines" + width(1.5) + colour(i) + " notitle");
    }
    for (const Mark& mark : picture_.marks) {
      add(point(mark.lr, picture_.change_scale(mark.change)) + style_of(mark) + " notitle");
    }
  }

  void metrics() {
    for (std::size_t i = 0; i < picture_.curves.size(); ++i) {
      add(block(i) + " using 1:7 with lines" + width(1.8) + colour(i) + dashes(i) + " notitle");
    }
  }

  /// On one curve each recipe has its own colour; on several a mark has the colour of its curve.
  std::string colour_of(const Mark& mark) const {
    return colour(picture_.single() ? mark.recipe_index + 1 : mark.curve);
  }

  std::string style_of(const Mark& mark) const {
    return " with points" + shape(mark.recipe_index) + point_size(1.1) + colour_of(mark);
  }

  const Picture& picture_;
  const Layout& layout_;
  GraphicTerminal terminal_;
  std::string script_;
};

}  // namespace lrfinder::detail
