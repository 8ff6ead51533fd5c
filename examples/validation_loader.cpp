// A range test that records the loss on a validation loader instead of the training loss.
//
// The training loss comes from one batch, in training mode: it is noisy, and with dropout it is
// higher than what the model can do. The loss on a validation loader is the mean over all of its
// samples, in eval mode, after the update: a smoother curve, for the price of a pass over that
// loader in every iteration.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#include "support/digits.hpp"

// How much the raw loss jumps from one iteration to the next, over the first half of the test.
double roughness(const lrfinder::History& history) {
  double sum = 0;
  const std::size_t half = history.size() / 2;
  for (std::size_t i = 1; i < half; ++i) {
    sum += std::abs(history.raw_loss[i] - history.raw_loss[i - 1]);
  }
  return sum / static_cast<double>(half - 1);
}

void report(const char* loss, const lrfinder::History& history, double suggestion) {
  std::printf("%-16s  jumps by %.4f an iteration  smallest %.3f  suggestion %.3g  %.2f s\n", loss,
              roughness(history),
              *std::min_element(history.raw_loss.begin(), history.raw_loss.end()), suggestion,
              history.wall_seconds);
}

int main() {
  torch::manual_seed(1);
  const Digits digits = read_digits();
  auto train_loader = shuffled(digits.slice(0, 1500), 32);
  auto val_loader = in_order(digits.slice(1500, digits.count()), 300);
  torch::nn::Sequential model(torch::nn::Flatten(), torch::nn::Linear(64, 256), torch::nn::ReLU(),
                              torch::nn::Dropout(0.5), torch::nn::Linear(256, 10));
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.01).momentum(0.9));
  torch::nn::CrossEntropyLoss criterion;
  const torch::Tensor weights_before = model->parameters().front().clone();

  const auto options = lrfinder::RangeTestOptions().start_lr(1e-5).end_lr(10);
  lrfinder::LRFinder finder(model, optimizer, criterion);
  finder.range_test(*train_loader, options);
  report("training loss", finder.history(), finder.suggestion());
  finder.range_test(*train_loader, *val_loader, options);
  report("validation loss", finder.history(), finder.suggestion());

  const bool untouched = torch::equal(weights_before, model->parameters().front());
  std::printf("After both tests the weights are %s.\n", untouched ? "what they were" : "changed");
  return untouched ? 0 : 1;
}
