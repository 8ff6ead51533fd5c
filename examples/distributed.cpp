// A range test for training on several processes: each takes its share of the data, the gradients
// are averaged, and all see one curve, that of the big batch. Who they are comes from the
// environment: RANK and WORLD_SIZE as torchrun sets them, or what Open MPI's mpirun and Slurm's
// srun set; and MASTER_ADDR and MASTER_PORT. examples/run_distributed.sh starts two on this
// machine.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string>

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/torch.h>

#include <lrfinder/distributed.hpp>
#include <lrfinder/lrfinder.hpp>

#include "support/digits.hpp"

std::string environment(std::initializer_list<const char*> names, const char* otherwise) {
  for (const char* const name : names) {
    if (const char* const value = std::getenv(name)) return value;
  }
  return otherwise;
}

// Newer LibTorch wants libuv for its store, without which Debian builds it.
template <class Options>
auto do_without_libuv(Options& options, int) -> decltype(options.useLibUV, void()) {
  options.useLibUV = false;
}
template <class Options>
void do_without_libuv(Options&, long) {}

int main() {
  torch::manual_seed(1);
  const int rank = std::stoi(environment({"RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID"}, "0"));
  const int size =
      std::stoi(environment({"WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_NTASKS"}, "1"));
  const std::string address = environment({"MASTER_ADDR"}, "127.0.0.1");

  c10d::TCPStoreOptions store_options;
  do_without_libuv(store_options, 0);
  store_options.port = static_cast<std::uint16_t>(std::stoi(environment({"MASTER_PORT"}, "29500")));
  // torchrun may bring the store itself.
  store_options.isServer =
      rank == 0 && environment({"TORCHELASTIC_USE_AGENT_STORE"}, "False") != "True";
  const auto store = c10::make_intrusive<c10d::TCPStore>(address, store_options);
  auto group_options = c10d::ProcessGroupGloo::Options::create();
  group_options->devices.push_back(address == "127.0.0.1"
                                       ? c10d::ProcessGroupGloo::createDeviceForHostname(address)
                                       : c10d::ProcessGroupGloo::createDefaultDevice());
  const auto group = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, group_options);

  // Every rank reads its own part of the data; 128 digits an update in all.
  const Digits digits = read_digits();
  const auto part = static_cast<std::int64_t>(digits.size().value()) / size;
  auto loader =
      in_order(digits.slice(rank * part, (rank + 1) * part), static_cast<std::size_t>(128 / size));
  torch::nn::Sequential model(torch::nn::Flatten(), torch::nn::Linear(64, 100), torch::nn::ReLU(),
                              torch::nn::Linear(100, 10));
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(1e-4).momentum(0.9));
  torch::nn::CrossEntropyLoss criterion;

  lrfinder::LRFinder finder(model, optimizer, criterion);
  finder.range_test(*loader, lrfinder::RangeTestOptions().ranks(lrfinder::distributed(group)));
  const lrfinder::Suggestion suggestion = finder.apply_suggestion();  // the same on every rank

  std::printf("Rank %d of %d: loss %.3g at lr %.3g, suggested lr %.3g.\n", rank, size,
              finder.history().loss.front(), finder.history().lr.front(), suggestion.lr);
}
