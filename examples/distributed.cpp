// A range test for training on several processes: each takes its share of the data, the gradients
// are averaged, and all see one curve, that of the big batch. examples/run_distributed.sh starts
// two on this machine.

#include <cstdint>
#include <cstdio>

#include <torch/torch.h>

#include <lrfinder/distributed.hpp>
#include <lrfinder/lrfinder.hpp>

#include "support/digits.hpp"
#include "support/ranks.hpp"

int main() {
  torch::manual_seed(1);
  const auto group = group_from_environment();
  const int rank = group->getRank(), size = group->getSize();

  // Every rank reads its own part of the data; 128 digits an update in all.
  const Digits digits = read_digits();
  const auto part = static_cast<std::int64_t>(digits.size().value()) / size;
  auto loader =
      in_order(digits.slice(rank * part, (rank + 1) * part), static_cast<std::size_t>(128 / size));
  torch::nn::Sequential model(torch::nn::Flatten(), torch::nn::Linear(64, 100), torch::nn::ReLU(),
                              torch::nn::Linear(100, 10));
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(1e-4).momentum(0.9));
  torch::nn::CrossEntropyLoss criterion;

  lrfinder::LRFinder finder(
      model, optimizer, criterion,
      lrfinder::TrainingOptions().data_parallel(lrfinder::communicator(group)));
  finder.range_test(*loader);
  const lrfinder::Suggestion suggestion = finder.apply_suggestion();  // the same on every rank

  std::printf("Rank %d of %d: loss %.3g at lr %.3g, suggested lr %.3g.\n", rank, size,
              finder.history().loss.front(), finder.history().lr.front(), suggestion.lr);
}
