// A model with two inputs: it says whether two images show the same digit. Batches of any type go
// to a criterion that takes the model and the whole batch.

#include <cstdio>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#include "support/digits.hpp"

namespace {

struct PairBatch {
  torch::Tensor left;
  torch::Tensor right;
  torch::Tensor same;  // 1 if both show the same digit
};

struct TwinsImpl : torch::nn::Module {
  torch::Tensor forward(const torch::Tensor& left, const torch::Tensor& right) {
    const auto distance = (embed->forward(left) - embed->forward(right)).square();
    return decide->forward(distance).squeeze(1);
  }
  torch::nn::Sequential embed = register_module(
      "embed", torch::nn::Sequential(torch::nn::Flatten(), torch::nn::Linear(64, 64),
                                     torch::nn::ReLU(), torch::nn::Linear(64, 32)));
  torch::nn::Linear decide = register_module("decide", torch::nn::Linear(32, 1));
};
TORCH_MODULE(Twins);

// Pairs each image with another one of its digit, or with any.
std::vector<PairBatch> make_pairs(const Digits& digits, std::int64_t size) {
  std::vector<PairBatch> batches;
  const auto by_digit = digits.labels().argsort();
  for (std::int64_t i = 0; i + size < digits.count(); i += size) {
    const auto left = torch::randint(digits.count() - 1, {size}, torch::kLong);
    const auto any = torch::randint(digits.count(), {size}, torch::kLong);
    const auto right = torch::where(torch::rand({size}) < 0.5, left + 1, any);
    const auto of = [&](const torch::Tensor& all, const torch::Tensor& places) {
      return all.index_select(0, by_digit.index_select(0, places));
    };
    batches.push_back({of(digits.images(), left), of(digits.images(), right),
                       of(digits.labels(), left).eq(of(digits.labels(), right)).to(torch::kFloat)});
  }
  return batches;
}

}  // namespace

int main() {
  torch::manual_seed(1);
  const auto batches = make_pairs(read_digits(), 64);
  Twins model;
  torch::optim::Adam optimizer(model->parameters(), 1e-5);

  lrfinder::LRFinder finder(model, optimizer, [](Twins& twins, const PairBatch& batch) {
    return torch::binary_cross_entropy_with_logits(twins->forward(batch.left, batch.right),
                                                   batch.same);
  });
  finder.range_test(batches, lrfinder::RangeTestOptions().end_lr(1));
  const auto suggestion = finder.suggestion();
  std::printf("Suggested learning rate: %.2g %s\n", suggestion.lr, suggestion.caveat.c_str());
}
