#pragma once

#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <string>

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/torch.h>

/// @file
/// A process group over Gloo of the processes that the environment tells: RANK and WORLD_SIZE as
/// torchrun sets them, or what Open MPI's mpirun and Slurm's srun set; MASTER_ADDR and MASTER_PORT.
/// Without any of them, this process alone.

inline std::string environment(std::initializer_list<const char*> names, const char* otherwise) {
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

inline c10::intrusive_ptr<c10d::ProcessGroupGloo> group_from_environment() {
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
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, group_options);
}
