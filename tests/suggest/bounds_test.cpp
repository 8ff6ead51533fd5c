#include <catch2.hpp>
#include <curves.hpp>

#include <lrfinder/suggest/bounds.hpp>
#include <lrfinder/suggest/steepest.hpp>

using namespace lrfinder;

TEST_CASE("the bounds reach from the first of the descent to nearly its last") {
  const auto history = MadeUpCurve{}.history();  // descends around 1e-2, diverges from 0.3 on
  const auto bounds = suggest::bounds(history);
  CHECK(bounds.base_lr > 1e-3);
  CHECK(bounds.base_lr < 1e-2);
  CHECK(bounds.max_lr > 1e-2);
  CHECK(bounds.max_lr < 0.2);
}

TEST_CASE("the suggestion lies within the bounds on nearly every task") {
  int within = 0;
  for (const auto& task : curve_tasks()) {
    const auto bounds = suggest::bounds(task.history);
    CHECK(bounds.base_lr < bounds.max_lr);
    const double lr = suggest::steepest(task.history);
    within += bounds.base_lr <= lr && lr <= bounds.max_lr ? 1 : 0;
  }
  CHECK(within >= 92);
}

TEST_CASE("a curve that never descends has no bounds") {
  const History rising({1e-4, 1e-3, 1e-2, 1e-1}, {1, 2, 3, 4});
  CHECK_THROWS_AS(suggest::bounds(rising), NoSuggestion);
  CHECK_THROWS_WITH(suggest::bounds(rising), contains("bounds: the loss never falls"));
}
