// Two optimizers: the rate of a generator is tested while the discriminator trains at its own. What
// the criterion trains besides is named by also_restore, and restored with the rest.

#include <cstdio>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

namespace {

using torch::Tensor;
using torch::nn::Sequential;

Sequential make_network(std::int64_t inputs, std::int64_t outputs) {
  return Sequential(torch::nn::Linear(inputs, 64), torch::nn::LeakyReLU(),
                    torch::nn::Linear(64, outputs));
}

// How far the discriminator is from saying `answer` for all samples.
Tensor wrong(Sequential& discriminator, const Tensor& samples, double answer) {
  const Tensor verdict = discriminator->forward(samples);
  return torch::binary_cross_entropy_with_logits(verdict, torch::full_like(verdict, answer));
}

}  // namespace

int main() {
  torch::manual_seed(1);
  std::vector<torch::data::TensorExample> real;  // points on a ring
  for (int i = 0; i < 20; ++i) {
    const Tensor angle = 6.2831853 * torch::rand({128});
    real.emplace_back(torch::stack({angle.cos(), angle.sin()}, 1) + 0.05 * torch::randn({128, 2}));
  }
  Sequential generator = make_network(4, 2);
  Sequential discriminator = make_network(2, 1);
  using torch::optim::Adam;
  using torch::optim::AdamOptions;
  Adam optimizer(generator->parameters(), AdamOptions(1e-6).betas({0.5, 0.999}));
  Adam of_discriminator(discriminator->parameters(), AdamOptions(1e-3).betas({0.5, 0.999}));

  const auto step = [&](Sequential& model, const torch::data::TensorExample& batch) {
    const Tensor fake = model->forward(torch::randn({batch.data.size(0), 4}));
    of_discriminator.zero_grad();
    (wrong(discriminator, batch.data, 1) + wrong(discriminator, fake.detach(), 0)).backward();
    of_discriminator.step();
    return wrong(discriminator, fake, 1);
  };
  const Tensor before = discriminator->parameters()[0].detach().clone();

  lrfinder::LRFinder finder(generator, optimizer, step);
  finder.also_restore(discriminator, of_discriminator);
  finder.range_test(real, lrfinder::RangeTestOptions().end_lr(10).num_iter(200));

  const bool untouched = torch::equal(before, discriminator->parameters()[0]);
  std::printf("The discriminator %s.\n", untouched ? "is as it was" : "has changed");
  try {
    const auto suggestion = finder.suggestion();
    std::printf("Suggested rate for the generator: %.2g %s\n", suggestion.lr,
                suggestion.caveat.c_str());
  } catch (const lrfinder::NoSuggestion& reason) {
    std::printf("%s\n", reason.what());  // a generator's loss need not fall
  }
  return untouched ? 0 : 1;
}
