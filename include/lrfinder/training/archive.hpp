#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>

#include <torch/torch.h>

#include <lrfinder/training/snapshot_store.hpp>

/// @file
/// Objects that LibTorch's serialization writes and reads, in a snapshot.

namespace lrfinder::training {

/// Saves what has been written to an archive. Returns the number of the copy.
inline std::size_t save_archive(SnapshotStore& store, torch::serialize::OutputArchive& archive) {
  return store.save_pieces([&](const Sink& sink) {
    // LibTorch's writer ends the program when it is destroyed after a failure: it must not see one.
    std::exception_ptr failed;
    archive.save_to([&](const void* data, std::size_t size) {
      try {
        if (!failed) sink(data, size);
      } catch (...) {
        failed = std::current_exception();
      }
      return size;
    });
    if (failed) std::rethrow_exception(failed);
  });
}

/// Reads what save_archive() saved, by `read(torch::serialize::InputArchive&)`; tensors go to
/// `device` or, without one, where they were. Throws SnapshotError when the copy is damaged.
template <class Read>
void load_archive(const SnapshotStore& store, std::size_t number,
                  std::optional<torch::Device> device, Read&& read) {
  store.check(number);
  torch::serialize::InputArchive archive;
  const auto part = [&](std::uint64_t position, void* data, std::size_t size) {
    return store.read(number, position, data, size);
  };
  const auto size = [&] { return store.size(number); };
  if (device) {
    archive.load_from(part, size, *device);
  } else {
    archive.load_from(part, size);
  }
  read(archive);
}

}  // namespace lrfinder::training
