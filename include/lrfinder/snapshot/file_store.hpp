#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <string>
#include <system_error>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/detail/system.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/snapshot/store.hpp>

namespace lrfinder::detail {

/// A sum that tells damaged bytes from whole ones: FNV-1a over words of eight bytes, each mixed
/// once more, so that high bits reach low ones.
class Checksum {
 public:
  /// Takes the next bytes. How they are cut into pieces does not matter.
  void add(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (; size > 0 && filled_ > 0; --size) add_byte(*bytes++);
    for (; size >= sizeof(word_); size -= sizeof(word_), bytes += sizeof(word_)) {
      std::memcpy(&word_, bytes, sizeof(word_));
      mix();
    }
    for (; size > 0; --size) add_byte(*bytes++);
  }

  /// The sum of all bytes so far.
  std::uint64_t value() const {
    Checksum ended = *this;
    ended.mix();
    return ended.sum_ ^ filled_;
  }

 private:
  void add_byte(unsigned char byte) {
    word_ |= std::uint64_t{byte} << (8 * filled_);
    if (++filled_ == sizeof(word_)) mix();
  }

  void mix() {
    sum_ = (sum_ ^ word_) * 0x100000001b3;
    sum_ ^= sum_ >> 32;
    word_ = 0;
    filled_ = 0;
  }

  std::uint64_t sum_ = 0xcbf29ce484222325;
  std::uint64_t word_ = 0;
  std::size_t filled_ = 0;  // bytes of the word that have come
};

/// Copies in a private temporary file, one after the other, each with a checksum. The file has no
/// name, or is removed by the system with the process, so that none is left behind however a
/// program ends. Holds at most 16 MB in memory, whatever the size of the copies.
class FileStore : public SnapshotStore {
 public:
  /// Throws SnapshotError when no file can be made in `folder`; empty: the system's for such files.
  explicit FileStore(const std::string& folder) try
      : folder_(temporary_folder(folder)), file_(open_temporary_file(folder)) {
  } catch (const std::system_error& fault) {
    throw failure("cannot make a snapshot file in " + temporary_folder(folder), fault);
  }

  ~FileStore() override { close_file(file_); }

  /// Throws SnapshotError when the file cannot be written, for example on a full disk.
  std::size_t save(const torch::Tensor& bytes) override {
    return save_pieces([&](const Sink& sink) {
      each_piece(bytes, [&](const torch::Tensor& piece, std::size_t) {
        const torch::Tensor on_host = piece.cpu();
        sink(on_host.data_ptr(), on_host.nbytes());
      });
    });
  }

  /// Throws SnapshotError, as save().
  std::size_t save_pieces(const std::function<void(const Sink&)>& write) override {
    std::size_t end = end_;
    Checksum checksum;
    write([&](const void* data, std::size_t size) {
      write_at(end, static_cast<const char*>(data), size);
      checksum.add(data, size);
      end += size;
    });
    copies_.push_back({end_, end - end_, checksum.value()});
    end_ = end;
    return copies_.size() - 1;
  }

  void load(std::size_t number, const torch::Tensor& bytes) const override {
    check(number);
    each_piece(bytes, [&](const torch::Tensor& piece, std::size_t position) {
      const torch::Tensor on_host = piece.is_cpu() ? piece : torch::empty_like(piece, torch::kCPU);
      read(number, position, on_host.data_ptr(), on_host.nbytes());
      if (!piece.is_cpu()) piece.copy_(on_host);
    });
  }

  std::size_t size(std::size_t number) const override { return copies_[number].size; }

  void check(std::size_t number) const override {
    const Copy& copy = copies_[number];
    std::vector<char> piece(std::min(copy.size, piece_size));
    Checksum checksum;
    for (std::size_t position = 0; position < copy.size;) {
      const std::size_t got = read(number, position, piece.data(), piece.size());
      checksum.add(piece.data(), got);
      position += got;
    }
    if (checksum.value() != copy.checksum) {
      throw SnapshotError("the snapshot file in " + folder_ + " was changed");
    }
  }

  std::size_t read(std::size_t number, std::size_t position, void* data,
                   std::size_t size) const override {
    const Copy& copy = copies_[number];
    size = std::min(size, copy.size - std::min(position, copy.size));
    for (std::size_t done = 0; done < size;) {
      const std::size_t got =
          read_at(copy.begin + position + done, static_cast<char*>(data) + done, size - done);
      if (got == 0) throw SnapshotError("the snapshot file in " + folder_ + " was cut short");
      done += got;
    }
    return size;
  }

  std::string keep() override {
    try {
      const UniqueFile copy = create_unique_file(folder_);
      const bool whole = copies_all_to(copy.file);
      close_file(copy.file);
      if (whole) return copy.path;
      remove_file(copy.path);
    } catch (const std::exception&) {  // there is no place for it
    }
    return {};
  }

 private:
  struct Copy {
    std::size_t begin;
    std::size_t size;
    std::uint64_t checksum;
  };

  static constexpr std::size_t piece_size = std::size_t{16} << 20;

  // Calls use(piece, position) for all of a storage, a part of it at a time.
  template <class Use>
  static void each_piece(const torch::Tensor& bytes, Use&& use) {
    const auto step = static_cast<std::int64_t>(piece_size);
    for (std::int64_t begin = 0; begin < bytes.numel(); begin += step) {
      use(bytes.narrow(0, begin, std::min(step, bytes.numel() - begin)),
          static_cast<std::size_t>(begin));
    }
  }

  bool copies_all_to(FileHandle target) const noexcept {
    try {
      std::vector<char> piece(std::min(end_, piece_size));
      std::size_t position = 0;
      while (const std::size_t got = read_some(file_, position, piece.data(), piece.size())) {
        for (std::size_t done = 0; done < got;) {
          done += write_some(target, position + done, piece.data() + done, got - done);
        }
        position += got;
      }
      return true;
    } catch (const std::exception&) {
      return false;
    }
  }

  std::size_t read_at(std::size_t position, char* data, std::size_t size) const {
    try {
      return read_some(file_, position, data, size);
    } catch (const std::system_error& fault) {
      throw failure("cannot read the snapshot file in " + folder_, fault);
    }
  }

  void write_at(std::size_t position, const char* data, std::size_t size) {
    std::size_t done = 0;
    try {
      while (done < size) done += write_some(file_, position + done, data + done, size - done);
    } catch (const std::system_error& fault) {
      throw failure("cannot write the snapshot file in " + folder_ + " beyond " +
                        std::to_string(position + done) + " bytes",
                    fault);
    }
  }

  static SnapshotError failure(const std::string& what, const std::system_error& fault) {
    return SnapshotError("LRFinder: " + what + ": " + fault.code().message() +
                         "; choose another folder with snapshot_dir(), or Snapshot::host");
  }

  std::string folder_;
  FileHandle file_;
  std::size_t end_ = 0;
  std::vector<Copy> copies_;
};

}  // namespace lrfinder::detail
