#include <catch2.hpp>
#include <processes.hpp>
#include <string>
#include <training.hpp>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed.hpp>
#include <lrfinder/distributed/broadcast.hpp>

using lrfinder::detail::TensorBroadcast;

namespace {

std::vector<torch::Tensor> tensors_of_all_kinds(int seed) {
  torch::manual_seed(static_cast<std::uint64_t>(seed));
  std::vector<torch::Tensor> tensors{
      torch::randn({3, 4}).requires_grad_(),
      torch::randn({}, torch::kDouble),
      torch::randint(0, 9, {1}, torch::kLong),
      torch::rand({5}) > 0.5,
      torch::randn({3}).to(torch::kBFloat16),
      torch::randn({6, 2}).t(),
      torch::randn({10, 10}).slice(1, 2, 5),
      torch::view_as_complex(torch::randn({4, 2})),
      torch::randn({0, 3}),
      torch::randn({7 * 1024 * 1024}),  // larger than a bucket
      torch::randn({2}),
  };
  tensors.push_back(tensors.front());
  return tensors;
}

}  // namespace

TEST_CASE("Tensors of all kinds get the bits that they have on rank 0, and keep their storage") {
  const auto reports = in_processes(2, [](Process& process) {
    const auto tensors = tensors_of_all_kinds(process.rank);
    TensorBroadcast shared;
    std::vector<const void*> addresses;
    for (const auto& tensor : tensors) {
      shared.add(tensor);
      addresses.push_back(tensor.data_ptr());
    }
    shared.add(torch::Tensor());
    shared(*lrfinder::distributed(process.group));
    bool kept = true;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      kept = kept && tensors[i].data_ptr() == addresses[i];
    }
    return Report{{"same", same_bits(tensors, tensors_of_all_kinds(0)) ? "yes" : "no"},
                  {"kept", kept ? "yes" : "no"}};
  });
  for (const Report& report : reports) {
    CHECK(report.count("threw") == 0);
    CHECK(report.at("same") == "yes");
    CHECK(report.at("kept") == "yes");
  }
}
