#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

namespace lrfinder::detail {

/// Takes the next bytes of a copy.
using Sink = std::function<void(const void* data, std::size_t size)>;

/// Keeps copies of bytes for as long as a range test runs: on the device, in host memory, or on
/// disk.
///
/// Storages are handed over as one-dimensional tensors of bytes that alias them; what only
/// LibTorch's serialization can write is handed over in pieces.
class SnapshotStore {
 public:
  SnapshotStore() = default;
  SnapshotStore(const SnapshotStore&) = delete;
  SnapshotStore& operator=(const SnapshotStore&) = delete;
  virtual ~SnapshotStore() = default;

  /// Copies a storage. Returns the number of the copy, counted from 0.
  virtual std::size_t save(const torch::Tensor& bytes) = 0;

  /// Writes copy `number` back. Throws SnapshotError, and leaves `bytes` alone, when the copy is
  /// damaged.
  virtual void load(std::size_t number, const torch::Tensor& bytes) const = 0;

  /// Copies all that `write` gives to the sink. `write` may be called twice, and has to give the
  /// same each time. Returns the number of the copy.
  virtual std::size_t save_pieces(const std::function<void(const Sink&)>& write) = 0;

  /// Size in bytes of copy `number`.
  virtual std::size_t size(std::size_t number) const = 0;

  /// Throws SnapshotError when copy `number` is damaged.
  virtual void check(std::size_t number) const = 0;

  /// Reads at most `size` bytes of copy `number`, from `position` on. Returns how many there were.
  virtual std::size_t read(std::size_t number, std::size_t position, void* data,
                           std::size_t size) const = 0;

  /// Writes the copies to a file that stays, so that a user can save them. Returns its path; empty
  /// where there is none.
  virtual std::string keep() { return {}; }
};

/// Copies in memory: where the storages are, or in that of the host.
class MemoryStore : public SnapshotStore {
 public:
  explicit MemoryStore(bool on_host) : on_host_(on_host) {}

  std::size_t save(const torch::Tensor& bytes) override {
    copies_.push_back({on_host_ && !bytes.is_cpu() ? bytes.cpu() : bytes.clone(), {}});
    return copies_.size() - 1;
  }

  void load(std::size_t number, const torch::Tensor& bytes) const override {
    bytes.copy_(copies_[number].storage);
  }

  std::size_t save_pieces(const std::function<void(const Sink&)>& write) override {
    // Counted first: a string that grows takes up to three times its size.
    std::size_t size = 0;
    write([&](const void*, std::size_t more) { size += more; });
    Copy copy;
    copy.pieces.reserve(size);
    write([&](const void* data, std::size_t more) {
      copy.pieces.append(static_cast<const char*>(data), more);
    });
    copies_.push_back(std::move(copy));
    return copies_.size() - 1;
  }

  std::size_t size(std::size_t number) const override {
    const Copy& copy = copies_[number];
    return copy.storage.defined() ? copy.storage.nbytes() : copy.pieces.size();
  }

  void check(std::size_t) const override {}

  std::size_t read(std::size_t number, std::size_t position, void* data,
                   std::size_t size) const override {
    return copies_[number].pieces.copy(static_cast<char*>(data), size, position);
  }

 private:
  struct Copy {
    torch::Tensor storage;
    std::string pieces;
  };

  bool on_host_;
  std::vector<Copy> copies_;
};

}  // namespace lrfinder::detail

/// @file
/// Objects that LibTorch's serialization writes and reads, in a snapshot.

namespace lrfinder::detail {

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

}  // namespace lrfinder::detail
