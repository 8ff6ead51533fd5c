// One trial a rank: a model that one process will train, and several processes that try learning
// rates for it side by side, each alone on its own copy. All get the same rate, the one that a
// single process would find. examples/run_distributed.sh starts two on this machine.

#include <cstdio>

#include <torch/torch.h>

#include <lrfinder/distributed.hpp>
#include <lrfinder/lrfinder.hpp>
#include <lrfinder/parallel_trials.hpp>

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
  const auto plan = lrfinder::TrainingPlan().steps(3000).decay(lrfinder::Decay::cosine);
  const auto trials = lrfinder::parallel_trials(lrfinder::communicator(group));
  const auto found = finder.find(*loader, lrfinder::FindOptions(plan).trial_runner(trials));

  if (group->getRank() > 0) return 0;
  std::printf("%d ranks tried %zu rates:\n", group->getSize(), found.trials.size());
  for (const lrfinder::Trial& trial : found.trials) {
    std::printf("  lr %-8.3g  %3d updates  loss %.3g\n", trial.lr, static_cast<int>(trial.updates),
                trial.loss);
  }
  std::printf("lr %.3g is the best for the training.\n", found.lr);
}
