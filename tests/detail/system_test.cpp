#include <catch2.hpp>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <temporary_directory.hpp>

#include <lrfinder/detail/system.hpp>

TEST_CASE("a file is no terminal and counts as 80 by 24") {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), &std::fclose);
  REQUIRE(file);
  CHECK_FALSE(lrfinder::is_terminal(file.get()));
  CHECK(lrfinder::terminal_size(file.get()).columns == 80);
  CHECK(lrfinder::terminal_size(file.get()).rows == 24);
}

TEST_CASE("each unique file has a name of its own, can be written and read, and stays") {
  const TemporaryDirectory directory;
  const auto first = lrfinder::detail::create_unique_file(directory.name());
  const auto second = lrfinder::detail::create_unique_file(directory.name());
  CHECK(first.path != second.path);
  char text[4] = {};
  CHECK(lrfinder::detail::write_some(first.file, 2, "abc", 3) == 3);
  CHECK(lrfinder::detail::read_some(first.file, 3, text, 3) == 2);
  CHECK(std::strcmp(text, "bc") == 0);
  lrfinder::detail::close_file(first.file);
  lrfinder::detail::close_file(second.file);
  CHECK(lrfinder::detail::existing_file(first.path).has_value());
  lrfinder::detail::remove_file(first.path);
  CHECK_FALSE(lrfinder::detail::existing_file(first.path).has_value());
}

TEST_CASE("a temporary file is gone when it is closed") {
  const TemporaryDirectory directory;
  const auto file = lrfinder::detail::open_temporary_file(directory.name());
  CHECK(lrfinder::detail::write_some(file, 0, "abc", 3) == 3);
  lrfinder::detail::close_file(file);
  CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE("a file cannot be made in a folder that is not there") {
  const TemporaryDirectory directory;
  CHECK_THROWS_AS(lrfinder::detail::create_unique_file(directory / "none"), std::system_error);
}

TEST_CASE("a function of a loaded library is found by its name") {
  CHECK(lrfinder::detail::find_symbol("malloc") != nullptr);
  CHECK(lrfinder::detail::find_symbol("no_such_function") == nullptr);
}
