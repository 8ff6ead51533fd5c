#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <ostream>
#include <string>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/plot/gnuplot_script.hpp>
#include <lrfinder/plot/options.hpp>
#include <lrfinder/plot/plan_script.hpp>
#include <lrfinder/plot/plot.hpp>

namespace lrfinder {

namespace detail {

inline std::string plan_file(const TrainingPlan& plan, std::optional<double> peak,
                             const std::string& ending, const PlotOptions& options) {
  if (peak && !(*peak > 0 && std::isfinite(*peak))) {
    throw InvalidOption("plot: the peak (" + to_text(*peak) + ") must be positive and finite");
  }
  check(options);
  const auto script = [&](PictureFormat format) {
    return plan_script(plan, peak, format, options);
  };
  const auto page = [&] {
    const std::string svg = with_plain_line_ends(run_gnuplot(script(PictureFormat::svg)));
    return "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
           "<title>Training plan</title>\n" +
           svg.substr(std::min(svg.find("<svg"), svg.size())) + "</html>\n";
  };
  return picture_file(ending, script, page);
}

}  // namespace detail

/// Draws the learning rate of a plan over its steps into a file and, where the plan cycles it, the
/// momentum below.
///
///     plot(TrainingPlan::one_cycle(10000), "plan.svg", PlotOptions(), 0.1);
///
/// `path`: its ending selects the format, as for curves. Of the options the title and the sizes
/// count; the default title is to_string(plan). `peak`: the highest rate; without one, and where
/// the plan does not know it, the picture shows shares of the peak.
///
/// Throws InvalidOption for a plan without steps and a peak that is not positive and finite,
/// PlotError where the picture cannot be drawn or written.
inline void plot(const TrainingPlan& plan, const std::string& path, const PlotOptions& options = {},
                 std::optional<double> peak = std::nullopt) {
  if (!peak) peak = plan.peak();
  detail::write_picture(path, detail::plan_file(plan, peak, detail::ending_of(path), options));
}

/// Writes a text plot of a plan, as large as the terminal or PlotOptions::text_size.
inline void plot(const TrainingPlan& plan, std::ostream& out, const PlotOptions& options = {},
                 std::optional<double> peak = std::nullopt) {
  if (!peak) peak = plan.peak();
  out << detail::plan_file(plan, peak, "txt", detail::sized_for_terminal(options));
}

}  // namespace lrfinder
