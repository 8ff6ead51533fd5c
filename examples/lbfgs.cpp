// LBFGS evaluates its loss several times for one update. It gets its closure from the finder, over
// the same batch each time.

#include <cstdio>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#include "support/digits.hpp"

int main() {
  torch::manual_seed(1);
  auto loader = in_order(read_digits(), 600);
  torch::nn::Sequential model(torch::nn::Flatten(), torch::nn::Linear(64, 10));
  torch::optim::LBFGS optimizer(model->parameters(),
                                torch::optim::LBFGSOptions(1e-3).max_iter(4).history_size(10));
  int evaluations = 0;
  lrfinder::LRFinder finder(model, optimizer,
                            [&](const torch::Tensor& output, const torch::Tensor& target) {
                              ++evaluations;
                              return torch::nn::functional::cross_entropy(output, target);
                            });
  const auto& history =
      finder.range_test(*loader, lrfinder::RangeTestOptions().end_lr(10).num_iter(60));
  const auto suggestion = finder.suggestion();
  std::printf("%d updates took %d evaluations; %s.\n", static_cast<int>(history.size()),
              evaluations, to_string(history.stop_reason));
  std::printf("Suggested learning rate: %.2g %s\n", suggestion.lr, suggestion.caveat.c_str());
}
