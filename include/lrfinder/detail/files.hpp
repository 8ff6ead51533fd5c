#pragma once

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace lrfinder::detail {

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

/// The error of the system call that failed last.
inline std::system_error system_failure() {
  return std::system_error(errno, std::generic_category());
}

/// The rest of an open file. Throws std::system_error.
inline std::string read_all(std::FILE* file) {
  std::string contents;
  char block[1 << 16];
  while (const std::size_t size = std::fread(block, 1, sizeof(block), file)) {
    contents.append(block, size);
  }
  if (std::ferror(file)) throw system_failure();
  return contents;
}

/// The contents of a file. Throws std::system_error.
inline std::string read_file(const std::string& path) {
  const File file(std::fopen(path.c_str(), "rb"));
  if (!file) throw system_failure();
  return read_all(file.get());
}

/// Writes everything, down to the device. Throws std::system_error.
inline void write_all(std::FILE* file, std::string_view contents) {
  if (std::fwrite(contents.data(), 1, contents.size(), file) != contents.size() ||
      std::fflush(file) != 0) {
    throw system_failure();
  }
  if (::fsync(::fileno(file)) != 0 && errno != EINVAL && errno != ENOTSUP) throw system_failure();
}

/// A new file beside `path`, which takes its place when it is complete and is removed otherwise.
class Replacement {
 public:
  explicit Replacement(std::string path) : path_(std::move(path)) {
    for (int attempt = 0; !file_; ++attempt) {
      name_ = path_.substr(0, path_.find_last_of('/') + 1) + ".lrfinder-" +
              std::to_string(::getpid()) + "-" + std::to_string(attempt) + ".part";
      file_.reset(std::fopen(name_.c_str(), "wbx"));
      if (!file_ && (errno != EEXIST || attempt == 100)) throw system_failure();
    }
  }
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;
  ~Replacement() {
    if (!done_) std::remove(name_.c_str());
  }

  std::FILE* file() const noexcept { return file_.get(); }

  /// Puts the new file in place of the old one, in one step.
  void commit() {
    if (std::fclose(file_.release()) != 0) throw system_failure();
    if (std::rename(name_.c_str(), path_.c_str()) != 0) throw system_failure();
    done_ = true;
  }

 private:
  std::string path_;
  std::string name_;
  File file_;
  bool done_ = false;
};

/// Makes `contents` the contents of the file. An existing file keeps its old contents until the new
/// ones are complete, and for good where they cannot be written; a link is followed; a device or a
/// pipe is written to as it is. Throws std::system_error.
inline void replace_file(const std::string& path, std::string_view contents) {
  struct ::stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (exists && !S_ISREG(status.st_mode)) {
    const File file(std::fopen(path.c_str(), "wb"));
    if (!file) throw system_failure();
    write_all(file.get(), contents);
    return;
  }
  std::string target = path;
  if (exists) {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                           &std::free);
    if (!real) throw system_failure();
    target = real.get();
  }
  Replacement replacement(target);
  if (exists) static_cast<void>(::fchmod(::fileno(replacement.file()), status.st_mode & 07777));
  write_all(replacement.file(), contents);
  replacement.commit();
}

}  // namespace lrfinder::detail
