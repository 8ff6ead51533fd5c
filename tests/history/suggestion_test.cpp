#include <catch2.hpp>
#include <limits>
#include <sstream>
#include <string>

#include <lrfinder/history/suggestion.hpp>

using namespace lrfinder;

namespace {

std::string printed(const Suggestion& suggestion) {
  std::ostringstream out;
  out << suggestion;
  return out.str();
}

}  // namespace

TEST_CASE("a suggestion is used as its learning rate") {
  Suggestion suggestion;
  suggestion.lr = 0.5;
  const double lr = suggestion;
  CHECK(lr == 0.5);
  CHECK(2 * suggestion == 1);
}

TEST_CASE("a suggestion read off a curve prints its rate and its caveat") {
  Suggestion suggestion;
  suggestion.lr = 0.0123456;
  CHECK(printed(suggestion) == "lr 0.0123");
  suggestion.caveat = "the loss was still falling\x1b[2J";
  CHECK(printed(suggestion) == "lr 0.0123\ncaveat: the loss was still falling\\x1b[2J");
}

TEST_CASE(
    "a suggestion of a search prints the longest trial of each rate and marks the chosen one") {
  Suggestion suggestion;
  suggestion.lr = 0.01;
  suggestion.low = 0.005;
  suggestion.high = 0.02;
  suggestion.updates = 240;
  suggestion.trials = {{0.01, 33, 0.5},
                       {0.001, 33, 1.5},
                       {0.01, 100, 0.25},
                       {0.1, 7, std::numeric_limits<double>::infinity(), /*diverged=*/true}};
  CHECK(printed(suggestion) ==
        "lr 0.01, interval 0.005 to 0.02, after 240 updates\n"
        "  lr 0.001  loss 1.5 after 33 updates\n"
        "* lr 0.01  loss 0.25 after 100 updates\n"
        "  lr 0.1  loss inf after 7 updates, diverged");
}

TEST_CASE("a chosen rate that was not tried has a line of its own") {
  Suggestion suggestion;
  suggestion.lr = GENERATE(0.002, 0.05);
  suggestion.trials = {{0.01, 100, 0.25}};
  const std::string trial = "\n  lr 0.01  loss 0.25 after 100 updates";
  CHECK(printed(suggestion) == (suggestion.lr < 0.01
                                    ? "lr 0.002\n* lr 0.002  no trial" + trial
                                    : "lr 0.05" + trial + "\n* lr 0.05  no trial"));
  suggestion.steps = 3000;
  CHECK_THAT(printed(suggestion), contains("  carried to 3000 steps"));
}

TEST_CASE("the line of an unsteady trial says so") {
  Suggestion suggestion;
  suggestion.lr = 0.01;
  suggestion.trials = {{0.01, 100, 0.25, false, {}, true}};
  CHECK(printed(suggestion) == "lr 0.01\n* lr 0.01  loss 0.25 after 100 updates, unsteady");
}
