#include <catch2.hpp>
#include <csignal>
#include <cstdlib>
#include <environment.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <temporary_directory.hpp>

#include <lrfinder/plot/gnuplot.hpp>

using lrfinder::PlotError;
using lrfinder::run_gnuplot;

namespace {

const std::string hello = "set terminal dumb\nset title 'hello'\nplot x\n";

void write_program(const std::string& path, const std::string& text) {
  std::ofstream(path) << "#!/bin/sh\n" << text;
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
}

}  // namespace

TEST_CASE("gnuplot draws what a script says") { CHECK_THAT(run_gnuplot(hello), contains("hello")); }

TEST_CASE("an error in a script is reported in gnuplot's words") {
  CHECK_THROWS_WITH(run_gnuplot("plot nothing_known\n"), contains("undefined variable"));
}

TEST_CASE("a script that draws nothing is an error") {
  CHECK_THROWS_AS(run_gnuplot(""), PlotError);
}

TEST_CASE("where there is no gnuplot the error says how to install it") {
  const TemporaryDirectory empty;
  const EnvironmentVariable path("PATH", empty.path());
  CHECK_THROWS_WITH(run_gnuplot(hello),
                    contains("apt install gnuplot-nox") && contains("not found on PATH"));
}

TEST_CASE("a gnuplot that is too old, or none at all, is not used") {
  const TemporaryDirectory directory;
  const auto [answer, reason] = GENERATE(table<std::string, std::string>(
      {{"gnuplot 5.2 patchlevel 8", "version 5.2;"}, {"hello", "of no known version;"}}));
  write_program(directory / "gnuplot", "echo '" + answer + "'");
  const EnvironmentVariable path("PATH", directory.path());
  CHECK_THROWS_WITH(run_gnuplot(hello), contains(reason) && contains("5.4 or newer"));
}

TEST_CASE("a gnuplot that is killed is reported") {
  const TemporaryDirectory directory;
  write_program(directory / "gnuplot",
                "if [ $1 = --version ]; then echo gnuplot 6.0; else kill -9 $$; fi");
  const EnvironmentVariable path("PATH", directory.path());
  CHECK_THROWS_WITH(run_gnuplot(hello), contains("crashed with status -9"));
}

TEST_CASE("the user's settings of gnuplot do not show in pictures") {
  const TemporaryDirectory home;
  std::ofstream(home / ".gnuplot") << "set title 'mine'\n";
  const EnvironmentVariable variable("HOME", home.path());
  CHECK_FALSE(contains("mine").match(run_gnuplot(hello)));
}

TEST_CASE("a program that ignores the end of its children can plot") {
  auto* const old_action = std::signal(SIGCHLD, SIG_IGN);
  CHECK_THAT(run_gnuplot(hello), contains("hello"));
  std::signal(SIGCHLD, old_action);
}
