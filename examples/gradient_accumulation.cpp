// A range test for training that accumulates gradients: if a batch of 128 does not fit into
// memory, four batches of 32 make up one update. The curve, and so the learning rate to train with,
// is that of the big batch, not that of the small one.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#include "support/digits.hpp"

int main() {
  torch::manual_seed(1);
  const Digits digits = read_digits().slice(0, 1792);  // 14 batches of 128, 56 of 32
  torch::nn::Sequential model(torch::nn::Flatten(), torch::nn::Linear(64, 100), torch::nn::ReLU(),
                              torch::nn::Linear(100, 10));
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.01).momentum(0.9));
  torch::nn::CrossEntropyLoss criterion;
  lrfinder::LRFinder finder(model, optimizer, criterion);
  const auto options = lrfinder::RangeTestOptions().start_lr(1e-4).end_lr(1);

  // A copy of each history: finder.history() is that of the latest test.
  auto big_batches = in_order(digits, 128);
  const lrfinder::History big = finder.range_test(*big_batches, options);
  auto small_batches = in_order(digits, 32);
  const lrfinder::History small = finder.range_test(*small_batches, options);
  small_batches = in_order(digits, 32);
  finder.options().accumulation_steps(4);
  const lrfinder::History accumulated = finder.range_test(*small_batches, options);

  std::puts("      lr  128 at once  4 x 32 accumulated  32 alone");
  const std::size_t iterations = std::min({big.size(), small.size(), accumulated.size()});
  double difference = 0;
  for (std::size_t i = 0; i < iterations; ++i) {
    difference = std::max(difference, std::abs(big.loss[i] - accumulated.loss[i]));
    if (i % 10 == 0) {
      std::printf("%8.2g  %11.5f  %18.5f  %8.5f\n", big.lr[i], big.loss[i], accumulated.loss[i],
                  small.loss[i]);
    }
  }
  std::printf("Greatest difference between the first two: %.1g\n", difference);
  return difference < 1e-3 ? 0 : 1;
}
