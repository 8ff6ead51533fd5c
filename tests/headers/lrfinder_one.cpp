#include <lrfinder/lrfinder.hpp>

std::size_t size_in_other_source(const lrfinder::History& history);

int main() {
  torch::nn::Linear model(1, 1);
  torch::optim::SGD optimizer(model->parameters(), 0.01);
  lrfinder::LRFinder finder(model, optimizer, torch::nn::MSELoss());
  return finder.history().size() == size_in_other_source(finder.history()) ? 0 : 1;
}
