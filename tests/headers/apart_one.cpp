#include <iostream>
#include <utility>
#include <vector>

#include <lrfinder/lrfinder.hpp>

std::size_t size_in_other_source(const lrfinder::History& history);
double lr_in_other_source(torch::nn::Linear model, torch::optim::SGD& optimizer);

// Everything that an LRFinder does, without what does it: the source of lrfinder::compiled does.
int main() {
  torch::manual_seed(1);
  const torch::Tensor input = torch::randn({32, 4});
  const std::vector<std::pair<torch::Tensor, torch::Tensor>> loader{{input, input.sum(1, true)}};
  torch::nn::Linear model(4, 1);
  torch::optim::SGD optimizer(model->parameters(), 1e-4);
  lrfinder::LRFinder finder(model, optimizer, torch::nn::MSELoss());
  finder.range_test(loader, loader, lrfinder::RangeTestOptions().restore(false));
  finder.reset();
  finder.find(loader, loader, lrfinder::FindOptions().budget(3));
  finder.plot(std::cout);
  const double lr = finder.apply_suggestion();
  return size_in_other_source(finder.history()) == finder.history().size() &&
                 lr_in_other_source(model, optimizer) == lr
             ? 0
             : 1;
}
