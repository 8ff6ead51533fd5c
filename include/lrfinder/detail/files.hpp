#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <system_error>

#include <lrfinder/detail/system.hpp>

// Files as a whole. A failure throws std::system_error.
namespace lrfinder::detail {

/// A path from UTF-8 text. Refuses a NUL, at which the system would cut the path off.
inline std::filesystem::path path_from(const std::string& text) {
  if (text.find('\0') != std::string::npos) throw failure(std::errc::invalid_argument);
#ifdef __cpp_char8_t
  return std::u8string(text.begin(), text.end());
#else
  return std::filesystem::u8path(text);
#endif
}

/// A path as UTF-8.
inline std::string text_of(const std::filesystem::path& path) {
  const auto text = path.u8string();
  return {text.begin(), text.end()};
}

/// A path in `folder` that no other file has.
inline std::filesystem::path unused_path(const std::filesystem::path& folder,
                                         std::string_view ending) {
  std::random_device random;
  std::string name = "lrfinder-" + std::to_string(random()) + "-" + std::to_string(random());
  return folder / name.append(ending);
}

/// An open file.
class File {
 public:
  File(const std::filesystem::path& path, FileAccess access)
      : descriptor_(open_file(path, access)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { close_file(descriptor_); }

  /// Reads `size` bytes from a position, or fewer at the end of the file. Returns how many.
  std::size_t read_at(std::uint64_t position, void* data, std::size_t size) const {
    seek_file(descriptor_, position);
    std::size_t done = 0, got = 1;
    for (; done < size && got > 0; done += got) {
      got = read_some(descriptor_, static_cast<char*>(data) + done, size - done);
    }
    return done;
  }

  /// Writes `size` bytes to a position.
  void write_at(std::uint64_t position, const void* data, std::size_t size) {
    seek_file(descriptor_, position);
    for (std::size_t done = 0; done < size;) {
      done += write_some(descriptor_, static_cast<const char*>(data) + done, size - done);
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

  int descriptor() const noexcept { return descriptor_; }

 private:
  int descriptor_;
};

/// The folder for temporary files: `folder`, or that of the system if `folder` is empty.
inline std::filesystem::path temporary_folder(const std::string& folder = {}) {
  return folder.empty() ? std::filesystem::temp_directory_path() : path_from(folder);
}

/// A file without a name, for this user only. The system removes it however the process ends.
///
/// Throws std::filesystem::filesystem_error with the folder if no file can be made in the folder.
inline File temporary_file(const std::filesystem::path& folder) {
  try {
    return File(unused_path(folder, ".tmp"), FileAccess::create_temporary);
  } catch (const std::system_error& fault) {
    throw std::filesystem::filesystem_error("cannot make a temporary file", folder, fault.code());
  }
}

/// The contents of a file.
inline std::string read_file(const std::string& path) {
  return File(path_from(path), FileAccess::read).contents();
}

/// Writes `contents` to a new file that takes the place of `target`. Returns false, and leaves
/// everything as it is, if that would change more than the contents: the owner, or what the other
/// names of the file (hard links) lead to. Also if only the file may be written, not its folder.
/// `old`: the target, if there is one. It is closed if it is replaced.
inline bool write_anew(const std::filesystem::path& target, std::optional<File>& old,
                       std::string_view contents) {
  namespace fs = std::filesystem;
  if (old && fs::hard_link_count(target) > 1) return false;
  const fs::path part = unused_path(target.parent_path(), ".part");
  std::optional<File> file;
  try {
    file.emplace(part, FileAccess::create);
  } catch (const std::system_error& fault) {
    const bool is_refused = fault.code() == std::errc::permission_denied ||
                            fault.code() == std::errc::operation_not_permitted;
    if (old && is_refused) return false;
    throw;
  }
  std::error_code ignored;
  try {
    const bool can_replace = !old || has_same_owner(file->descriptor(), old->descriptor());
    if (can_replace) {
      if (old) fs::permissions(part, fs::status(target).permissions(), ignored);
      file->write_at(0, contents.data(), contents.size());
      sync_file(file->descriptor());
      old.reset();  // Windows replaces only a file that is closed
    }
    file.reset();
    can_replace ? fs::rename(part, target) : static_cast<void>(fs::remove(part));
    return can_replace;
  } catch (...) {
    file.reset();
    fs::remove(part, ignored);
    throw;
  }
}

/// Writes `contents` to the file, where a shell's redirection would: links are followed, and a file
/// that may not be written is refused. An existing file is replaced when the new contents are
/// complete; if they cannot be written, it keeps the old contents. Only what write_anew() cannot
/// replace is overwritten, as are devices and pipes.
inline void replace_file(const std::string& path, std::string_view contents) {
  namespace fs = std::filesystem;
  fs::path target = path_from(path);
  std::error_code ignored;
  std::optional<File> old;
  if (fs::symlink_status(target, ignored).type() != fs::file_type::not_found) {
    old.emplace(target, FileAccess::write);
    target = fs::canonical(target);
  }
  const bool is_file = !old || fs::is_regular_file(target);
  if (is_file && write_anew(target, old, contents)) return;
  old->write_at(0, contents.data(), contents.size());
  if (is_file) fs::resize_file(target, contents.size());
}

}  // namespace lrfinder::detail
