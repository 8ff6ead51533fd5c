#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/detail/files.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/torch/compatibility.hpp>
#include <lrfinder/training_options.hpp>

/// @file
/// Stores the copies of a snapshot, and describes those that could not be restored.

namespace lrfinder::detail {

/// Keeps copies of bytes during a range test: on the device, in host memory, or on disk. Bytes are
/// passed as one-dimensional tensors, which may alias the storage of other tensors.
///
/// On disk, all copies are in one temporary file. The system removes the file however the program
/// ends. Writing and reading take at most 16 MB of memory, whatever the size of the copies.
class SnapshotStore {
 public:
  /// Throws SnapshotError if the options ask for a file, and it cannot be made in their folder.
  explicit SnapshotStore(const TrainingOptions& options) : kind_(options.snapshot()) {
    if (kind_ != Snapshot::disk) return;
    try {
      folder_ = temporary_folder(options.snapshot_dir());
      file_ = std::unique_ptr<File>(new File(temporary_file(folder_)));
    } catch (const std::system_error& fault) {
      throw failure(fault.what());
    }
  }

  /// Makes a copy. Returns its place, for load(). Throws SnapshotError if the file cannot be
  /// written, for example on a full disk.
  std::uint64_t save(const torch::Tensor& bytes) {
    if (!file_) {
      const bool moves = kind_ == Snapshot::host && !bytes.is_cpu();
      copies_.push_back(moves ? bytes.cpu() : bytes.clone());
      return copies_.size() - 1;
    }
    const std::uint64_t begin = std::exchange(end_, end_ + bytes.nbytes());
    each_piece(bytes, [&](const torch::Tensor& piece, std::uint64_t offset) {
      const torch::Tensor on_host = piece.cpu();
      try {
        file_->write_at(begin + offset, on_host.data_ptr(), on_host.nbytes());
      } catch (const std::system_error& fault) {
        throw failure("cannot write the snapshot file in " + text_of(folder_) + ": " +
                      fault.code().message());
      }
    });
    return begin;
  }

  /// Copies the bytes at a place back, but only if they have changed: weights that nobody trains
  /// may be in memory that cannot be written, like that of a mapped file. If the file was cut
  /// short, throws SnapshotError and does not change `bytes`.
  void load(std::uint64_t place, const torch::Tensor& bytes) const {
    if (!file_) return copy_if_changed(copies_[place], bytes);
    char last = 0;
    if (bytes.nbytes() > 0) read(place + bytes.nbytes() - 1, &last, 1);
    each_piece(bytes, [&](const torch::Tensor& piece, std::uint64_t offset) {
      const torch::Tensor on_host = torch::empty_like(piece, torch::kCPU);
      read(place + offset, on_host.data_ptr(), on_host.nbytes());
      copy_if_changed(on_host, piece);
    });
  }

 private:
  // Calls use(piece, offset) for one part of the bytes after the other.
  template <class Use>
  static void each_piece(const torch::Tensor& bytes, Use&& use) {
    constexpr std::int64_t size = std::int64_t{16} << 20;
    for (std::int64_t begin = 0; begin < bytes.numel(); begin += size) {
      use(bytes.narrow(0, begin, std::min(size, bytes.numel() - begin)),
          static_cast<std::uint64_t>(begin));
    }
  }

  // Only bytes of the host are compared.
  static void copy_if_changed(const torch::Tensor& from, const torch::Tensor& to) {
    const bool is_same = to.is_cpu() && to.numel() > 0 &&
                         std::memcmp(from.data_ptr(), to.data_ptr(), to.nbytes()) == 0;
    if (!is_same) to.copy_(from);
  }

  void read(std::uint64_t position, void* data, std::size_t size) const {
    std::string reason = "was cut short";
    try {
      if (file_->read_at(position, data, size) == size) return;
    } catch (const std::system_error& fault) {
      reason = "cannot be read: " + fault.code().message();
    }
    throw SnapshotError("the snapshot file in " + text_of(folder_) + " " + reason);
  }

  static SnapshotError failure(const std::string& what) {
    return SnapshotError("LRFinder: " + what +
                         "; choose another folder with snapshot_dir(), or Snapshot::host");
  }

  Snapshot kind_;
  std::vector<torch::Tensor> copies_;
  std::filesystem::path folder_;
  std::unique_ptr<File> file_;  // null unless the copies are on disk
  std::uint64_t end_ = 0;       // size of the file
};

/// Collects the errors of a restore, so that everything else is still restored.
class RestoreErrors {
 public:
  /// Reserves memory for the description, because a restore may follow a lack of memory.
  RestoreErrors() { description_.reserve(4000); }

  /// Runs `restore()`. If it throws, adds `what` and the reason to the description.
  template <class Restore>
  void unless(std::string_view what, Restore&& restore) noexcept {
    try {
      restore();
    } catch (...) {
      any_ = true;
      try {
        const std::string reason = message_of(std::current_exception());
        if (description_.empty() || reason != reason_) {
          if (!description_.empty()) description_ += "; ";
          description_.append(reason).append("; this could not be restored:");
          reason_ = reason;
        }
        description_.append(" ").append(what);
      } catch (...) {  // no memory for the description
      }
    }
  }

  /// Whether any restore failed.
  bool any() const noexcept { return any_; }

  /// What could not be restored, and why.
  const std::string& description() const noexcept { return description_; }

 private:
  bool any_ = false;
  std::string description_;
  std::string reason_;
};

}  // namespace lrfinder::detail
