#pragma once

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include <lrfinder/detail/files.hpp>
#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/system.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/plot/figure.hpp>
#include <lrfinder/plot/figure_script.hpp>
#include <lrfinder/plot/plot_options.hpp>

namespace lrfinder::detail {

/// Runs gnuplot, found on PATH, on a script. Returns what it writes to its standard output.
///
/// The script is all that gnuplot gets: it is started without a shell, reads no settings of the
/// user's, and is given no file names. Temporary files are its input, output and errors: a pipe
/// could break or fill up. `time_limit`: for how long it may run; then it is killed.
///
/// Throws PlotError if gnuplot is missing or fails, or if it could not write all of its output. The
/// message includes that of gnuplot.
inline std::string run_gnuplot(std::string_view script,
                               std::chrono::milliseconds time_limit = std::chrono::minutes(1)) {
  // Checked, because gnuplot goes on after an error or a failed write, and its status may be
  // unknown.
  static constexpr std::string_view end_mark = "lrfinder: end of the output";
  const std::string commands =
      concat(script, "\nset output\nset print '-'\nif (!exists('failed')) failed = 0\n",
             "if (!failed && !GPVAL_ERRNO) print '", end_mark, "'\n");
  int status = 0;
  std::string output, errors;
  try {
    const auto make_file = [] { return temporary_file(temporary_folder()); };
    File files[] = {make_file(), make_file(), make_file()};
    files[0].write_at(0, commands.data(), commands.size());
    status = run_program({"gnuplot", "--default-settings"},
                         {files[0].descriptor(), files[1].descriptor(), files[2].descriptor()},
                         time_limit);
    output = files[1].contents();
    errors = files[2].contents();
  } catch (const std::filesystem::filesystem_error& fault) {
    throw PlotError("plot: " + printable(fault.what()) +
                    "; set TMPDIR, on Windows TMP, to a folder that you can write to");
  } catch (const std::system_error& fault) {
    if (fault.code() == std::errc::no_such_file_or_directory) {
      throw PlotError(
          "plot: gnuplot was not found on PATH; install gnuplot 5.4 or newer (Debian, Ubuntu: apt "
          "install gnuplot-nox; Fedora: dnf install gnuplot-minimal; macOS: brew install gnuplot), "
          "or plot into a .gp file and draw that on another machine");
    }
    if (fault.code() == std::errc::timed_out) {
      throw PlotError("plot: gnuplot did not end within " +
                      rounded(static_cast<double>(time_limit.count()) / 1000) +
                      " s and was killed; draw fewer iterations, or plot into a .gp file "
                      "and run gnuplot on that");
    }
    throw PlotError("plot: gnuplot cannot be run: " + fault.code().message());
  }
  const std::size_t end = std::min(output.rfind(end_mark), output.size());
  const bool is_complete = output.size() - end > end_mark.size();
  if (status == 0 && is_complete && end > 0) return output.substr(0, end);
  std::string message = concat("plot: gnuplot ", status < 0 ? "crashed" : "failed", " with status ",
                               status, "; it has to be 5.4 or newer:\n");
  if (status == 0 && !is_complete) {
    message = concat("plot: gnuplot did not complete the picture; ",
                     printable(text_of(temporary_folder())),
                     ", the folder for temporary files, may be full: ");
  }
  for (const std::string& character : characters(errors)) message += character;
  throw PlotError(message);
}

/// Escapes the characters that have a meaning in HTML or in a script string. Each is replaced by
/// its hexadecimal code between `before_code` and `after_code`.
inline std::string escaped(std::string_view text, const char* before_code, const char* after_code) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string result;
  for (const auto& character : characters(text)) {
    const auto byte = static_cast<unsigned char>(character[0]);
    if (std::string_view("\"\\<>&'\n").find(character[0]) == std::string_view::npos) {
      result += character;
    } else {
      result += std::string(before_code) + hex[byte >> 4] + hex[byte & 15] + after_code;
    }
  }
  return result;
}

/// A text as a string literal for the script of the page.
inline std::string script_text(std::string_view text) {
  return '"' + escaped(text, "\\u00", "") + '"';
}

/// The end of a gnuplot script that draws the svg of a page. It prints the area of the panels for
/// the JavaScript of the page, in pixels from the upper left corner.
inline constexpr std::string_view area_for_page = R"(set print '-'
height = GPVAL_TERM_YSIZE/GPVAL_TERM_SCALE
print sprintf("<script>const area = {left: %g, right: %g, top: %g, bottom: %g};</script>", GPVAL_TERM_XMIN, GPVAL_TERM_XMAX, height-panels_top, height-GPVAL_TERM_YMIN)
)";

/// The curves of a figure and the scale of its horizontal axis, as JavaScript for the page.
inline std::string page_data(const Figure& figure) {
  std::string curves;
  for (const Table& curve : figure.curves) {
    curves += "{name: " + script_text(curve.name) + ", columns: [";
    for (const auto& [name, values] : curve.columns) {
      if (values.empty()) continue;
      curves += "\n   [" + script_text(name) + ", [";
      for (const double value : values) curves += gnuplot_number(value) + ",";
      curves += "]],";
    }
    curves += "]},\n  ";
  }
  return concat("const curves = [", curves, "];\nconst axis = {low: ", to_text(figure.x.range.low),
                ", high: ", to_text(figure.x.range.high), ", log: ", figure.x.logarithmic, "};\n");
}

