#include <iostream>
#include <utility>
#include <vector>

#include <lrfinder/lrfinder.hpp>

int main() {
  torch::manual_seed(1);
  const torch::Tensor input = torch::randn({32, 4});
  const std::vector<std::pair<torch::Tensor, torch::Tensor>> loader{{input, input.sum(1, true)}};
  torch::nn::Linear model(4, 1);
  torch::optim::SGD optimizer(model->parameters(), 1e-4);
  lrfinder::LRFinder finder(model, optimizer, torch::nn::MSELoss());
  const lrfinder::History& history = finder.range_test(loader);
  std::cout << history.size() << " iterations, " << to_string(history.stop_reason) << '\n';
  return history.size() > 3 ? 0 : 1;
}
