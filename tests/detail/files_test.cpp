#include <array>
#include <catch2.hpp>
#include <string>
#include <system_error>
#include <temporary_directory.hpp>

#include <lrfinder/detail/files.hpp>

using namespace lrfinder::detail;

namespace {

std::size_t files_in(const TemporaryDirectory& directory) {
  const std::filesystem::directory_iterator files(directory.path());
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

}  // namespace

TEST_CASE("a temporary file reads what was written to it") {
  TemporaryFile file;
  file.write_at(0, "hello", 5);
  file.write_at(3, "p me", 4);
  std::array<char, 16> read{};
  CHECK(file.read_at(1, read.data(), read.size()) == 6);
  CHECK(std::string(read.data()) == "elp me");
  CHECK(file.read_at(100, read.data(), read.size()) == 0);
  CHECK(file.contents() == "help me");
}

TEST_CASE("a temporary file is gone with its object") {
  const TemporaryDirectory directory;
  {
    TemporaryFile file(directory.name());
    file.write_at(0, "hello", 5);
  }
  CHECK(files_in(directory) == 0);
}

TEST_CASE("a temporary file can be kept, but takes the place of no other") {
  const TemporaryDirectory directory;
  const std::string path = directory / "kept";
  TemporaryFile file(directory.name());
  file.write_at(0, "hello", 5);
  file.keep(path);
  CHECK(read_file(path) == "hello");
  try {
    file.keep(path);
    FAIL("it replaced a file");
  } catch (const std::system_error& fault) {
    CHECK(fault.code() == std::errc::file_exists);
  }
}

TEST_CASE("a temporary file needs a folder that is there") {
  const TemporaryDirectory directory;
  CHECK_THROWS_AS(TemporaryFile(directory / "none"), std::system_error);
}

TEST_CASE("a path with a NUL is refused, not cut") {
  const TemporaryDirectory directory;
  const std::string path = std::string(directory / "lr") + '\0' + ".svg";
  CHECK_THROWS_AS(replace_file(path, "x"), std::system_error);
  CHECK_THROWS_AS(read_file(path), std::system_error);
  CHECK(files_in(directory) == 0);
}

TEST_CASE("a file with blanks and letters of any script in its name is replaced") {
  const TemporaryDirectory directory;
  const std::string path = directory / "ü 学 run.csv";
  replace_file(path, "old");
  replace_file(path, "new");
  CHECK(read_file(path) == "new");
  CHECK(files_in(directory) == 1);
}
