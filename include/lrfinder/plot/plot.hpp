#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <lrfinder/detail/files.hpp>
#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/system.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/plot/curve_figure.hpp>
#include <lrfinder/plot/figure.hpp>
#include <lrfinder/plot/plot_format.hpp>
#include <lrfinder/plot/plot_options.hpp>

namespace lrfinder {

namespace detail {

/// A figure of the learning rates of a plan over its steps. If the plan cycles the momentum, a
/// lower panel shows the momentum. `peak`: the highest rate, in place of the peak of the plan. If
/// neither is given, the figure shows shares of the peak.
///
/// Throws InvalidOption if the plan has no steps, or if the peak is not positive and finite.
inline Figure plan_figure(const TrainingPlan& plan, std::optional<double> peak,
                          const PlotOptions& options) {
  options.check();
  if (!peak) peak = plan.peak();
  if (peak && !(*peak > 0 && std::isfinite(*peak))) {
    throw InvalidOption("plot: the peak (" + to_text(*peak) + ") must be positive and finite");
  }
  Table table{"", {{"step", {}}, {peak ? "learning rate" : "share of the peak", {}}}};
  if (plan.momentum(0)) table.columns.push_back({"momentum", {}});
  const std::int64_t last = plan.steps() - 1;
  const std::int64_t intervals = std::min<std::int64_t>(last, 1999);
  for (std::int64_t i = 0; i <= intervals; ++i) {
    const std::int64_t step = i == 0 ? 0 : last / intervals * i + last % intervals * i / intervals;
    table.columns[0].second.push_back(static_cast<double>(step));
    table.columns[1].second.push_back(peak.value_or(1) * plan.factor(step));
    if (const auto momentum = plan.momentum(step)) table.columns[2].second.push_back(*momentum);
  }

  Figure figure{options.title().empty() ? to_string(plan) : options.title(),
                "step",
                {{0, static_cast<double>(plan.steps())}, false, /*counts=*/true}};
  for (std::size_t i = 1; i < table.columns.size(); ++i) {
    const auto& [name, values] = table.columns[i];
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    Panel panel{name, {widened({*low, *high})}, 1};
    panel.draw("$curve0 using 1:" + std::to_string(i + 1) +
               (last == 0 ? " with points pt 7" : " with lines lw 2.5") + line_colour(i - 1));
    figure.panels.push_back(std::move(panel));
  }
  figure.curves.push_back(std::move(table));
  return figure;
}

/// Sets text_size() to the size of the terminal, unless it is already set.
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

/// Draws several curves into one picture. The upper panel shows the smoothed losses, the lower one
/// their change per iteration. Marks show the suggestion on each curve.
///
///     plot({{"wd 0", h0}, {"wd 1e-4", h1}}, "weight_decay.svg");
///
/// `path`: the ending selects the format: .svg, .png, .pdf, .html, .txt or .gp. A .html page shows
/// the values under the pointer and needs no network. A .gp file is a gnuplot script with all data.
/// It can be edited, or drawn on another machine by `gnuplot FILE > picture.svg`. All formats but
/// .gp need gnuplot 5.4 or newer on PATH. If the picture cannot be drawn or written, an existing
/// file stays as it was.
///
/// Throws PlotError if the picture cannot be drawn or written, InvalidOption if an option makes no
/// sense, and InvalidHistory if the columns of a history differ in length.
inline void plot(const std::vector<NamedCurve>& curves, const std::string& path,
                 const PlotOptions& options = {}) {
  const detail::PlotFormat& format = detail::plot_format_of(path);
  const auto figure = detail::CurveFigure(curves, options, format.terminal.is_text).make();
  detail::write_picture(path, format.draw(figure, options));
}

/// Draws one curve. The upper panel shows the raw losses as points, the smoothed loss as a line,
/// the suggestion, and the rates at which the loss diverged. The lower panel shows the change of
/// the loss per iteration. If there are untrained losses, the line and the change are those of the
/// paired losses. All else is as for several curves.
inline void plot(const History& history, const std::string& path, const PlotOptions& options = {}) {
  plot(std::vector<NamedCurve>{{"", history}}, path, options);
}

/// Writes a text plot of several curves, as large as the terminal or PlotOptions::text_size.
inline void plot(const std::vector<NamedCurve>& curves, std::ostream& out,
                 const PlotOptions& options = {}) {
  const auto figure = detail::CurveFigure(curves, options, /*is_text=*/true).make();
  out << detail::plot_format_of(".txt").draw(figure, detail::sized_for_terminal(options));
}

/// Writes a text plot of one curve, as large as the terminal or PlotOptions::text_size.
inline void plot(const History& history, std::ostream& out, const PlotOptions& options = {}) {
  plot(std::vector<NamedCurve>{{"", history}}, out, options);
}

/// Draws the learning rate of a plan into a file, and the momentum below if the plan cycles it.
///
///     plot(TrainingPlan::one_cycle(10000), "plan.svg", PlotOptions(), 0.1);
///
/// `path`: the ending selects the format, as for curves. Only the title and the sizes of the
/// options are used. The default title is to_string(plan). `peak`: the highest rate, in place of
/// the peak of the plan. If neither is given, the picture shows shares of the peak.
///
/// Throws InvalidOption if the plan has no steps, or if the peak is not positive and finite. Throws
/// PlotError if the picture cannot be drawn or written.
inline void plot(const TrainingPlan& plan, const std::string& path, const PlotOptions& options = {},
                 std::optional<double> peak = std::nullopt) {
  const auto figure = detail::plan_figure(plan, peak, options);
  detail::write_picture(path, detail::plot_format_of(path).draw(figure, options));
}

/// Writes a text plot of a plan, as large as the terminal or PlotOptions::text_size.
inline void plot(const TrainingPlan& plan, std::ostream& out, const PlotOptions& options = {},
                 std::optional<double> peak = std::nullopt) {
  const auto figure = detail::plan_figure(plan, peak, options);
  out << detail::plot_format_of(".txt").draw(figure, detail::sized_for_terminal(options));
}

}  // namespace lrfinder
