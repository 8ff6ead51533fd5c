#include <algorithm>
#include <catch2.hpp>
#include <chrono>
#include <csignal>
#include <environment.hpp>
#include <fake_gnuplot.hpp>
#include <fstream>
#include <string>
#include <temporary_directory.hpp>
#ifndef _WIN32
#include <file_size_limit.hpp>
#endif

#include <lrfinder/plot/plot_format.hpp>

using lrfinder::PlotError;
using lrfinder::PlotOptions;
using lrfinder::detail::Figure;
using lrfinder::detail::plot_format_of;
using lrfinder::detail::run_gnuplot;

namespace {

const std::string hello = "set terminal dumb\nset title 'hello'\nplot x\n";

}  // namespace

// [gnuplot] marks what needs a real one.

TEST_CASE("gnuplot draws what a script says", "[gnuplot]") {
  CHECK_THAT(run_gnuplot(hello), contains("hello"));
}

TEST_CASE("an error in a script is reported in gnuplot's words", "[gnuplot]") {
  CHECK_THROWS_WITH(run_gnuplot("plot nothing_known\n"), contains("undefined variable"));
}

TEST_CASE("a script that draws nothing is an error", "[gnuplot]") {
  CHECK_THROWS_AS(run_gnuplot(""), PlotError);
}

TEST_CASE("where there is no gnuplot the error says how to install it") {
  const TemporaryDirectory empty;
  const EnvironmentVariable path("PATH", empty.name());
  CHECK_THROWS_WITH(run_gnuplot(hello),
                    contains("apt install gnuplot-nox") && contains("not found on PATH"));
}

TEST_CASE("a folder for temporary files that is not there is reported as such") {
  const TemporaryDirectory directory;
  const EnvironmentVariable posix("TMPDIR", directory / "none");
  const EnvironmentVariable windows("TMP", directory / "none");
  CHECK_THROWS_WITH(run_gnuplot(hello), contains("set TMPDIR"));
}

TEST_CASE("gnuplot gets its script and nothing else") {
  const FakeGnuplot gnuplot("echo");
  const std::string script(200000, 'x');
  std::string got = run_gnuplot(script);
  got.erase(std::remove(got.begin(), got.end(), '\r'), got.end());  // a Windows program's
  CHECK(got.rfind("<--default-settings>\n" + script + "\n", 0) == 0);
}

TEST_CASE("a gnuplot that crashes is reported") {
  const FakeGnuplot gnuplot("crash");
  CHECK_THROWS_WITH(run_gnuplot(hello), contains("crashed with status -"));
}

TEST_CASE("a gnuplot that hangs is killed") {
  const FakeGnuplot gnuplot("hang");
  CHECK_THROWS_WITH(run_gnuplot(hello, std::chrono::milliseconds(300)),
                    contains("did not end within 0.3 s"));
}

TEST_CASE("what gnuplot says is reported without control characters") {
  const FakeGnuplot gnuplot("complain");
  CHECK_THROWS_WITH(run_gnuplot(hello),
                    contains("failed with status 3; it has to be 5.4 or newer:") &&
                        contains("\n     ^") && contains(" [31mno x") && !contains("\x1b"));
}

TEST_CASE("the user's settings of gnuplot do not show in pictures", "[gnuplot]") {
  const TemporaryDirectory home;
  std::ofstream(home / ".gnuplot") << "set title 'mine'\n";
  const EnvironmentVariable variable("HOME", home.name());
  CHECK_FALSE(contains("mine").match(run_gnuplot(hello)));
}

#ifndef _WIN32
TEST_CASE("a program that ignores the end of its children can plot") {
  auto* const old_action = std::signal(SIGCHLD, SIG_IGN);
  {
    const FakeGnuplot gnuplot("echo");
    CHECK_THAT(run_gnuplot(hello), contains("hello"));
  }
  std::signal(SIGCHLD, old_action);
}

TEST_CASE("a program that ignores the end of its children learns that gnuplot failed",
          "[gnuplot]") {
  auto* const old_action = std::signal(SIGCHLD, SIG_IGN);
  for (const char* ending : {"plot nothing_known\n", "plot nothing_known\nplot x\n"}) {
    CHECK_THROWS_WITH(run_gnuplot(hello + ending), contains("undefined variable"));
  }
  // The panels of a figure begin alike, with a command that forgets errors.
  Figure figure{"", "", {}, {{"bad", {}, 1}, {"good", {}, 1}}};
  figure.panels[0].draw("nothing_known");
  const auto draw = [&] {
    const PlotOptions options;
    return plot_format_of(".svg").draw(figure, options);
  };
  CHECK_THROWS_WITH(draw(), contains("undefined variable"));
  std::signal(SIGCHLD, old_action);
}

TEST_CASE("a picture that gnuplot could not write to its end is an error", "[gnuplot]") {
  const std::string terminal = GENERATE("svg", "pngcairo", "pdfcairo", "dumb");
  const std::string script = "set terminal " + terminal + "\nset samples 1000\nplot rand(0)\n";
  const std::size_t size = run_gnuplot(script).size();
  for (const std::size_t limit : {size / 2, size - 1}) {
    CAPTURE(terminal, limit, size);
    const FileSizeLimit full_disk(limit);
    CHECK_THROWS_WITH(run_gnuplot(script), contains("did not complete the picture"));
  }
}
#endif
