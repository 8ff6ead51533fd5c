#pragma once

/// @file
/// lrfinder finds the learning rate to train a LibTorch model with, by a range test. It raises the
/// rate from tiny to huge, records the loss, and reads off a rate that is safe to train with. Then
/// it restores model, optimizer and random state exactly.
///
///     lrfinder::LRFinder finder(model, optimizer, criterion);
///     finder.range_test(*train_loader, *val_loader,
///                       lrfinder::RangeTestOptions().start_lr(1e-7).end_lr(10).num_iter(100));
///     double lr = finder.suggestion();
///     finder.plot("lr_finder.svg");
///
/// The headers follow the data: the options of a test, the batches of a loader, the loss of a model
/// on a batch, the step, the history, the suggestion. LRFinder ties them together.
///
/// Header-only by default. The CMake target `lrfinder::compiled` sets the macro LRFINDER_COMPILED.
/// With this macro, a source of the target defines the functions, and this header only declares
/// them. A file that includes it then compiles almost as fast as without it.

#include <lrfinder/curve.hpp>
#include <lrfinder/find_options.hpp>
#include <lrfinder/lr_finder.hpp>
#include <lrfinder/plan_lr.hpp>
#include <lrfinder/range_test_options.hpp>
#include <lrfinder/training_options.hpp>
#ifndef LRFINDER_COMPILED
#include <lrfinder/engine/engine_inl.hpp>
#endif
