#include <catch2.hpp>

#include <lrfinder/suggest/found.hpp>

using lrfinder::FoundRate;
using lrfinder::History;
using lrfinder::NoSuggestion;
using lrfinder::Suggestion;

TEST_CASE("what trials have found is read off the history that they followed") {
  History history({1e-3, 1e-2, 1e-1}, {2, 1, 3});
  history.found = FoundRate{2e-2, 1e-2, 4e-2, {{1e-2, 50, 0.5, false, {}}}};
  const Suggestion found = lrfinder::suggest::found(history);
  CHECK(found.lr == 2e-2);
  CHECK(found.low == 1e-2);
  CHECK(found.high == 4e-2);
  CHECK(found.index == 1);
  CHECK(found.loss == 1);
  REQUIRE(found.trials.size() == 1);
  CHECK(found.trials[0].num_iter == 50);
}

TEST_CASE("a history without trials has found nothing") {
  CHECK_THROWS_WITH(lrfinder::suggest::found(History({1e-3, 1e-2}, {2, 1})),
                    "found: no trials followed the range test; call find()");
}
