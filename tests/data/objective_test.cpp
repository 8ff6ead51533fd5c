#include <catch2.hpp>
#include <everything.hpp>
#include <training.hpp>
#include <tuple>
#include <utility>
#include <vector>

#include <lrfinder/lrfinder.hpp>

using lrfinder::History;
using lrfinder::LRFinder;
using lrfinder::RangeTestOptions;
using lrfinder::TrainingOptions;
using torch::Tensor;

namespace {

Tensor cross_entropy(const Tensor& output, const Tensor& target) {
  return torch::nn::functional::cross_entropy(output, target);
}

const RangeTestOptions five_iterations = RangeTestOptions().start_lr(1e-9).end_lr(1e-8).num_iter(5);

}  // namespace

TEST_CASE("accuracy is the share of samples whose class scores highest") {
  const Tensor output = torch::tensor({{0.9, 0.1}, {0.2, 0.8}, {0.6, 0.4}, {0.3, 0.7}});
  CHECK(lrfinder::accuracy(output, torch::tensor({0, 1, 1, 0})).item<float>() == 0.5);
  const Tensor per_pixel = torch::randn({2, 3, 4, 4});
  CHECK(lrfinder::accuracy(per_pixel, per_pixel.argmax(1)).item<float>() == 1);
}

TEST_CASE("metrics are recorded beside the loss, on the batches of the loss") {
  torch::manual_seed(3);
  torch::nn::Linear model(4, 3);
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  LRFinder finder(model, optimizer, cross_entropy,
                  TrainingOptions()
                      .metric("accuracy", lrfinder::accuracy)
                      .metric("samples", [](const Tensor&, const Tensor& target) {
                        return torch::tensor(static_cast<double>(target.size(0)));
                      }));
  const auto training = class_batches(2, 10, 4, 3, 1);
  std::vector<TensorBatch> validation = class_batches(1, 6, 4, 3, 2);
  validation.push_back(class_batches(1, 2, 4, 3, 3)[0]);
  const auto share_right = [&](const TensorBatch& batch) {
    return lrfinder::accuracy(model->forward(batch.data), batch.target).item<double>();
  };
  SECTION("the training batches, before the update") {
    const History& history = finder.range_test(training, five_iterations);
    REQUIRE(history.metrics.at("accuracy").size() == 5);
    CHECK(history.metrics.at("accuracy")[0] == Approx(share_right(training[0])));
    CHECK(history.metrics.at("accuracy")[1] == Approx(share_right(training[1])));
    CHECK(history.metrics.at("samples") == std::vector<double>(5, 10));
  }
  SECTION("accumulated batches: their mean") {
    finder.options().accumulation_steps(2);
    const History& history = finder.range_test(training, five_iterations);
    CHECK(history.metrics.at("accuracy")[0] ==
          Approx((share_right(training[0]) + share_right(training[1])) / 2));
  }
  SECTION("the samples of the validation loader, after the update") {
    const History& history = finder.range_test(training, validation, five_iterations);
    CHECK(history.metrics.at("accuracy")[0] ==
          Approx((6 * share_right(validation[0]) + 2 * share_right(validation[1])) / 8));
    CHECK(history.metrics.at("samples")[0] == Approx((6 * 6 + 2 * 2) / 8.0));
  }
  SECTION("in the callback as well") {
    double seen = -1;
    finder.range_test(
        training,
        RangeTestOptions(five_iterations).on_iteration([&](const lrfinder::Iteration& it) {
          seen = it.metrics.at("accuracy");
          return false;
        }));
    CHECK(seen == Approx(share_right(training[0])));
  }
}

TEST_CASE("a metric that cannot be evaluated is refused") {
  torch::nn::Linear model(4, 3);
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  const auto batches = class_batches(2, 10, 4, 3);
  const auto whole_batch = [](torch::nn::Linear& linear, const TensorBatch& batch) {
    return cross_entropy(linear->forward(batch.data), batch.target);
  };
  const auto test = [&](const auto& criterion, const TrainingOptions& options) {
    LRFinder(model, optimizer, criterion, options).range_test(batches);
  };
  CHECK_THROWS_WITH(test(whole_batch, TrainingOptions().metric("accuracy", lrfinder::accuracy)),
                    contains("metric() needs a criterion of the form (output, target)"));
  CHECK_THROWS_AS(test(cross_entropy, TrainingOptions().metric("", lrfinder::accuracy)),
                  lrfinder::InvalidOption);
  const auto output_of = [](const Tensor& output, const Tensor&) { return output; };
  CHECK_THROWS_WITH(test(cross_entropy, TrainingOptions().metric("mine", output_of)),
                    contains("the metric \"mine\" must return a scalar"));
}

TEST_CASE("samples straight from an unmapped dataset are stacked into a batch") {
  torch::manual_seed(3);
  torch::nn::Linear model(4, 3);
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  const auto stacked = class_batches(2, 5, 4, 3);
  std::vector<std::vector<TensorBatch>> lists;
  for (const auto& batch : stacked) {
    lists.emplace_back();
    for (int64_t i = 0; i < 5; ++i) lists.back().emplace_back(batch.data[i], batch.target[i]);
  }
  LRFinder finder(model, optimizer, cross_entropy);
  const auto expected = finder.range_test(stacked, stacked, five_iterations).raw_loss;
  CHECK(finder.range_test(lists, lists, five_iterations).raw_loss == expected);

  // A criterion that takes the batch as it comes gets the list.
  LRFinder as_it_comes(model, optimizer,
                       [](torch::nn::Linear& linear, const std::vector<TensorBatch>& samples) {
                         Tensor sum = torch::zeros({});
                         for (const auto& sample : samples) {
                           sum = sum + cross_entropy(linear->forward(sample.data.unsqueeze(0)),
                                                     sample.target.unsqueeze(0));
                         }
                         return sum / static_cast<double>(samples.size());
                       });
  const auto in_lists = as_it_comes.range_test(lists, lists, five_iterations).raw_loss;
  for (std::size_t i = 0; i < 5; ++i) CHECK(in_lists[i] == Approx(expected[i]).epsilon(1e-5));
}

