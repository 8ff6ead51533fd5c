#include <catch2.hpp>
#include <training.hpp>

#include <torch/torch.h>

#include <lrfinder/snapshot/random_state.hpp>

using lrfinder::detail::RandomState;

TEST_CASE("the generator of the CPU goes on where it was, whatever the device") {
  const auto device = GENERATE(torch::kCPU, torch::kMeta);  // to which LibTorch gives no generator
  torch::manual_seed(1);
  const RandomState before{torch::Device(device)};
  const torch::Tensor first = torch::rand(3);
  before.restore();
  CHECK(same_bits(torch::rand(3), first));
}

TEST_CASE("CUDA that cannot be used is an error, not a device without a generator") {
  if (torch::cuda::is_available()) {
    WARN("skipped: there is a CUDA device");
    return;
  }
  CHECK_THROWS_AS(RandomState(torch::Device(torch::kCUDA, 0)), c10::Error);
}
