// A model that comes from Python as TorchScript, to be trained further: the range test starts from
// its weights and restores them. data/first_five_digits.pt knows the digits 0 to 4; here it is to
// learn the rest.

#include <cstdio>
#include <vector>

#include <torch/script.h>
#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#include "support/digits.hpp"

namespace {

double accuracy(torch::jit::Module& model, const Digits& digits) {
  const torch::NoGradGuard no_grad;
  model.eval();
  const auto output = model.forward({digits.images()}).toTensor();
  return 100 * lrfinder::accuracy(output, digits.labels()).item<double>();
}

}  // namespace

int main() {
  torch::manual_seed(1);
  const Digits digits = read_digits();
  torch::jit::Module model = torch::jit::load(LRFINDER_EXAMPLE_DATA "/first_five_digits.pt");

  std::vector<torch::Tensor> parameters;
  for (const auto& parameter : model.parameters()) parameters.push_back(parameter);
  torch::optim::AdamW optimizer(parameters, torch::optim::AdamWOptions(1e-5));
  auto loader = shuffled(digits, 64);

  lrfinder::LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  finder.range_test(*loader, lrfinder::RangeTestOptions().end_lr(1));
  const auto suggestion = finder.apply_suggestion();
  std::printf("Suggested learning rate: %.2g\n", suggestion.lr);
  std::printf("Accuracy on all digits: %.1f %%", accuracy(model, digits));

  model.train();
  for (int epoch = 0; epoch < 2; ++epoch) {
    for (auto& batch : *loader) {
      optimizer.zero_grad();
      torch::nn::functional::cross_entropy(model.forward({batch.data}).toTensor(), batch.target)
          .backward();
      optimizer.step();
    }
  }
  std::printf(", after two epochs %.1f %%\n", accuracy(model, digits));
}
