#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>

// What a picture shows, as gnuplot commands that work with any terminal.
namespace lrfinder::detail {

using Column = std::vector<double>;

struct Range {
  double low, high;
};

inline Range united(Range a, Range b) { return {std::min(a.low, b.low), std::max(a.high, b.high)}; }

/// The range from the smallest to the largest value. All values are finite.
inline Range range_of(const Column& values) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  Range range{infinity, -infinity};
  for (const double value : values) range = united(range, {value, value});
  return range;
}

/// A range with some room at both ends.
inline Range widened(Range range) {
  const double margin =
      range.low < range.high ? 0.05 * (range.high - range.low) : 0.1 * std::fabs(range.low) + 1e-12;
  return {range.low - margin, std::min(range.high + margin, std::numeric_limits<double>::max())};
}

/// An axis of a picture.
struct Axis {
  Range range{0, 1};
  bool logarithmic = false;
  /// Whether the axis counts steps from 0 to its end. Then the end has a tick.
  bool counts = false;

  bool holds(double value) const { return value >= range.low && value <= range.high; }

  /// The position of a value on the axis: 0 is the low end, 1 the high end.
  double position_of(double value) const {
    const auto scaled = [&](double number) { return logarithmic ? std::log(number) : number; };
    return (scaled(value) - scaled(range.low)) / (scaled(range.high) - scaled(range.low));
  }

  /// Where the ticks are: at least two, and about `most`. Empty if gnuplot places them, at powers
  /// of ten on a long logarithmic axis.
  Column ticks(std::size_t most) const {
    const double ratio = range.high / range.low;
    Column result;
    if (logarithmic && ratio >= 5) {
      for (int power = -323; power < 308 && ratio < 100; ++power) {
        for (const int digit : {1, 2, 5}) {
          const double value = digit * std::pow(10, power);
          if (holds(value)) result.push_back(value);
        }
      }
      return result;
    }
    const double distance = (range.high - range.low) / static_cast<double>(most);
    const double unit = std::pow(10, std::floor(std::log10(distance)));
    for (const double step : {10 * unit, 5 * unit, 2 * unit, unit}) {
      if (step < distance && result.size() > 1) break;
      if (counts && step < 1) break;
      const double first = std::ceil(range.low / step), last = std::floor(range.high / step);
      if (!(last - first < 100) || std::fabs(first) > 1e15 || std::fabs(last) > 1e15) break;
      result.clear();
      for (double i = first; i <= last; ++i) result.push_back(i == 0 ? 0 : i * step);
      if (!counts) continue;
      while (result.size() > 1 && result.back() > range.high - 0.7 * step) result.pop_back();
      result.push_back(range.high);
    }
    return result;
  }

  /// The number of characters of the longest label that ticks() gets.
  std::size_t longest_label(std::size_t most) const {
    std::size_t longest = 0;
    for (const double value : ticks(most)) {
      longest = std::max(longest, printed(value, label_digits).size());
    }
    return longest;
  }

  /// The commands that set up this axis. `name`: "x" or "y". `power_of_ten`: the format of a power
  /// of ten. `most`: about how many ticks there is room for.
  std::string commands(const std::string& name, const std::string& power_of_ten,
                       std::size_t most) const {
    const bool is_short = logarithmic && range.high / range.low < 5;
    const Column places = ticks(most);
    std::string scale;
    if (is_short) {
      scale = concat("set nonlinear ", name, " via log10(", name, ") inverse 10**", name, "\n");
    } else if (logarithmic) {
      scale = "set logscale " + name + "\n";
    }
    scale += "set format " + name + " '" +
             (logarithmic && places.empty() ? power_of_ten : concat("%.", label_digits, "g")) +
             "'\n";
    std::string list;
    for (const double value : places) list += (list.empty() ? "" : ", ") + to_text(value);
    if (!list.empty()) scale += "set " + name + "tics (" + list + ")\n";
    return concat(scale, "set ", name, "range [", to_text(range.low), ":", to_text(range.high),
                  "]\n");
  }

 private:
  static constexpr int label_digits = 8;
};

/// A gnuplot string literal for exactly this text. In single quotes, gnuplot has no escapes, no
/// commands in backquotes and no macros. A quote or a line break in the text becomes a separate
/// literal, joined to the rest. gnuplot 5.4 misreads a doubled quote at the beginning.
inline std::string gnuplot_string(std::string_view text) {
  std::string quoted = "'";
  for (const auto& character : characters(text)) {
    quoted += character == "'" ? R"('."\047".')" : character == "\n" ? R"('."\n".')" : character;
  }
  return quoted + "'";
}

/// A text for a label, heading or legend entry. gnuplot shows it without markup.
inline std::string gnuplot_label(std::string_view text) {
  return gnuplot_string(text) + " noenhanced";
}

/// A number in the syntax of gnuplot. For a number that is not finite, gnuplot draws nothing.
inline std::string gnuplot_number(double value) {
  return std::isfinite(value) ? to_text(value) : "NaN";
}

/// A part of a plot command that draws a single point. `third`: an expression for the third column.
inline std::string single_point(double x, double y, const std::string& third = "") {
  return "'+' using (" + gnuplot_number(x) + "):(" + gnuplot_number(y) + ")" +
         (third.empty() ? "" : ":(" + third + ")") + " every ::::0";
}

/// Named columns. Each column is as long as the first one, or empty.
struct Table {
  std::string name;
  std::vector<std::pair<std::string, Column>> columns;
};

/// The rows of a table as a gnuplot data block with this name.
inline std::string data_block(const std::string& name, const Table& table) {
  std::string text = name + " << EOD\n";
  for (std::size_t row = 0; row < table.columns.front().second.size(); ++row) {
    const char* separator = "";
    for (const auto& [column, values] : table.columns) {
      text += separator + (values.empty() ? "NaN" : gnuplot_number(values[row]));
      separator = " ";
    }
    text += "\n";
  }
  return text + "EOD\n";
}

/// One of the panels of a figure. They are stacked and share the horizontal axis.
struct Panel {
  /// `clause`: an argument of the gnuplot command `plot`. `legend`: its legend entry, if any.
  void draw(const std::string& clause, const std::string& legend = "") {
    plots += clause + (legend.empty() ? " notitle, " : " title " + gnuplot_label(legend) + ", ");
    if (legend.empty()) return;
    ++legend_entries;
    longest_entry = std::max(longest_entry, characters(legend).size());
  }

  std::string name;
  Axis axis;
  /// The height, relative to the other panels.
  double height;
  /// Commands that add labels, lines and shades.
  std::string commands{};
  std::string plots{};
  std::size_t legend_entries = 0;
  std::size_t longest_entry = 0;
};

/// A picture before gnuplot draws it. Lengths in its commands are for a picture of 800 by 600
/// pixels. Sizes of points are multiples of `point_size`.
struct Figure {
  std::string title;
  /// Name of the horizontal axis.
  std::string x_name;
  Axis x{};
  std::vector<Panel> panels{};
  /// The curves. Their tables are named $curve0, $curve1 and so on.
  std::vector<Table> curves{};
  /// Further blocks of data.
  std::string data{};
  /// Text below the panels.
  std::string remarks{};
};

/// The colours of Okabe and Ito, which can be told apart with any colour vision.
inline std::string line_colour(std::size_t i) {
  static constexpr const char* colours[] = {"0072B2", "D55E00", "009E73", "CC79A7",
                                            "E69F00", "56B4E9", "000000"};
  return std::string(" lc rgb '#") + colours[i % std::size(colours)] + "'";
}

}  // namespace lrfinder::detail
