// One rate a rank: a model that one process will train, and several processes that try the rates
// for it side by side, each alone on its own copy. All get the same rate, the one that a single
// process would find. examples/run_distributed.sh starts two on this machine.

#include <cstddef>
#include <cstdio>

#include <torch/torch.h>

#include <lrfinder/distributed.hpp>
#include <lrfinder/lrfinder.hpp>

#include "support/digits.hpp"
#include "support/ranks.hpp"

int main() {
  const auto group = group_from_environment();
  torch::manual_seed(1);

  // Every rank reads all of the data.
  auto loader = in_order(read_digits(), /*batch_size=*/64);
  torch::nn::Sequential model(torch::nn::Flatten(), torch::nn::Linear(64, 100), torch::nn::ReLU(),
                              torch::nn::Linear(100, 10));
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(1e-4).momentum(0.9));
  torch::nn::CrossEntropyLoss criterion;

  lrfinder::LRFinder finder(model, optimizer, criterion);
  finder.range_test(*loader);
  const auto ranks = lrfinder::distributed(group);
  const auto result = finder.race(*loader, lrfinder::RaceOptions().ranks(ranks));

  if (group->getRank() > 0) return 0;
  std::printf("%d ranks tried %zu rates:\n", group->getSize(), result.table.size());
  for (const lrfinder::Trial& trial : result.table) {
    std::printf("  lr %-8.3g  %3lld updates  loss %.3g\n", trial.lr,
                static_cast<long long>(trial.num_iter), trial.loss);
  }
  std::printf("lr %.3g won.\n", result.lr);
}
