#pragma once

/// @file
/// The torch-free half of lrfinder: what a finished curve is, and what is read off it. Plain C++17
/// and the standard library.
///
///     lrfinder::History history(lr, loss);                    // or History::load("run.csv")
///     double lr = lrfinder::suggest::steepest(history);
///     lrfinder::plot(history, "curve.svg");

#include <lrfinder/curve/bounds.hpp>
#include <lrfinder/curve/descent.hpp>
#include <lrfinder/curve/divergence.hpp>
#include <lrfinder/curve/error.hpp>
#include <lrfinder/curve/gnuplot.hpp>
#include <lrfinder/curve/gnuplot_script.hpp>
#include <lrfinder/curve/gradient.hpp>
#include <lrfinder/curve/history.hpp>
#include <lrfinder/curve/history_csv.hpp>
#include <lrfinder/curve/iteration.hpp>
#include <lrfinder/curve/median.hpp>
#include <lrfinder/curve/named_curve.hpp>
#include <lrfinder/curve/plot.hpp>
#include <lrfinder/curve/plot_options.hpp>
#include <lrfinder/curve/progress.hpp>
#include <lrfinder/curve/quantile.hpp>
#include <lrfinder/curve/race_result.hpp>
#include <lrfinder/curve/recipes.hpp>
#include <lrfinder/curve/recorder.hpp>
#include <lrfinder/curve/saved_history.hpp>
#include <lrfinder/curve/schedule.hpp>
#include <lrfinder/curve/settings.hpp>
#include <lrfinder/curve/smoothing.hpp>
#include <lrfinder/curve/steepest.hpp>
#include <lrfinder/curve/suggestion.hpp>
#include <lrfinder/curve/suggestion_table.hpp>
#include <lrfinder/curve/terminal.hpp>
