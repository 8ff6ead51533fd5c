#pragma once

/// @file
/// The torch-free half of lrfinder: what a finished curve is, and what is read off it. Plain C++17
/// and the standard library.
///
///     lrfinder::History history(lr, loss);                    // or History::load("run.csv")
///     double lr = lrfinder::suggest::steepest(history);
///     lrfinder::plot(history, "curve.svg");

#include <lrfinder/detail/system.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/csv.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/iteration.hpp>
#include <lrfinder/history/progress.hpp>
#include <lrfinder/history/recorder.hpp>
#include <lrfinder/history/schedule.hpp>
#include <lrfinder/history/smoothing.hpp>
#include <lrfinder/history/trial.hpp>
#include <lrfinder/plan/suggestion.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/plot/gnuplot.hpp>
#include <lrfinder/plot/gnuplot_script.hpp>
#include <lrfinder/plot/options.hpp>
#include <lrfinder/plot/plot.hpp>
#include <lrfinder/plot/plot_plan.hpp>
#include <lrfinder/suggest/descent.hpp>
#include <lrfinder/suggest/found.hpp>
#include <lrfinder/suggest/numeric.hpp>
#include <lrfinder/suggest/race_result.hpp>
#include <lrfinder/suggest/recipes.hpp>
#include <lrfinder/suggest/repeated.hpp>
#include <lrfinder/suggest/steepest.hpp>
#include <lrfinder/suggest/suggestion.hpp>
#include <lrfinder/suggest/table.hpp>
