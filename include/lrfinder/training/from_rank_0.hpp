#pragma once

#include <torch/torch.h>

#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/snapshot/modes.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/torch/device.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/training/run.hpp>
#include <lrfinder/training/settings.hpp>

/// @file
/// Trainings that several ranks run apart, each alone on its own model, from the state of rank 0.

namespace lrfinder::detail {

/// Calls `use()` on every rank, and returns what it returns: from the parameters, buffers,
/// optimizer state and random numbers of rank 0, and with loaders whose first batches are equal.
/// Restores those of each rank. On one process it only calls.
///
/// Throws InvalidOption on a rank whose settings, tensors or batches differ from those of rank 0.
template <class Use>
auto from_state_of_rank_0(Session& session, Fingerprint fingerprint, Training& training,
                          Use&& use) {
  if (session.alone()) return use();
  const TrainingState& state = training.state();
  const TrainingSettings& settings = training.settings();
  // Together they evaluate all that they have; apart, losses can be compared only on as much.
  if (settings.validates) fingerprint.add("val_batches", settings.max_val_batches);
  const auto share = [&] {
    // With Snapshot::device they have been set aside. Others stay, and one that is there, though
    // zero, is an update by weight decay or momentum.
    for (const ModuleHandle& module : state.modules) {
      module.each_parameter([&](const torch::Tensor& parameter) {
        fingerprint.add("whether a parameter has a gradient", parameter.grad().defined());
      });
    }
    const RandomState random(settings.placement.device);
    session.start(fingerprint, state, &random);
    random.restore();
    Fingerprint batches;
    training.add_first_batches(batches);
    random.restore();
    session.agree(batches,
                  "rates can be compared only on the same batches: give every rank the same data "
                  "and the same sampler, not a share of the data");
  };
  // The model gets other values where it is, before a run moves it.
  Placement where_it_is = settings.placement;
  where_it_is.moves = false;
  SavedState own(state, where_it_is, settings.snapshot);
  auto result = [&] {
    try {
      share();
      return use();
    } catch (...) {
      restore_after_exception(own);
      throw;
    }
  }();
  own.restore();
  return result;
}

}  // namespace lrfinder::detail
