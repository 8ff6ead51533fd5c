#pragma once

#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/snapshot/modes.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
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
auto from_state_of_rank_0(Session& session, const Fingerprint& fingerprint,
                          const TrainingState& state, const TrainingSettings& settings,
                          Training& training, Use&& use) {
  if (session.alone()) return use();
  const auto share = [&] {
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
  SavedState own(state, settings.placement, settings.snapshot);
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
