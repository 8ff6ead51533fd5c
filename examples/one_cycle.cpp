// From the rate to the training: a range test, then a one-cycle training up to the highest rate
// that it shows to learn, against the same training at the suggested rate throughout.

#include <cstdint>
#include <cstdio>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#include "support/digits.hpp"

namespace {

constexpr std::int64_t epochs = 10, batch_size = 32;

torch::nn::Sequential make_model() {
  using namespace torch::nn;
  torch::manual_seed(1);
  return Sequential(Flatten(), Linear(64, 64), ReLU(), Linear(64, 64), ReLU(), Linear(64, 10));
}

// Trains by a plan, and returns the accuracy on what was held back.
double train(const Digits& digits, const Digits& held_back, const lrfinder::TrainingPlan& plan,
             double peak) {
  torch::nn::Sequential model = make_model();
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(peak).momentum(0.9));
  lrfinder::PlanLR scheduler(optimizer, plan, peak);
  auto loader = shuffled(digits, batch_size);
  for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
    for (const auto& batch : *loader) {
      optimizer.zero_grad();
      torch::nn::functional::cross_entropy(model->forward(batch.data), batch.target).backward();
      optimizer.step();
      scheduler.step();
    }
  }
  const torch::NoGradGuard no_grad;
  const torch::Tensor output = model->forward(held_back.images());
  return lrfinder::accuracy(output, held_back.labels()).item<double>();
}

}  // namespace

int main() {
  const Digits all = read_digits();
  const Digits digits = all.slice(0, 1280), held_back = all.slice(1280, all.count());
  torch::nn::Sequential model = make_model();
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(1e-4).momentum(0.9));
  lrfinder::LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  finder.range_test(*shuffled(digits, batch_size), lrfinder::RangeTestOptions().num_iter(300));
  const double rate = finder.suggestion();
  const double peak = lrfinder::suggest::bounds(finder.history()).max_lr;

  const std::int64_t steps = epochs * digits.count() / batch_size;
  const auto one_cycle = lrfinder::TrainingPlan::one_cycle(steps);
  const auto constant = lrfinder::TrainingPlan().steps(steps);
  std::printf("%d steps, accuracy on %d digits that were held back:\n", static_cast<int>(steps),
              static_cast<int>(held_back.count()));
  std::printf("  one cycle up to %-8.3g %.1f %%\n", peak,
              100 * train(digits, held_back, one_cycle, peak));
  std::printf("  constant rate %-10.3g %.1f %%\n", rate,
              100 * train(digits, held_back, constant, rate));
}
