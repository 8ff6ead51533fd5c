// The least that a range test takes: a model, an optimizer, a criterion and a loader.

#include <iostream>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#include "support/digits.hpp"

int main() {
  torch::manual_seed(1);
  auto loader = torch::data::make_data_loader(read_digits().map(torch::data::transforms::Stack<>()),
                                              /*batch_size=*/64);
  torch::nn::Sequential model(torch::nn::Flatten(), torch::nn::Linear(64, 100), torch::nn::ReLU(),
                              torch::nn::Linear(100, 10));
  torch::optim::SGD optimizer(model->parameters(), /*lr=*/1e-4);
  torch::nn::CrossEntropyLoss criterion;

  lrfinder::LRFinder finder(model, optimizer, criterion);
  finder.range_test(*loader);  // from the rate of the optimizer up to 10
  const lrfinder::Suggestion suggestion = finder.apply_suggestion();

  std::cout << finder.history() << '\n'  // how far the test went, and why it ended
            << suggestion << '\n'        // the rate, and a caveat if there is one
            << "Model and data loader are as they were; the optimizer now trains with that rate.\n";
}
