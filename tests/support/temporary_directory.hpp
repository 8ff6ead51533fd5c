#pragma once

#include <filesystem>
#include <random>
#include <string>
#include <system_error>

/// A path as the library takes it, in UTF-8.
inline std::string utf8(const std::filesystem::path& path) {
  const auto text = path.u8string();
  return {text.begin(), text.end()};
}

/// A directory of the test's own, gone with everything in it at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::random_device random;
    const auto parent = std::filesystem::temp_directory_path();
    do {
      path_ = parent / ("lrfinder-test-" + std::to_string(random()));
    } while (!std::filesystem::create_directory(path_));
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::string name() const { return utf8(path_); }
  /// The path of a file in the directory; `file` is UTF-8, too.
  std::string operator/(const std::string& file) const { return name() + "/" + file; }

 private:
  std::filesystem::path path_;
};
