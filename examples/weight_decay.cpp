// Smith's comparison (arXiv:1803.09820, section 4.4): one range test for each weight decay, from
// the same weights and batches, in one picture. The decay that allows the highest rate at the
// lowest loss is the one to take.

#include <cstdio>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#include "support/digits.hpp"

int main() {
  torch::manual_seed(1);
  const Digits digits = read_digits();
  auto train_loader = shuffled(digits.slice(0, 1500), 64);
  auto val_loader = in_order(digits.slice(1500, digits.count()), 512);
  torch::nn::Sequential model(torch::nn::Flatten(), torch::nn::Linear(64, 100), torch::nn::ReLU(),
                              torch::nn::Linear(100, 10));
  torch::nn::CrossEntropyLoss criterion;

  std::vector<lrfinder::NamedCurve> curves;
  for (const double decay : {0.0, 1e-3, 1e-2, 1e-1}) {
    torch::optim::SGD optimizer(model->parameters(),
                                torch::optim::SGDOptions(1e-4).momentum(0.9).weight_decay(decay));
    lrfinder::LRFinder finder(model, optimizer, criterion);
    const auto& history = finder.range_test(*train_loader, *val_loader,
                                            lrfinder::RangeTestOptions().end_lr(10).smooth_f(0.3));
    char name[32];
    std::snprintf(name, sizeof name, "weight decay %g", decay);
    curves.push_back({name, history});

    double lowest = history.loss.front();
    for (const double loss : history.loss) lowest = std::min(lowest, loss);
    std::printf("%-20s lowest loss %.3f, suggested rate %.2g\n", name, lowest,
                finder.suggestion().lr);
  }
  plot(curves, "weight_decay.svg", lrfinder::PlotOptions().title("Range tests by weight decay"));
  std::puts("picture: weight_decay.svg");
}
