// The range tests of against_python.py, by lrfinder. Prints "task milliseconds" lines.
//
//     against_python [DEVICE [default]]
//
// Freed memory stays in the process, unless the second argument asks for the default allocator.

#include <cstdio>

#include <lrfinder/lrfinder.hpp>

#include "support/allocator.hpp"
#include "support/tasks.hpp"

namespace {

std::vector<Batch> batches(const SharedImages& images, std::int64_t batch_size) {
  std::vector<Batch> found;
  const auto inputs = images.first.split(batch_size);
  const auto targets = images.second.split(batch_size);
  for (std::size_t i = 0; i < inputs.size(); ++i) found.emplace_back(inputs[i], targets[i]);
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  const torch::Device device(argc > 1 ? argv[1] : "cpu");
  if (argc < 3) keep_freed_memory();
  torch::manual_seed(1);
  const SharedImages train{torch::randn({10000, 784}), torch::randint(0, 10, {10000})};
  const SharedImages held_back{torch::randn({10000, 784}), torch::randint(0, 10, {10000})};
  auto model = mlp();
  model->to(device);
  torch::optim::SGD optimizer(model->parameters(), 1e-6);
  lrfinder::LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  constexpr std::int64_t num_iter = 100;
  const auto options = lrfinder::RangeTestOptions().end_lr(1e-4).num_iter(num_iter);
  const auto print = [&](const char* task, auto&&... loaders) {
    const double total = seconds(device, [&] { finder.range_test(loaders..., options); });
    std::printf("%s %.4f\n", task, total * 1000 / num_iter);
  };
  const auto tensors = batches(train, 128);
  const auto held_back_tensors = batches(held_back, 1000);
  const auto train_loader = loader(train, 128);
  const auto val_loader = loader(held_back, 1000);
  print("train", *train_loader);
  print("train+val", *train_loader, *val_loader);
  print("train:tensors", tensors);
  print("train+val:tensors", tensors, held_back_tensors);
}
