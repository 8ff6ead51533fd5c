#pragma once

#include <string>
#include <utility>
#include <vector>

#include <lrfinder/curve/detail/compose.hpp>
#include <lrfinder/curve/detail/graphic_script.hpp>
#include <lrfinder/curve/detail/layout.hpp>
#include <lrfinder/curve/detail/letter_script.hpp>
#include <lrfinder/curve/detail/number_text.hpp>
#include <lrfinder/curve/detail/picture.hpp>
#include <lrfinder/curve/named_curve.hpp>
#include <lrfinder/curve/plot_options.hpp>

namespace lrfinder {

/// The kinds of picture that gnuplot draws.
enum class PictureFormat {
  svg,  ///< vectors, for the web
  png,  ///< pixels
  pdf,  ///< vectors, for print
  txt   ///< letters, for a terminal: the upper panel alone
};

namespace detail {

inline std::string gnuplot_script(const Picture& picture, const Layout& layout,
                                  PictureFormat format) {
  const std::string pixels = std::to_string(layout.width) + "," + std::to_string(layout.height);
  const std::string inches = to_text(layout.width / 100.0) + "," + to_text(layout.height / 100.0);
  GraphicTerminal terminal{"svg fixed size " + pixels, 13, 0.65, ""};
  if (format == PictureFormat::png) terminal = {"pngcairo size " + pixels, 10, 1, ":Bold"};
  if (format == PictureFormat::pdf) {
    terminal = {"pdfcairo fontscale 1 size " + inches, 7.7, 1, ":Bold"};
  }
  return GraphicScript(picture, layout, std::move(terminal)).write();
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
    return detail::letter_script(picture, columns, rows);
  }
  const detail::Layout layout(picture, options.width(), options.height());
  return detail::gnuplot_script(picture, layout, format);
}

}  // namespace lrfinder
