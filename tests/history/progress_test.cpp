#include <algorithm>
#include <catch2.hpp>
#include <functional>
#include <limits>
#include <sstream>
#include <string>

#include <lrfinder/history/progress.hpp>

using lrfinder::Iteration;
using lrfinder::Progress;

namespace {

Iteration iteration(std::int64_t index, std::int64_t num_iter) {
  Iteration iteration;
  iteration.index = index;
  iteration.num_iter = num_iter;
  iteration.lr = 1.2345e-5;
  iteration.loss = 0.43211;
  iteration.best_loss = 0.42;
  return iteration;
}

std::int64_t count(char letter, const std::ostringstream& out) {
  const std::string text = out.str();
  return std::count(text.begin(), text.end(), letter);
}

}  // namespace

TEST_CASE("progress is one line on a terminal, updated in place") {
  std::ostringstream out;
  double now = 0;
  Progress progress(out, true, "", [&now] { return now; });
  now = 10;
  progress(iteration(9, 100));
  CHECK(out.str() == "\r 10/100  lr 1.23e-5  loss 0.432  best 0.42  1:30 left\x1b[K");
  now = 20;
  progress(iteration(99, 100));
  CHECK_THAT(out.str(), contains("\r100/100  lr 1.23e-5  loss 0.432  best 0.42  0:00 left"));
  CHECK(count('\n', out) == 1);
}

TEST_CASE("progress shows no best loss before there is one") {
  std::ostringstream out;
  double now = 0;
  Progress progress(out, true, "", [&now] { return now; });
  now = 10;
  auto first = iteration(9, 100);
  first.best_loss = std::numeric_limits<double>::infinity();
  progress(first);
  CHECK(out.str() == "\r 10/100  lr 1.23e-5  loss 0.432  1:30 left\x1b[K");
}

TEST_CASE("progress is not drawn more often than eyes can follow") {
  std::ostringstream out;
  double now = 0;
  Progress progress(out, true, "", [&now] { return now; });
  for (int i = 0; i < 1000; ++i) {
    now += 0.001;
    progress(iteration(i, 1000));
  }
  const auto drawn = count('\r', out);
  CHECK(drawn <= 22);
  CHECK(drawn >= 19);
}

TEST_CASE("progress is a line every tenth where there is no terminal") {
  const int num_iter = GENERATE(10, 100, 105, 1000);
  std::ostringstream out;
  Progress progress(out, false, "", [] { return 0.0; });
  for (int i = 0; i < num_iter; ++i) progress(iteration(i, num_iter));
  CHECK(count('\n', out) == 10);
  CHECK(out.str().find('\r') == std::string::npos);
}

TEST_CASE("a short test without a terminal has a line an iteration") {
  std::ostringstream out;
  Progress progress(out, false, "", [] { return 0.0; });
  for (int i = 0; i < 3; ++i) progress(iteration(i, 3));
  CHECK(count('\n', out) == 3);
}

TEST_CASE("a test that stops early leaves its line complete") {
  std::ostringstream out;
  {
    Progress progress(out, true, "", [] { return 0.0; });
    progress(iteration(0, 100));
    progress.end();
    out << "next";
  }
  CHECK_THAT(out.str(), contains("\nnext"));
  CHECK(count('\n', out) == 1);
}

TEST_CASE("the last line says why a test stopped") {
  using lrfinder::StopReason;
  const auto shown = [](bool is_terminal, std::int64_t iterations, StopReason reason) {
    std::ostringstream out;
    Progress progress(out, is_terminal, "range test", [] { return 0.0; });
    for (std::int64_t i = 0; i < iterations; ++i) progress(iteration(i, 100));
    out.str("");
    progress.end(reason);
    return out.str();
  };
  const std::string line = "range test   63/100  lr 1.23e-5  loss 0.432  best 0.42  diverged";
  CHECK(shown(false, 63, StopReason::diverged) == line + "\n");
  CHECK(shown(true, 63, StopReason::diverged) == "\r" + line + "\x1b[K\n");
  CHECK(shown(false, 0, StopReason::non_finite_loss) == "range test  non-finite loss\n");
  CHECK(shown(false, 100, StopReason::completed).empty());
}

TEST_CASE("long tests show hours") {
  std::ostringstream out;
  double now = 0;
  Progress progress(out, false, "", [&now] { return now; });
  now = 3725;
  progress(iteration(0, 2));
  CHECK_THAT(out.str(), contains("1:02:05 left"));
  now = 359999;
  progress(iteration(0, 2));
  CHECK_THAT(out.str(), contains("99:59:59 left"));
  now = 360000;
  progress(iteration(0, 2));
  CHECK_THAT(out.str(), contains("over 99 h left"));
}

TEST_CASE("a stage stands before the progress") {
  std::ostringstream out;
  Progress progress(out, false, "trials", [] { return 0.0; });
  progress(iteration(0, 1));
  CHECK(out.str().find("trials  1/1  lr") == 0);
}

TEST_CASE("progress is a callback like any other") {
  std::ostringstream out;
  Progress progress(out, false);
  const lrfinder::IterationCallback callback = std::ref(progress);
  CHECK(callback(iteration(0, 1)));
  CHECK(count('\n', out) == 1);
}
