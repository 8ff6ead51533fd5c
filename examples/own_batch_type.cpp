// A batch type of your own: here with a weight for each sample, which the loss uses. A criterion
// that takes (model, batch) gets the model itself and the whole batch.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#include "support/digits.hpp"

struct WeightedBatch {
  torch::Tensor images;
  torch::Tensor labels;
  torch::Tensor weights;
};

// How such a batch travels to the device of the model; lrfinder finds this function by its name.
WeightedBatch to_device(const WeightedBatch& batch, torch::Device device) {
  return {batch.images.to(device), batch.labels.to(device), batch.weights.to(device)};
}

// Its tensors, so that batches can be kept for a second use.
std::vector<torch::Tensor> tensors_in(const WeightedBatch& batch) {
  return {batch.images, batch.labels, batch.weights};
}

// A loader is anything that a range-based for loop walks: a vector of batches, for one.
std::vector<WeightedBatch> make_loader(const torch::Tensor& images, const torch::Tensor& labels,
                                       const torch::Tensor& weights) {
  std::vector<WeightedBatch> loader;
  constexpr std::int64_t batch_size = 64;
  for (std::int64_t i = 0; i + batch_size <= labels.size(0); i += batch_size) {
    loader.push_back({images.slice(0, i, i + batch_size), labels.slice(0, i, i + batch_size),
                      weights.slice(0, i, i + batch_size)});
  }
  return loader;
}

int main() {
  torch::manual_seed(1);
  const Digits digits = read_digits();
  torch::nn::Sequential model(torch::nn::Flatten(), torch::nn::Linear(64, 100), torch::nn::ReLU(),
                              torch::nn::Linear(100, 10));
  torch::optim::SGD optimizer(model->parameters(), 1e-4);
  auto criterion = [](torch::nn::Sequential& net, const WeightedBatch& batch) {
    const torch::Tensor losses = torch::nn::functional::cross_entropy(
        net->forward(batch.images), batch.labels,
        torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kNone));
    return (losses * batch.weights).sum() / batch.weights.sum();
  };

  // One label in three is wrong; the weights tell which.
  const torch::Tensor wrong = torch::rand(digits.count()) < 1.0 / 3;
  const torch::Tensor labels = torch::where(wrong, (digits.labels() + 1) % 10, digits.labels());
  const auto trusting = make_loader(digits.images(), labels, torch::ones(digits.count()));
  const auto weighted = make_loader(digits.images(), labels, wrong.logical_not().to(torch::kFloat));

  lrfinder::LRFinder finder(model, optimizer, criterion);
  std::printf("%d of %d labels are wrong.\n", wrong.sum().item<int>(),
              static_cast<int>(digits.count()));
  for (bool use_weights : {false, true}) {
    finder.range_test(use_weights ? weighted : trusting);
    double best = finder.history().raw_loss.front();
    for (double loss : finder.history().raw_loss) best = std::min(best, loss);
    std::printf("%-30s smallest loss %.2f, suggested lr %.3g\n",
                use_weights ? "with weight 0 for those:" : "with equal weights:", best,
                finder.suggestion().lr);
  }
}
