#include <catch2.hpp>
#include <limits>
#include <sstream>

#include <lrfinder/suggest/race_result.hpp>

using namespace lrfinder;

TEST_CASE("the table of a race prints a line for each rate, with the winner marked") {
  RaceResult result;
  result.lr = 0.01;
  result.table = {{0.001, 33, 1.5},
                  {0.01, 100, 0.25},
                  {0.1, 7, std::numeric_limits<double>::infinity(), /*diverged=*/true}};
  std::ostringstream out;
  out << result;
  CHECK(out.str() ==
        "  lr 0.001  loss 1.5 after 33 iterations\n"
        "* lr 0.01  loss 0.25 after 100 iterations\n"
        "  lr 0.1  loss inf after 7 iterations, diverged\n");
}

TEST_CASE("a winner that lies between two rates has a line of its own") {
  RaceResult result;
  result.lr = 0.02;
  result.loss = 0.3;
  result.table = {{0.001, 33, 1.5}, {0.01, 100, 0.4}, {0.1, 100, 0.25}};
  std::ostringstream out;
  out << result;
  CHECK(out.str() ==
        "  lr 0.001  loss 1.5 after 33 iterations\n"
        "  lr 0.01  loss 0.4 after 100 iterations\n"
        "* lr 0.02  loss 0.3, between the two\n"
        "  lr 0.1  loss 0.25 after 100 iterations\n");
}
