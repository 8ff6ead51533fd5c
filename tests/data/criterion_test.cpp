#include <catch2.hpp>
#include <training.hpp>

#include <lrfinder/lrfinder.hpp>

using lrfinder::LRFinder;
using lrfinder::RangeTestOptions;
using torch::Tensor;

namespace {

Tensor class_loss(const Tensor& output, const Tensor& target) {
  return torch::nn::functional::cross_entropy(output, target);
}

// Two inputs, which neither pair nor Example can carry.
struct Pair {
  Tensor left;
  Tensor right;
  Tensor target;
};

}  // namespace

TEST_CASE("all forms of the same criterion record the same losses") {
  torch::manual_seed(1);
  torch::nn::Sequential model(torch::nn::Linear(4, 3));
  torch::optim::SGD optimizer(model->parameters(), 1e-4);
  const auto batches = class_batches(3, 5, 4, 3);
  const auto losses = [&](auto&& criterion) {
    LRFinder finder(model, optimizer, criterion);
    return finder.range_test(batches, batches, RangeTestOptions().num_iter(10)).raw_loss;
  };
  torch::nn::CrossEntropyLoss holder;
  const auto expected = losses(holder);
  CHECK(losses(*holder) == expected);
  CHECK(losses(holder.ptr()) == expected);
  CHECK(losses(class_loss) == expected);
  CHECK(losses([](const Tensor& output, const Tensor& target) {
          return class_loss(output, target);
        }) == expected);
  CHECK(losses([](const auto& output, const auto& target) { return class_loss(output, target); }) ==
        expected);
  CHECK(losses([](torch::nn::Sequential& whole, const TensorBatch& batch) {
          return class_loss(whole->forward(batch.data), batch.target);
        }) == expected);
  CHECK(losses([](torch::nn::Sequential& whole, const auto& batch) {
          return class_loss(whole->forward(batch.data), batch.target);
        }) == expected);
}

TEST_CASE("a criterion of the form (model, batch) takes batches of any type") {
  torch::manual_seed(1);
  torch::nn::Bilinear model(4, 4, 3);
  torch::optim::SGD optimizer(model->parameters(), 1e-4);
  const auto left = class_batches(3, 5, 4, 3, 1);
  const auto right = class_batches(3, 5, 4, 3, 2);
  std::vector<Pair> batches;
  for (std::size_t i = 0; i < left.size(); ++i) {
    batches.push_back({left[i].data, right[i].data, left[i].target});
  }
  LRFinder finder(model, optimizer, [](torch::nn::Bilinear& bilinear, const Pair& batch) {
    return class_loss(bilinear->forward(batch.left, batch.right), batch.target);
  });
  CHECK(finder.range_test(batches, RangeTestOptions().num_iter(10)).size() == 10);
}

TEST_CASE("a criterion with parameters of its own is restored") {
  struct ScaledImpl : torch::nn::Module {
    ScaledImpl() : scale(register_parameter("scale", torch::ones({1}))) {}
    Tensor forward(const Tensor& output, const Tensor& target) {
      return class_loss(output * scale, target);
    }
    Tensor scale;
  };
  torch::nn::Linear model(4, 3);
  ScaledImpl criterion;
  auto parameters = model->parameters();
  parameters.push_back(criterion.scale);
  torch::optim::SGD optimizer(parameters, 1e-4);
  LRFinder finder(model, optimizer, criterion);
  finder.range_test(class_batches(3, 5, 4, 3), RangeTestOptions().restore(false));
  CHECK(criterion.scale.item<float>() != 1);
  finder.reset();
  CHECK(criterion.scale.item<float>() == 1);
}
