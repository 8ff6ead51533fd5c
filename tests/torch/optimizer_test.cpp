#include <catch2.hpp>
#include <memory>
#include <tuple>

#include <lrfinder/torch/optimizer.hpp>

using lrfinder::detail::gradient_age;
using namespace torch::optim;

TEST_CASE("the gradients of an update are as old as the optimizer's averaging makes them") {
  CHECK(gradient_age(SGDOptions(1e-3)) == 0);
  CHECK(gradient_age(SGDOptions(1e-3).momentum(0.9)) == Approx(9));
  CHECK(gradient_age(AdamOptions()) == Approx(9));
  CHECK(gradient_age(AdamOptions().betas(std::make_tuple(0.5, 0.99))) == Approx(1));
  CHECK(gradient_age(AdamWOptions()) == Approx(9));
  CHECK(gradient_age(RMSpropOptions()) == 0);
  CHECK(gradient_age(RMSpropOptions().momentum(0.5)) == Approx(1));
  CHECK(gradient_age(AdagradOptions()) == 0);
}

TEST_CASE("a momentum that averages nothing gives no age") {
  CHECK(gradient_age(SGDOptions(1e-3).momentum(1)) == 0);
}
