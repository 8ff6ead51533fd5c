#pragma once

/// @file
/// The part of lrfinder that works without LibTorch: finished curves, and what is read off them. It
/// needs only C++17 and the standard library.
///
///     lrfinder::History history(lr, loss);                    // or History::load("run.csv")
///     double lr = lrfinder::suggest::steepest(history);
///     lrfinder::plot(history, "curve.svg");

/// @namespace lrfinder
/// Everything that users may name. `docs/reference.md` lists what they need.

/// @namespace lrfinder::suggest
/// Recipes: functions that read a Suggestion off a History.

#include <lrfinder/detail/system.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/csv.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/progress.hpp>
#include <lrfinder/history/recorder.hpp>
#include <lrfinder/history/suggestion.hpp>
#include <lrfinder/plan/for_plan.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/plot/plot.hpp>
#include <lrfinder/plot/plot_options.hpp>
#include <lrfinder/suggest/descent.hpp>
#include <lrfinder/suggest/recipes.hpp>
#include <lrfinder/suggest/repeated.hpp>
#include <lrfinder/suggest/steepest.hpp>
