// Models that change what is registered with them, in a forward pass or in a callback.

#include <catch2.hpp>
#include <everything.hpp>
#include <functional>
#include <string>
#include <training.hpp>
#include <vector>
#include <warnings.hpp>

#include <lrfinder/lrfinder.hpp>

using lrfinder::LRFinder;
using lrfinder::RangeTestOptions;
using lrfinder::SnapshotError;
using torch::Tensor;

namespace saved_registry_test {

// Reads its parameters from a dictionary, and holds a buffer by reference.
struct ChangingImpl : torch::nn::Module {
  ChangingImpl() : seen(register_buffer("seen", torch::zeros({1}))) {
    weights = register_module("weights", torch::nn::ParameterDict());
    weights->insert("first", torch::randn({4, 3}));
    weights->insert("second", torch::randn({3}));
    register_module("unused", torch::nn::Linear(2, 2));
    register_module("last", torch::nn::Linear(3, 3));
  }
  Tensor forward(const Tensor& input) {
    if (torch::GradMode::is_enabled() && ++calls == 3) change(*this);
    Tensor output = input.matmul((*weights)["first"]);
    if (weights->contains("second")) output = output + (*weights)["second"];
    return named_children()["last"]->as<torch::nn::Linear>()->forward(output);
  }
  torch::nn::ParameterDict weights{nullptr};
  Tensor& seen;
  int calls = 0;
  std::function<void(ChangingImpl&)> change = [](ChangingImpl&) {};
};
TORCH_MODULE(Changing);

// What is registered, under which names, in which order.
std::vector<std::pair<std::string, const void*>> registered(const torch::nn::Module& module) {
  std::vector<std::pair<std::string, const void*>> all;
  for (const auto& each : module.named_parameters()) {
    all.emplace_back(each.key(), each.value().unsafeGetTensorImpl());
  }
  for (const auto& each : module.named_buffers()) {
    all.emplace_back(each.key(), each.value().unsafeGetTensorImpl());
  }
  for (const auto& each : module.named_modules("", /*include_self=*/false)) {
    all.emplace_back(each.key(), each.value().get());
  }
  return all;
}

const auto six_iterations = RangeTestOptions().start_lr(1e-3).end_lr(0.1).num_iter(6);

}  // namespace saved_registry_test

using namespace saved_registry_test;

TEST_CASE("what a model registers anew in a forward pass is registered as before") {
  Changing model;
  SECTION("a parameter that is replaced") {
    model->change = [](ChangingImpl& it) {
      (*it.weights)["first"] = torch::zeros({4, 3}, torch::requires_grad());
    };
  }
  SECTION("a parameter that is removed") {
    model->change = [](ChangingImpl& it) { it.weights->pop("second"); };
  }
  SECTION("a parameter that is removed and inserted again") {
    model->change = [](ChangingImpl& it) {
      const Tensor first = it.weights->pop("first");
      it.weights->insert("first", first * 2);
    };
  }
  SECTION("a buffer that is replaced through a reference") {
    model->change = [](ChangingImpl& it) { it.seen = torch::ones({1}); };
  }
  SECTION("a submodule that is replaced") {
    model->change = [](ChangingImpl& it) { it.replace_module("last", torch::nn::Linear(3, 3)); };
  }
  SECTION("a submodule that is unregistered") {
    model->change = [](ChangingImpl& it) { it.unregister_module("unused"); };
  }
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  const Everything before(*model, optimizer);
  const auto names = registered(*model);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  const Warnings warnings;
  finder.range_test(class_batches(3, 5, 4, 3), RangeTestOptions(six_iterations).paired(false));
  CHECK(registered(*model) == names);
  CHECK(before.differences(Everything(*model, optimizer)) == "");
  CHECK(warnings.texts.empty());
  model->seen.add_(1);  // the reference is still that to the buffer
  CHECK(model->named_buffers()["seen"].item<float>() == 1);
}

TEST_CASE("what a callback changes and adds: the first is put right, the second stays") {
  Changing model;
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  const auto names = registered(*model);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  const Warnings warnings;
  const auto options = RangeTestOptions(six_iterations).on_iteration([&](const auto&) {
    if (model->weights->contains("third")) return;
    model->weights->pop("second");
    model->weights->insert("third", torch::ones({2}));
  });
  finder.range_test(class_batches(3, 5, 4, 3), options);
  CHECK(model->weights->keys() == std::vector<std::string>{"first", "second", "third"});
  CHECK_THAT(warnings.texts.back(), contains("added to the model stays: weights.third"));
  model->weights->pop("third");
  CHECK(registered(*model) == names);
}

TEST_CASE("a submodule that a test replaces, and a member holds, is an error that names it") {
  Changing model;
  torch::nn::Linear member{nullptr};
  model->change = [&](ChangingImpl& it) {
    member = it.replace_module("last", torch::nn::Linear(3, 3));
  };
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  const Everything before(*model, optimizer);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  CHECK_THROWS_WITH(finder.range_test(class_batches(3, 5, 4, 3), six_iterations),
                    contains("your code still holds the new one") && contains("submodule last"));
  CHECK(before.differences(Everything(*model, optimizer)) == "");
}
