#pragma once

#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <lrfinder/detail/system.hpp>

// Files as a whole. What fails throws std::system_error.
namespace lrfinder::detail {

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

/// The contents of a file.
inline std::string read_file(const std::string& path) {
  const File file(open_file(path, "rb"));
  std::string contents;
  char block[1 << 16];
  while (const std::size_t size = std::fread(block, 1, sizeof(block), file.get())) {
    contents.append(block, size);
  }
  if (std::ferror(file.get())) throw errno_failure(errno);
  return contents;
}

/// Writes everything, down to the device.
inline void write_all(std::FILE* file, std::string_view contents) {
  if (std::fwrite(contents.data(), 1, contents.size(), file) != contents.size() ||
      std::fflush(file) != 0) {
    throw errno_failure(errno);
  }
  sync_file(file);
}

/// A new file beside `path`, which takes its place when it is complete and is removed otherwise.
class Replacement {
 public:
  explicit Replacement(std::string path) : path_(std::move(path)) {
    for (int attempt = 0; !file_; ++attempt) {
      name_ = path_.substr(0, path_.find_last_of(separators) + 1) + ".lrfinder-" +
              std::to_string(process_id()) + "-" + std::to_string(attempt) + ".part";
      try {
        file_.reset(create_file(name_));
      } catch (const std::system_error& fault) {
        if (fault.code() != std::errc::file_exists || attempt == 100) throw;
      }
    }
  }
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;
  ~Replacement() {
    file_.reset();
    if (!done_) remove_file(name_);
  }

  std::FILE* file() const noexcept { return file_.get(); }

  /// Puts the new file in place of the old one, in one step.
  void commit() {
    if (std::fclose(file_.release()) != 0) throw errno_failure(errno);
    move_file(name_, path_);
    done_ = true;
  }

 private:
#ifdef _WIN32
  static constexpr const char* separators = "/\\";
#else
  static constexpr const char* separators = "/";
#endif

  std::string path_;
  std::string name_;
  File file_;
  bool done_ = false;
};

/// Makes `contents` the contents of the file. An existing file keeps its old contents until the new
/// ones are complete, and for good where they cannot be written; a link is followed; a device or a
/// pipe is written to as it is.
inline void replace_file(const std::string& path, std::string_view contents) {
  const auto existing = existing_file(path);
  if (existing && !existing->regular) {
    const File file(open_file(path, "wb"));
    write_all(file.get(), contents);
    return;
  }
  Replacement replacement(existing ? existing->path : path);
  if (existing) copy_permissions(*existing, replacement.file());
  write_all(replacement.file(), contents);
  replacement.commit();
}

/// A file for as long as this object lives. The system removes it however the process ends.
class TemporaryFile {
 public:
  /// `folder`: where the file is; empty for the system's folder for such files.
  explicit TemporaryFile(const std::string& folder = {}) : file_(open_temporary_file(folder)) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { close_file(file_); }

  /// Reads `size` bytes from a position, fewer where the file ends; returns how many.
  std::size_t read_at(std::uint64_t position, void* data, std::size_t size) const {
    std::size_t done = 0;
    while (done < size) {
      const std::size_t got =
          read_some(file_, position + done, static_cast<char*>(data) + done, size - done);
      if (got == 0) break;
      done += got;
    }
    return done;
  }

  /// Writes `size` bytes to a position.
  void write_at(std::uint64_t position, const void* data, std::size_t size) {
    for (std::size_t done = 0; done < size;) {
      done +=
          write_some(file_, position + done, static_cast<const char*>(data) + done, size - done);
    }
  }

  /// Everything in the file.
  std::string contents() const {
    std::string contents;
    char block[1 << 16];
    while (const std::size_t size = read_at(contents.size(), block, sizeof(block))) {
      contents.append(block, size);
    }
    return contents;
  }

  /// Copies the file to a path where there is none, to stay there.
  void keep(const std::string& path) const {
    File copy(create_file(path));
    try {
      char block[1 << 16];
      std::uint64_t position = 0;
      while (const std::size_t size = read_at(position, block, sizeof(block))) {
        if (std::fwrite(block, 1, size, copy.get()) != size) throw errno_failure(errno);
        position += size;
      }
      write_all(copy.get(), "");  // fwrite takes no null pointer
    } catch (const std::system_error&) {
      copy.reset();
      remove_file(path);
      throw;
    }
  }

  FileHandle handle() const noexcept { return file_; }

 private:
  FileHandle file_;
};

}  // namespace lrfinder::detail