/// An HTML page that shows a figure, and the values under the pointer. The page loads nothing from
/// elsewhere. `svg`: the output of gnuplot for a script that ends with area_for_page.
inline std::string html_page(const Figure& figure, std::string_view svg) {
  static constexpr std::string_view style = R"(
body { margin: 1rem; font: 14px sans-serif; color: #303030; background: white; }
svg { display: block; pointer-events: none; }
#picture { position: relative; width: fit-content; }
#line { position: absolute; width: 1px; background: #606060; pointer-events: none; }
#readout { position: absolute; padding: .4rem .6rem; background: white; border: 1px solid #a0a0a0;
  border-radius: 4px; pointer-events: none; white-space: pre; font-variant-numeric: tabular-nums; }
)";
  static constexpr std::string_view script = R"(
const scale = axis.log ? Math.log : x => x;
const pixel_of = x => area.left + (area.right - area.left) *
  (scale(x) - scale(axis.low)) / (scale(axis.high) - scale(axis.low));
const is_visible = x => x >= axis.low && x <= axis.high;
const nearest = (xs, pixel) => xs.reduce((best, x, i) => is_visible(x) &&
  !(Math.abs(pixel_of(x) - pixel) >= Math.abs(pixel_of(xs[best]) - pixel)) ? i : best, -1);
const rates = curves.flatMap(curve => curve.columns[0][1]);
picture.onpointermove = event => {
  const pointer = event.clientX - picture.getBoundingClientRect().left;
  const pixel = pixel_of(rates[nearest(rates, pointer)]);
  readout.textContent = curves.map(({name, columns}) => {
    const i = nearest(columns[0][1], pixel);
    return [name, ...columns.map(([title, values]) => title + "  " +
      Number(values[i].toPrecision(5)))].join("\n").trim();
  }).join("\n\n");
  line.hidden = readout.hidden = false;
  line.style = `left: ${pixel}px; top: ${area.top}px; height: ${area.bottom - area.top}px`;
  const is_left = pixel < (area.left + area.right) / 2;
  readout.style = `top: ${area.top + 12}px;
    left: ${is_left ? pixel + 12 : pixel - 12 - readout.offsetWidth}px`;
};
picture.onpointerleave = () => line.hidden = readout.hidden = true;
)";
  const std::string title = figure.title.empty() ? "Learning-rate range test" : figure.title;
  svg.remove_prefix(std::min(svg.find("<svg"), svg.size()));
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>" +
         escaped(title, "&#x", ";") + "</title>\n<style>" + std::string(style) +
         "</style>\n</head>\n<body>\n<div id=\"picture\">\n" + std::string(svg) +
         "<div id=\"line\" hidden></div>\n<div id=\"readout\" hidden></div>\n</div>\n<script>\n" +
         page_data(figure) + std::string(script) + "</script>\n</body>\n</html>\n";
}

/// A kind of picture file.
struct PlotFormat {
  /// The ending of the file name, in lower case.
  std::string_view ending;
  /// The terminal that the script is written for.
  Terminal terminal;
  /// Makes the contents of the file from a figure and its script.
  std::string (*contents)(const Figure& figure, const std::string& script);

  std::string draw(const Figure& figure, const PlotOptions& options) const {
    return contents(figure, FigureScript(figure, terminal, options).write());
  }
};

/// The format of a file, selected by the ending of its name.
///
/// Throws PlotError if no format has this ending.
inline const PlotFormat& plot_format_of(const std::string& path) {
  static constexpr Terminal svg{"svg fixed", 1, 13, 0.65, ""};
  static constexpr Terminal png{"pngcairo", 1, 10, 1, ":Bold"};
  static constexpr Terminal pdf{"pdfcairo fontscale 1", 0.01, 7.7, 1, ":Bold"};
  static constexpr Terminal text{"dumb mono", 1, 1, 1, "", /*is_text=*/true};
  static constexpr auto image = [](const Figure&, const std::string& script) {
    return run_gnuplot(script);
  };
  // On Windows, gnuplot ends each line with a carriage return too.
  static constexpr auto letters = [](const Figure&, const std::string& script) {
    std::string drawn = run_gnuplot(script);
    drawn.erase(std::remove(drawn.begin(), drawn.end(), '\r'), drawn.end());
    return drawn.substr(drawn.front() == '\f' ? 1 : 0);
  };
  static constexpr auto page = [](const Figure& figure, const std::string& script) {
    return html_page(figure, letters(figure, script + std::string(area_for_page)));
  };
  static constexpr auto itself = [](const Figure&, const std::string& script) {
    return "# Draw with: gnuplot FILE > picture.svg\n" + script;
  };
  static constexpr PlotFormat formats[] = {{"svg", svg, letters},  {"png", png, image},
                                           {"pdf", pdf, image},    {"html", svg, page},
                                           {"txt", text, letters}, {"gp", svg, itself}};
  const std::size_t dot = path.find_last_of("./");
  std::string ending = dot != path.npos && path[dot] == '.' ? path.substr(dot + 1) : "";
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  std::string allowed;
  for (const PlotFormat& format : formats) {
    if (format.ending == ending) return format;
    allowed.append(allowed.empty() ? "." : " or .").append(format.ending);
  }
  throw PlotError("plot: the file ends in \"" + printable(ending) + "\"; it must end in " +
                  allowed);
}

}  // namespace lrfinder::detail
