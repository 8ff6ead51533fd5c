#include <catch2.hpp>

#include <lrfinder/history/iteration.hpp>

using lrfinder::Iteration;
using lrfinder::IterationCallback;

TEST_CASE("no callback lets the test go on") { CHECK(IterationCallback()(Iteration{})); }

TEST_CASE("a callback that returns nothing lets the test go on") {
  int calls = 0;
  const IterationCallback callback([&](const Iteration&) { ++calls; });
  CHECK(callback(Iteration{}));
  CHECK(calls == 1);
}

TEST_CASE("a callback that returns false stops the test") {
  const IterationCallback callback([](const Iteration& iteration) { return iteration.index < 3; });
  Iteration iteration;
  iteration.index = 2;
  CHECK(callback(iteration));
  iteration.index = 3;
  CHECK_FALSE(callback(iteration));
}
