// What a step of the user's own adds to the model and to the optimizer during a test.

#include <catch2.hpp>
#include <everything.hpp>
#include <training.hpp>
#include <warnings.hpp>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

using lrfinder::LRFinder;
using lrfinder::RangeTestOptions;

namespace {

/// Makes its second layer when it is first called.
struct LazyImpl : torch::nn::Module {
  LazyImpl() { first = register_module("first", torch::nn::Linear(4, 4)); }
  torch::Tensor forward(const torch::Tensor& input) {
    if (!second) {
      second = register_module("second", torch::nn::Linear(4, 3));
      register_buffer("calls", torch::zeros({1}));
    }
    return second->forward(first->forward(input));
  }
  torch::nn::Linear first{nullptr}, second{nullptr};
};
TORCH_MODULE(Lazy);

}  // namespace

TEST_CASE("parameter groups and parameters that a test adds to the optimizer are taken away") {
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(1e-3).momentum(0.9));
  optimizer.param_groups().reserve(2);  // LibTorch makes new options for groups that it moves
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  const Everything before(*model, optimizer);
  const auto count = optimizer.param_groups()[0].params().size();
  int updates = 0;
  const auto options = RangeTestOptions().num_iter(6).on_iteration([&](const auto&) {
    if (++updates != 2) return;
    optimizer.add_param_group({{torch::ones({2}, torch::requires_grad())}});
    optimizer.param_groups()[0].params().push_back(torch::ones({3}, torch::requires_grad()));
  });
  CHECK(finder.range_test(class_batches(3, 5, 4, 3), options).size() == 6);
  CHECK(optimizer.param_groups().size() == 1);
  CHECK(optimizer.param_groups()[0].params().size() == count);
  CHECK(before.differences(Everything(*model, optimizer)) == "");
}

TEST_CASE("parameter groups that a test removes are reported, and all else is restored") {
  auto model = small_classifier();
  const auto parameters = model->parameters();
  torch::optim::SGD optimizer({{{parameters[0]}}, {{parameters[1], parameters[2]}}}, 1e-3);
  const auto values = parameters[0].detach().clone();
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  const auto options = RangeTestOptions().num_iter(3).on_iteration([&](const auto&) {
    if (optimizer.param_groups().size() > 1) optimizer.param_groups().pop_back();
  });
  CHECK_THROWS_WITH(finder.range_test(class_batches(3, 5, 4, 3), options),
                    contains("removed parameter groups"));
  CHECK(same_bits(values, parameters[0]));
}

TEST_CASE("what a test adds to the model stays, and a warning names it") {
  Lazy model;
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  const auto options = RangeTestOptions().num_iter(3);
  const auto batches = class_batches(3, 5, 4, 3);
  Warnings warnings;
  finder.range_test(batches, options);
  REQUIRE(warnings.texts.size() == 1);
  CHECK_THAT(warnings.texts[0], contains(" second") && contains(" calls"));
  CHECK_THAT(warnings.texts[0], !contains("first"));
  finder.range_test(batches, options);
  CHECK(warnings.texts.size() == 1);
}
