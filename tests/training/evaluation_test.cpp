// Validation, and what evaluation makes of models that need more than a plain forward pass.

#include <catch2.hpp>
#include <everything.hpp>
#include <stdexcept>
#include <string>
#include <training.hpp>
#include <unordered_map>
#include <utility>
#include <vector>
#include <warnings.hpp>

#include <lrfinder/lrfinder.hpp>

using namespace lrfinder;
using torch::Tensor;

namespace {

// The slope of a network against 1, as in networks that solve differential equations. Draws a
// random number first, as dropout would.
Tensor slope_error(torch::nn::Sequential& net, const TensorBatch& batch) {
  const Tensor at = batch.data + 0 * torch::rand({1}).item<double>();
  at.requires_grad_(true);
  const Tensor slope = torch::autograd::grad({net->forward(at).sum()}, {at}, {},
                                             /*retain_graph=*/true, /*create_graph=*/true)[0];
  return (slope - 1).square().mean();
}

torch::nn::Sequential curve_model() {
  torch::manual_seed(4);
  return torch::nn::Sequential(torch::nn::Linear(4, 8), torch::nn::Tanh(), torch::nn::Linear(8, 1));
}

// Returns its losses in training mode only, like torchvision's detectors.
struct DetectorImpl : torch::nn::Module {
  DetectorImpl()
      : norm(register_module("norm", torch::nn::BatchNorm1d(4))),
        drop(register_module("drop", torch::nn::Dropout(0.5))),
        head(register_module("head", torch::nn::Linear(4, 3))) {}
  std::unordered_map<std::string, Tensor> forward(const TensorBatch& batch) {
    const Tensor scores = head(drop(norm(batch.data)));
    if (!is_training()) return {{"detections", scores.argmax(1)}};
    return {{"classes", torch::nn::functional::cross_entropy(scores, batch.target)},
            {"boxes", scores.square().mean()}};
  }
  torch::nn::BatchNorm1d norm;
  torch::nn::Dropout drop;
  torch::nn::Linear head;
};
TORCH_MODULE(Detector);

Tensor sum_of_losses(Detector& model, const TensorBatch& batch) {
  const auto losses = model->forward(batch);
  return losses.at("classes") + losses.at("boxes");
}

}  // namespace

TEST_CASE("a validation loss that needs gradients is measured with them, and leaves none behind") {
  torch::nn::Sequential model = curve_model();
  torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(1e-3));
  LRFinder finder(model, optimizer, slope_error);
  const auto data = class_batches(5, 8, 4, 3);
  const auto held_back = class_batches(2, 8, 4, 3, /*seed=*/5);
  const Everything before(*model, optimizer);
  const auto options = RangeTestOptions().start_lr(1e-4).end_lr(1).num_iter(20);
  const History history = finder.range_test(data, held_back, options);
  CHECK(history.size() == 20);
  CHECK(before.differences(Everything(*model, optimizer)) == "");
  // The first update is tiny, so the first loss is that of the model as it is.
  double expected = 0;
  for (const auto& batch : held_back) expected += slope_error(model, batch).item<double>() / 2;
  CHECK(history.raw_loss.front() == Approx(expected).epsilon(0.02));
  CHECK(finder.find(data, held_back, FindOptions().budget(4).range_test(options)).lr > 1e-3);
  CHECK(history.raw_loss == finder.range_test(data, held_back, options).raw_loss);
}

TEST_CASE("a model that has its losses in training mode only is validated in that mode") {
  torch::manual_seed(4);
  Detector model;
  model->drop->eval();  // the user's wish, which stays
  torch::optim::SGD optimizer(model->parameters(), 1e-12);
  const auto data = class_batches(4, 8, 4, 3);
  std::vector<TensorBatch> held_back = class_batches(2, 30, 4, 3, /*seed=*/5);
  held_back.push_back(class_batches(1, 5, 4, 3, /*seed=*/6)[0]);
  const Everything before(*model, optimizer);
  std::vector<double> running;  // the statistics before each training step
  const auto criterion = [&](Detector& detector, const TensorBatch& batch) {
    if (torch::GradMode::is_enabled()) {
      running.push_back(detector->norm->running_mean[0].item<double>());
    }
    return sum_of_losses(detector, batch);
  };
  const auto options = RangeTestOptions().start_lr(1e-12).end_lr(1e-11).num_iter(6);
  {
    LRFinder finder(model, optimizer, criterion);
    CHECK_THROWS_AS(finder.range_test(data, held_back, options), std::out_of_range);
    finder.range_test(data, RangeTestOptions(options).paired(false));
  }
  const auto without_validation = std::exchange(running, {});
  LRFinder finder(model, optimizer, criterion, TrainingOptions().val_in_training_mode(true));
  const History history = finder.range_test(data, held_back, options);
  CHECK(running == std::vector<double>(without_validation.end() - 6, without_validation.end()));
  CHECK(before.differences(Everything(*model, optimizer)) == "");
  double expected = 0;
  for (const auto& batch : held_back) {
    expected +=
        static_cast<double>(batch.data.size(0)) / 65 * sum_of_losses(model, batch).item<double>();
  }
  CHECK(history.raw_loss[0] == Approx(expected));
}

TEST_CASE("a batch of one sample that BatchNorm refuses is explained, and everything is restored") {
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  auto batches = class_batches(3, 8, 4, 3);
  batches.push_back(class_batches(1, 1, 4, 3)[0]);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  const Everything before(*model, optimizer);
  CHECK_THROWS_AS(finder.range_test(batches), InvalidStep);
  CHECK_THROWS_WITH(finder.range_test(batches),
                    contains("BatchNorm cannot normalise a batch of 1 sample") &&
                        contains("drop_last(true)") && contains("got input size [1, 8]") &&
                        !contains("\n"));
  CHECK(before.differences(Everything(*model, optimizer)) == "");
}

TEST_CASE("a very long validation pass is not silent") {
  torch::nn::Linear model = weight_of_one();
  torch::optim::SGD optimizer(model->parameters(), 1e-12);
  const std::vector<TensorBatch> many(10001, {torch::ones({1, 1}), torch::zeros({1})});
  const auto criterion = [](const Tensor& output, const Tensor&) { return output.mean(); };
  LRFinder finder(model, optimizer, criterion);
  const auto options = RangeTestOptions().start_lr(1e-12).end_lr(1e-11).num_iter(2);
  {
    const Warnings warnings;
    finder.range_test(many, many, options);
    REQUIRE(warnings.texts.size() == 1);
    CHECK_THAT(warnings.texts[0], contains("10000 batches in one pass") && contains("val_batches"));
  }
  finder.options().val_batches(10000);
  const Warnings warnings;
  finder.range_test(many, many, options);
  CHECK(warnings.texts.empty());
}
