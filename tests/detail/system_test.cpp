#include <catch2.hpp>
#include <cstdio>
#include <memory>

#include <lrfinder/detail/system.hpp>

TEST_CASE("a file is no terminal and counts as 80 by 24") {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), &std::fclose);
  REQUIRE(file);
  CHECK_FALSE(lrfinder::is_terminal(file.get()));
  CHECK(lrfinder::terminal_size(file.get()).columns == 80);
  CHECK(lrfinder::terminal_size(file.get()).rows == 24);
}

TEST_CASE("a function of a loaded library is found by its name") {
  CHECK(lrfinder::detail::find_symbol("malloc") != nullptr);
  CHECK(lrfinder::detail::find_symbol("no_such_function") == nullptr);
}
