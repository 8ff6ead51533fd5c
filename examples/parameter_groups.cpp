// Parameter groups that learn at different rates, as in fine-tuning: the body a hundred times
// slower than the new head. The range test raises both and keeps the ratio.

#include <cstddef>
#include <cstdio>
#include <memory>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#include "support/digits.hpp"

int main() {
  torch::manual_seed(1);
  auto loader = shuffled(read_digits(), 64);
  torch::nn::Linear body(64, 100);
  torch::nn::Linear head(100, 10);
  torch::nn::Sequential model(torch::nn::Flatten(), body, torch::nn::ReLU(), head);
  torch::nn::CrossEntropyLoss criterion;

  // Each group has its own rate, and the range test starts from it.
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(head->parameters(), std::make_unique<torch::optim::AdamOptions>(1e-5));
  groups.emplace_back(body->parameters(), std::make_unique<torch::optim::AdamOptions>(1e-7));
  torch::optim::Adam optimizer(groups, torch::optim::AdamOptions());

  // One end rate is that of the first group. One value a group would be .end_lr({1.0, 0.01}).
  lrfinder::LRFinder finder(model, optimizer, criterion);
  const lrfinder::History& history =
      finder.range_test(*loader, lrfinder::RangeTestOptions().end_lr(1.0));
  std::puts("iteration      head      body      loss");
  for (std::size_t i = 0; i < history.size(); i += 10) {
    std::printf("%9zu  %8.2g  %8.2g  %8.3g\n", i, history.group_lr[0][i], history.group_lr[1][i],
                history.loss[i]);
  }

  // The suggestion is the rate of the first group; applying it sets the others along with it.
  const lrfinder::Suggestion suggestion = finder.apply_suggestion();
  std::printf("suggestion %.3g: head now learns at %.3g, body at %.3g\n", suggestion.lr,
              optimizer.param_groups()[0].options().get_lr(),
              optimizer.param_groups()[1].options().get_lr());
}
