#pragma once

#include <ios>
#include <memory>
#include <sstream>
#include <string>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/snapshot/modes.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/training/settings.hpp>

/// @file
/// Trainings that several ranks run apart, each alone on its own model, from the state of rank 0.

namespace lrfinder::detail {

/// What the first batches of a loader hold, as text.
inline std::string hash_of_first_batches(AnyLoader& loader, torch::Device device) {
  constexpr int count = 2;
  std::ostringstream hashes;
  int visited = 0;
  loader.iterate(device)->for_each([&](const std::unique_ptr<AnyBatch>& batch) {
    hashes << (visited > 0 ? " " : "") << std::hex << batch->hash();
    return ++visited < count;
  });
  return hashes.str();
}

/// Calls `use()` on every rank, and returns what it returns: from the parameters, buffers,
/// optimizer state and random numbers of rank 0, and with loaders whose first batches are equal.
/// Restores those of each rank. `val_loader` may be null. On one process it only calls.
///
/// Throws InvalidOption on a rank whose settings, tensors or batches differ from those of rank 0.
template <class Use>
auto from_state_of_rank_0(Session& session, const Fingerprint& fingerprint,
                          const TrainingState& state, const TrainingSettings& settings,
                          AnyLoader& train_loader, AnyLoader* val_loader, Use&& use) {
  const torch::Device device = settings.placement.device;
  if (session.alone()) return use();
  const auto share = [&] {
    const RandomState random(device);
    session.start(fingerprint, state, &random);
    random.restore();
    Fingerprint batches;
    batches.add("a hash of the first training batches",
                hash_of_first_batches(train_loader, device));
    if (val_loader) {
      batches.add("a hash of the first validation batches",
                  hash_of_first_batches(*val_loader, device));
    }
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
