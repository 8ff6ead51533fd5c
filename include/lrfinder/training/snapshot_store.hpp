#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <unistd.h>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/curve/error.hpp>
#include <lrfinder/training/options.hpp>

/// @file
/// Where the copies of a snapshot are kept: on the device, in host memory, or on disk.

namespace lrfinder::training {

/// Keeps copies of storages, and writes them back in any order.
///
/// Storages are handed over as one-dimensional tensors of bytes that alias them.
class SnapshotStore {
 public:
  SnapshotStore() = default;
  SnapshotStore(const SnapshotStore&) = delete;
  SnapshotStore& operator=(const SnapshotStore&) = delete;
  virtual ~SnapshotStore() = default;

  /// Copies the bytes. Returns the number of the copy, counted from 0.
  virtual std::size_t save(const torch::Tensor& bytes) = 0;

  /// Writes copy `number` back. Throws SnapshotError, and leaves `bytes` alone, when the copy is
  /// damaged.
  virtual void load(std::size_t number, const torch::Tensor& bytes) const = 0;

  /// Notes that the copies are the last chance to save something by hand.
  virtual void keep() {}
};

/// Copies in memory: where the storages are, or in that of the host.
class MemoryStore : public SnapshotStore {
 public:
  explicit MemoryStore(bool on_host) : on_host_(on_host) {}

  std::size_t save(const torch::Tensor& bytes) override {
    copies_.push_back(on_host_ && !bytes.is_cpu() ? bytes.cpu() : bytes.clone());
    return copies_.size() - 1;
  }

  void load(std::size_t number, const torch::Tensor& bytes) const override {
    bytes.copy_(copies_[number]);
  }

 private:
  bool on_host_;
  std::vector<torch::Tensor> copies_;
};

/// Copies in a private temporary file, one after the other, each with a checksum. The file is
/// removed with the store.
class FileStore : public SnapshotStore {
 public:
  /// Throws SnapshotError when no file can be made in `folder`.
  explicit FileStore(const std::string& folder) {
    std::error_code ignored;
    path_ = (folder.empty() ? std::filesystem::temp_directory_path(ignored)
                            : std::filesystem::path(folder)) /
            "lrfinder-XXXXXX";
    std::string name = path_;
    file_ = ::mkstemp(name.data());
    if (file_ < 0) throw failure("cannot make a snapshot file in " + path_.parent_path().string());
    path_ = name;
  }

  ~FileStore() override {
    ::close(file_);
    if (!kept_) ::unlink(path_.c_str());
  }

  std::size_t save(const torch::Tensor& bytes) override {
    const torch::Tensor on_host = bytes.cpu();
    const auto size = static_cast<std::size_t>(on_host.numel());
    const auto* data = on_host.data_ptr<std::uint8_t>();
    for (std::size_t done = 0; done < size;) {
      const ::ssize_t written = ::pwrite(file_, data + done, size - done, offset(end_ + done));
      if (written < 0 && errno != EINTR) {
        throw failure("cannot write the snapshot file " + path_.string() + " beyond " +
                      std::to_string(end_ + done) + " bytes");
      }
      if (written > 0) done += static_cast<std::size_t>(written);
    }
    copies_.push_back({end_, size, checksum(data, size)});
    end_ += size;
    return copies_.size() - 1;
  }

  void load(std::size_t number, const torch::Tensor& bytes) const override {
    const Copy& copy = copies_[number];
    const torch::Tensor on_host = torch::empty({bytes.numel()}, torch::kByte);
    auto* data = on_host.data_ptr<std::uint8_t>();
    for (std::size_t done = 0; done < copy.size;) {
      const ::ssize_t got =
          ::pread(file_, data + done, copy.size - done, offset(copy.begin + done));
      if (got < 0 && errno != EINTR)
        throw failure("cannot read the snapshot file " + path_.string());
      if (got == 0) throw SnapshotError("the snapshot file " + path_.string() + " was cut short");
      if (got > 0) done += static_cast<std::size_t>(got);
    }
    if (checksum(data, copy.size) != copy.checksum) {
      throw SnapshotError("the snapshot file " + path_.string() + " was changed");
    }
    bytes.copy_(on_host);
  }

  void keep() override { kept_ = true; }

 private:
  struct Copy {
    std::size_t begin;
    std::size_t size;
    std::uint64_t checksum;
  };

  static ::off_t offset(std::size_t bytes) { return static_cast<::off_t>(bytes); }

  static SnapshotError failure(const std::string& what) {
    return SnapshotError("range_test: " + what + ": " + std::strerror(errno) +
                         "; choose another folder with snapshot_dir(), or Snapshot::host");
  }

  // FNV-1a, over words of eight bytes.
  static std::uint64_t checksum(const std::uint8_t* data, std::size_t size) {
    std::uint64_t sum = 0xcbf29ce484222325;
    for (std::size_t i = 0; i < size; i += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, data + i, std::min(sizeof(word), size - i));
      sum = (sum ^ word) * 0x100000001b3;
    }
    return sum;
  }

  std::filesystem::path path_;
  int file_;
  std::size_t end_ = 0;
  std::vector<Copy> copies_;
  bool kept_ = false;
};

/// The store that the options ask for.
inline std::unique_ptr<SnapshotStore> make_store(const RangeTestOptions& options) {
  if (options.snapshot() == Snapshot::disk) {
    return std::make_unique<FileStore>(options.snapshot_dir());
  }
  return std::make_unique<MemoryStore>(/*on_host=*/options.snapshot() == Snapshot::host);
}

}  // namespace lrfinder::training
