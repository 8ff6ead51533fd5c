// Mixed precision: the model and the criterion run under autocast, here in bfloat16, which the CPU
// has too. With torch::kHalf, on a GPU, a gradient scaler goes with it by itself.

#include <cstdio>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#include "support/digits.hpp"

int main() {
  torch::manual_seed(1);
  const bool on_gpu = torch::cuda::is_available();
  auto loader = shuffled(read_digits(), 64);
  torch::nn::Sequential model(torch::nn::Flatten(), torch::nn::Linear(64, 100), torch::nn::ReLU(),
                              torch::nn::Linear(100, 10));
  torch::optim::Adam optimizer(model->parameters(), 1e-5);
  lrfinder::LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss(),
                            on_gpu ? torch::kCUDA : torch::kCPU);
  const auto options = lrfinder::RangeTestOptions().end_lr(1);

  finder.range_test(*loader, options);
  const double in_full_precision = finder.suggestion();
  finder.options().autocast(on_gpu ? torch::kHalf : torch::kBFloat16);
  finder.range_test(*loader, options);
  std::printf("Suggested learning rate: %.2g in full precision, %.2g in %s\n", in_full_precision,
              finder.suggestion().lr, on_gpu ? "half" : "bfloat16");
}
