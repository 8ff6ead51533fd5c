#pragma once

/// @file
/// lrfinder finds the learning rate to train a LibTorch model with, by a range test: it raises the
/// rate from tiny to huge, records the loss, reads off a rate that is safe to train with, and gives
/// model, optimizer and random state back exactly as they were.
///
///     lrfinder::LRFinder finder(model, optimizer, criterion);
///     finder.range_test(*train_loader, *val_loader,
///                       lrfinder::RangeTestOptions().start_lr(1e-7).end_lr(10).num_iter(100));
///     double lr = finder.suggestion();
///     finder.plot("lr_finder.svg");
///
/// The headers follow the data: the options of a test, the batches that a loader yields, the loss
/// of a model on them, the step, the history, the suggestion. LRFinder ties them together.
///
/// Header-only by default. With the macro LRFINDER_COMPILED, which the CMake target
/// `lrfinder::compiled` sets, this header only declares what a source of that target defines, and a
/// file that includes it compiles almost as fast as without.

#include <lrfinder/curve.hpp>
#include <lrfinder/finder.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/plan_lr.hpp>
#include <lrfinder/race/options.hpp>
#ifndef LRFINDER_COMPILED
#include <lrfinder/finder/finder_inl.hpp>
#endif