TEST_CASE("the output of a model may be a tuple or a struct, and its input more than a tensor") {
  struct Split {
    Tensor scores;
    Tensor distance;
  };
  struct TwoHeadedImpl : torch::nn::Module {
    Split forward(const std::tuple<Tensor, Tensor>& input) {
      const auto& [left, right] = input;
      return {head->forward(left), (left - right).square().sum(1)};
    }
    std::tuple<Tensor, Tensor> forward(const Tensor& input) {
      return {head->forward(input), input.square().sum(1)};
    }
    torch::nn::Linear head = register_module("head", torch::nn::Linear(4, 3));
  };
  TwoHeadedImpl model;
  torch::optim::SGD optimizer(model.parameters(), 1e-3);
  const auto plain = class_batches(3, 5, 4, 3);
  LRFinder tuple_out(
      model, optimizer, [](const std::tuple<Tensor, Tensor>& output, const Tensor& target) {
        return cross_entropy(std::get<0>(output), target) + std::get<1>(output).mean();
      });
  CHECK(tuple_out.range_test(plain, plain, five_iterations).size() == 5);

  std::vector<std::pair<std::tuple<Tensor, Tensor>, Tensor>> nested;
  for (const auto& batch : plain) {
    nested.push_back({{batch.data, batch.data + 1}, batch.target});
  }
  LRFinder struct_out(model, optimizer, [](const Split& output, const Tensor& target) {
    return cross_entropy(output.scores, target) + output.distance.mean();
  });
  const auto losses = struct_out.range_test(nested, nested, five_iterations).raw_loss;
  CHECK(losses.size() == 5);
  CHECK(losses[0] > 4);  // the distance alone is 4
}

TEST_CASE("inputs without a target go to a criterion of the form (model, batch)") {
  torch::nn::Linear autoencoder(4, 4);
  torch::optim::SGD optimizer(autoencoder->parameters(), 1e-3);
  std::vector<torch::data::TensorExample> batches;
  for (const auto& batch : class_batches(3, 5, 4, 3)) batches.emplace_back(batch.data);
  LRFinder finder(autoencoder, optimizer,
                  [](torch::nn::Linear& model, const torch::data::TensorExample& batch) {
                    return torch::mse_loss(model->forward(batch.data), batch.data);
                  });
  CHECK(finder.range_test(batches, batches, five_iterations).size() == 5);
}

TEST_CASE("val_batches evaluates the first batches of the validation loader only") {
  auto model = weight_of_one();
  torch::optim::SGD optimizer(model->parameters(), 1e-12);
  const std::vector<TensorBatch> training{{torch::ones({1, 1}), torch::zeros({1})}};
  std::vector<TensorBatch> validation;
  for (double value : {1.0, 2.0, 6.0}) {
    validation.emplace_back(torch::full({2, 1}, value), torch::zeros({2}));
  }
  LRFinder finder(model, optimizer,
                  [](const Tensor& output, const Tensor&) { return output.mean(); });
  const auto first_loss = [&](int batches) {
    finder.options().val_batches(batches);
    return finder.range_test(training, validation, five_iterations).raw_loss[1];
  };
  CHECK(first_loss(1) == Approx(1));
  CHECK(first_loss(2) == Approx(1.5));
  CHECK(first_loss(9) == Approx(3));
}

TEST_CASE("what else the criterion trains is restored when it is named") {
  torch::manual_seed(3);
  torch::nn::Linear generator(4, 4);
  torch::nn::Linear discriminator(4, 1);
  torch::optim::Adam optimizer(generator->parameters(), 1e-3);
  torch::optim::Adam of_discriminator(discriminator->parameters(), 1e-3);
  Tensor calls = torch::zeros({1});
  LRFinder finder(generator, optimizer, [&](torch::nn::Linear& model, const TensorBatch& batch) {
    calls.add_(1);
    of_discriminator.zero_grad();
    const Tensor wrong = discriminator->forward(model->forward(batch.data).detach()).mean() -
                         discriminator->forward(batch.data).mean();
    wrong.backward();
    of_discriminator.step();
    return -discriminator->forward(model->forward(batch.data)).mean();
  });
  finder.also_restore(discriminator, of_discriminator, calls);
  const Everything before(*generator, optimizer);
  const Everything other(*discriminator, of_discriminator, {calls});
  finder.range_test(class_batches(3, 5, 4, 3), RangeTestOptions().num_iter(6).restore(false));
  CHECK(calls.item<float>() == 6);
  CHECK(other.differences(Everything(*discriminator, of_discriminator, {calls})) != "");
  CHECK(of_discriminator.param_groups()[0].options().get_lr() == 1e-3);
  finder.reset();
  CHECK(before.differences(Everything(*generator, optimizer)) == "");
  CHECK(other.differences(Everything(*discriminator, of_discriminator, {calls})) == "");
}
