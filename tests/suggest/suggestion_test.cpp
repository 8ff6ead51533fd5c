#include <catch2.hpp>

#include <lrfinder/suggest/suggestion.hpp>

using namespace lrfinder;

TEST_CASE("a suggestion is used as its learning rate") {
  Suggestion suggestion;
  suggestion.lr = 0.5;
  const double lr = suggestion;
  CHECK(lr == 0.5);
  CHECK(2 * suggestion == 1);
}

TEST_CASE("any function from a history to a suggestion is a recipe") {
  const Recipe last = [](const History& history) {
    Suggestion suggestion;
    suggestion.lr = history.lr.back();
    return suggestion;
  };
  CHECK(last(History({0.1, 0.2}, {2, 1})).lr == 0.2);
}
