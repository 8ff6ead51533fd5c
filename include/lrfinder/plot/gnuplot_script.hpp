#pragma once

#include <cstddef>
#include <functional>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/plot/compose.hpp>
#include <lrfinder/plot/graphic_script.hpp>
#include <lrfinder/plot/layout.hpp>
#include <lrfinder/plot/options.hpp>
#include <lrfinder/plot/picture.hpp>
#include <lrfinder/plot/script_parts.hpp>

namespace lrfinder::detail {

/// The script that draws the losses of a picture as text, for a terminal.
inline std::string text_script(const Picture& picture, int columns, int rows) {
  const std::string size = std::to_string(columns) + "," + std::to_string(rows);
  std::string script = "set encoding utf8\nset terminal dumb noenhanced mono size " + size + "\n" +
                       data_blocks(picture);
  if (!picture.title.empty()) {
    const std::string title = shortened(picture.title, static_cast<std::size_t>(columns) - 4);
    script += "set title " + gnuplot_string(title) + "\n";
  }
  script += "set key below horizontal\nset tics scale 0.5\nset xlabel 'learning rate'\n" +
            axis_commands("x", picture.lr, true) + axis_commands("y", picture.loss, true) + "plot ";
  const auto add = [&](const std::string& data, bool defined, char character,
                       const std::string& title) {
    // gnuplot 5.4 crashes on characters as points where there is only one and it is undefined.
    script += (defined ? data : "NaN") + " with points pt '" + character + "' title " +
              gnuplot_string(title) + ", ";
  };
  const auto defined = [&](double lr, double loss) {
    return picture.lr.defines(lr) && picture.loss.defines(loss);
  };
  const auto any_defined = [&](const Column& lr, const Column& loss) {
    return std::inner_product(lr.begin(), lr.end(), loss.begin(), false, std::logical_or<>(),
                              defined);
  };
  for (std::size_t i = 0; i < picture.curves.size(); ++i) {
    const DrawnCurve& curve = picture.curves[i];
    if (picture.shows_raw_loss()) {
      add(block(i) + " using 1:3", any_defined(curve.lr, curve.raw_loss), '.', "raw loss");
    }
    add(block(i) + " using 1:2", any_defined(curve.lr, curve.loss), "*o#x+%="[i % 7],
        legend_of(picture, i));
  }
  for (const Mark& mark : picture.marks) {
    add(point(mark.lr, mark.loss), defined(mark.lr, mark.loss), '@',
        picture.single() ? legend_of(mark) : "");
  }
  return script + nothing(picture.lr, picture.loss);
}

}  // namespace lrfinder::detail

namespace lrfinder {

/// The kinds of picture that gnuplot draws.
enum class PictureFormat {
  svg,  ///< vectors, for the web
  png,  ///< pixels
  pdf,  ///< vectors, for print
  txt   ///< text, for a terminal: only the upper panel
};

namespace detail {

/// The terminal that draws a picture of so many pixels.
inline GraphicTerminal graphic_terminal(PictureFormat format, int width, int height) {
  const std::string pixels = std::to_string(width) + "," + std::to_string(height);
  const std::string inches = to_text(width / 100.0) + "," + to_text(height / 100.0);
  if (format == PictureFormat::png) return {"pngcairo size " + pixels, 10, 1, ":Bold"};
  if (format == PictureFormat::pdf) {
    return {"pdfcairo fontscale 1 size " + inches, 7.7, 1, ":Bold"};
  }
  return {"svg fixed size " + pixels, 13, 0.65, ""};
}

inline std::string gnuplot_script(const Picture& picture, const Layout& layout,
                                  PictureFormat format) {
  return GraphicScript(picture, layout, graphic_terminal(format, layout.width, layout.height))
      .write();
}

}  // namespace detail

/// The script with which gnuplot draws a picture of one curve or several, data included. It writes
/// the picture to its standard output, and names no file.
///
/// Throws InvalidOption for options that make no sense, PlotError where there is nothing to draw,
/// InvalidHistory where the columns of a history differ in length.
inline std::string gnuplot_script(const std::vector<NamedCurve>& curves, PictureFormat format,
                                  const PlotOptions& options = {}) {
  const detail::Picture picture = detail::Composer(curves, options).compose();
  if (format == PictureFormat::txt) {
    const auto [columns, rows] = options.text_size().value_or(std::pair(80, 24));
    return detail::text_script(picture, columns, rows);
  }
  const detail::Layout layout(picture, options.width(), options.height());
  return detail::gnuplot_script(picture, layout, format);
}

}  // namespace lrfinder
