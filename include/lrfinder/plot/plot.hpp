#pragma once

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <ostream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <lrfinder/detail/files.hpp>
#include <lrfinder/detail/system.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/plot/compose.hpp>
#include <lrfinder/plot/gnuplot.hpp>
#include <lrfinder/plot/gnuplot_script.hpp>
#include <lrfinder/plot/html_page.hpp>
#include <lrfinder/plot/layout.hpp>
#include <lrfinder/plot/options.hpp>

namespace lrfinder {

namespace detail {

/// The ending of a file's name in lower case, without the dot.
inline std::string ending_of(const std::string& path) {
  const std::size_t dot = path.find_last_of("./");
  if (dot == std::string::npos || path[dot] == '/') return "";
  std::string ending = path.substr(dot + 1);
  for (char& letter : ending) {
    letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  return ending;
}

/// What gnuplot wrote as text, which on Windows has a carriage return in every line.
inline std::string with_plain_line_ends(std::string text) {
  text.erase(std::remove(text.begin(), text.end(), '\r'), text.end());
  return text;
}

/// The contents of a picture's file, by the ending of its name. `script(format)` draws it; `page()`
/// makes the html page.
template <class Script, class Page>
std::string picture_file(const std::string& ending, Script&& script, Page&& page) {
  if (ending == "svg") return with_plain_line_ends(run_gnuplot(script(PictureFormat::svg)));
  if (ending == "png") return run_gnuplot(script(PictureFormat::png));
  if (ending == "pdf") return run_gnuplot(script(PictureFormat::pdf));
  if (ending == "html") return page();
  if (ending == "gp") {
    return "# Draw with: gnuplot FILE > picture.svg\n" + script(PictureFormat::svg);
  }
  if (ending == "txt") {
    const std::string text = with_plain_line_ends(run_gnuplot(script(PictureFormat::txt)));
    return text.substr(text.front() == '\f' ? 1 : 0);
  }
  throw PlotError("plot: the file ends in \"" + printable(ending) +
                  "\"; it must end in .svg, .png, .pdf, .html, .txt or .gp");
}

inline std::string picture_file(const std::vector<NamedCurve>& curves, const std::string& ending,
                                const PlotOptions& options) {
  const auto script = [&](PictureFormat format) { return gnuplot_script(curves, format, options); };
  const auto page = [&] {
    const Picture picture = Composer(curves, options).compose();
    const Layout layout(picture, options.width(), options.height());
    return html_page(
        picture, layout,
        with_plain_line_ends(run_gnuplot(gnuplot_script(picture, layout, PictureFormat::svg))));
  };
  return picture_file(ending, script, page);
}

/// The options with the size of the terminal, unless they have one.
inline PlotOptions sized_for_terminal(PlotOptions options) {
  if (options.text_size()) return options;
  const TerminalSize terminal = terminal_size(stdout);
  return options.text_size(std::clamp(terminal.columns, 40, 160),
                           std::clamp(terminal.rows - 2, 10, 40));
}

inline void write_picture(const std::string& path, std::string_view contents) {
  try {
    replace_file(path, contents);
  } catch (const std::system_error& fault) {
    throw PlotError("plot: cannot write " + printable(path) + ": " + fault.code().message());
  }
}

}  // namespace detail

/// Draws several curves into one picture: the smoothed losses above, their change per iteration
/// below, and the suggestion on each.
///
///     plot({{"wd 0", h0}, {"wd 1e-4", h1}}, "weight_decay.svg");
///
/// `path`: its ending selects the format: .svg, .png, .pdf, .html (shows the values under the
/// pointer; needs no network), .txt, or .gp (see write_gnuplot). Where the picture cannot be drawn
/// or written, the file stays as it was. Needs gnuplot 5.4 or newer on PATH.
///
/// Throws PlotError where the picture cannot be drawn or written, InvalidOption for options that
/// make no sense, InvalidHistory where the columns of a history differ in length.
inline void plot(const std::vector<NamedCurve>& curves, const std::string& path,
                 const PlotOptions& options = {}) {
  detail::write_picture(path, detail::picture_file(curves, detail::ending_of(path), options));
}

/// Draws one curve: above the raw losses as points, the smoothed loss as a line, the suggestion,
/// and where the loss diverged; below the change of the loss per iteration, on a symmetric
/// logarithmic axis. The rest is as for several curves.
inline void plot(const History& history, const std::string& path, const PlotOptions& options = {}) {
  plot(std::vector<NamedCurve>{{"", history}}, path, options);
}

/// Writes a text plot of several curves, as large as the terminal or PlotOptions::text_size.
inline void plot(const std::vector<NamedCurve>& curves, std::ostream& out,
                 const PlotOptions& options = {}) {
  out << detail::picture_file(curves, "txt", detail::sized_for_terminal(options));
}

/// Writes a text plot of one curve, as large as the terminal or PlotOptions::text_size.
inline void plot(const History& history, std::ostream& out, const PlotOptions& options = {}) {
  plot(std::vector<NamedCurve>{{"", history}}, out, options);
}

/// Writes the gnuplot script that draws several curves, data included, to be edited or run on
/// another machine: `gnuplot FILE > picture.svg`. gnuplot need not be installed here.
inline void write_gnuplot(const std::vector<NamedCurve>& curves, const std::string& path,
                          const PlotOptions& options = {}) {
  detail::write_picture(path, detail::picture_file(curves, "gp", options));
}

/// Writes the gnuplot script that draws one curve, data included.
inline void write_gnuplot(const History& history, const std::string& path,
                          const PlotOptions& options = {}) {
  write_gnuplot(std::vector<NamedCurve>{{"", history}}, path, options);
}

}  // namespace lrfinder
