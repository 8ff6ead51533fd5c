#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <torch/torch.h>

#include <lrfinder/options.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/ranks.hpp>

namespace lrfinder {

/// Options of a race, LRFinder::race().
///
///     RaceOptions().budget(20)
///
/// How each update is made (accumulation, clipping, where copies are kept, how many validation
/// batches are evaluated) is as in the last range test. All options are checked before anything is
/// touched; what makes no sense is an InvalidOption.
struct RaceOptions {
  /// The plan of the training that the rate is for. Then the trials follow it, compressed to their
  /// lengths, and the best rate is carried to the length of the training; see LRFinder::find(),
  /// which makes the range test as well. `spacing`, `decades_down`, `decades_up`, `rungs` and
  /// `tolerance` are for races without a plan. Default: none, a constant rate.
  TORCH_ARG(std::optional<TrainingPlan>, plan) = std::nullopt;
  /// Optimizer updates of all trials together, in multiples of the iterations that the range test
  /// recorded; positive. More make longer rungs, which judge by a longer training. Default: 6.
  TORCH_ARG(double, budget) = 6;
  /// The learning rate around which the first candidates lie, positive. Default: suggestion().
  TORCH_ARG(std::optional<double>, around) = std::nullopt;
  /// Distance of neighbouring candidates in decades, positive. Default: 0.5.
  TORCH_ARG(double, spacing) = 0.5;
  /// How many decades the first candidates reach down; not negative. Default: 1.
  TORCH_ARG(double, decades_down) = 1;
  /// How many decades the first candidates reach up, though never past divergence; not negative.
  /// Default: 1.
  TORCH_ARG(double, decades_up) = 1;
  /// How often the worse half drops out, the last decision included; at least 1. Each rung takes
  /// four times as many updates as the one before, so that the last has most of them; a single one
  /// cannot look beyond its candidates. Default: 2.
  TORCH_ARG(std::int64_t, rungs) = 2;
  /// A lower rate than the best of the last rung, down to the next that was tried, wins where it
  /// lacks no more than this share of what the best gained, in [0, 1). Between the two the loss is
  /// taken to lie on the line over log lr, so the winner may lie between them. Training that is
  /// longer than the race wants lower rates: a little too low costs little there, a little too high
  /// may cost all. With 0 the best rate tried wins. Default: 0.01 (0.01 to 0.02 do).
  TORCH_ARG(double, tolerance) = 0.01;
  /// Processes that each train trials of their own, alone, on their own copy of the model and their
  /// own device, for a model that will be trained by one process. Every rank calls race() alike,
  /// with the same data; all get the same result, that of one process. The race stands on the
  /// history of rank 0 and starts from its model. For a model that all ranks train together, leave
  /// this out: then they run each trial together, where the range test had RangeTestOptions::ranks.
  /// Default: none.
  TORCH_ARG(std::shared_ptr<Ranks>, ranks) = nullptr;
  /// Whether a line on stderr shows how far the race is. Default: false.
  TORCH_ARG(bool, progress) = false;
};

/// Options of LRFinder::find().
///
///     FindOptions().plan(TrainingPlan().steps(10000).decay(Decay::cosine))
///
/// All options are checked before anything is touched; what makes no sense is an InvalidOption.
struct FindOptions {
  /// The plan of the training that the rate is for; its steps() are to be set. Default: a constant
  /// rate, for 30 times the iterations of the range test.
  TORCH_ARG(TrainingPlan, plan) = {};
  /// What the search may cost, in range tests: optimizer updates, over `num_iter` of the range
  /// test. At least 2. More make longer trials, which show more of the training. Default: 10.
  TORCH_ARG(double, budget) = 10;
  /// The range test, and how it and the trials make each update (accumulation, clipping, mixed
  /// precision, metrics, ranks and so on). `restore` has to be true. Default: 100 iterations from
  /// 1e-7 to 10.
  TORCH_ARG(RangeTestOptions, range_test) = RangeTestOptions().start_lr(1e-7).end_lr(10);
  /// Processes that each train trials of their own, alone: see RaceOptions::ranks. The range test
  /// runs on all of them alike; at most three trials run at a time. For ranks that train the model
  /// together, leave this out and give `range_test` its `ranks`. Default: none.
  TORCH_ARG(std::shared_ptr<Ranks>, ranks) = nullptr;
  /// Whether a line on stderr shows the stage of the search, and how far it is. Default: false.
  TORCH_ARG(bool, progress) = false;
};

}  // namespace lrfinder
