#pragma once

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/torch.h>

#include <lrfinder/distributed.hpp>

/// @file
/// Measurements with several processes on this machine, over Gloo.

/// Runs `work` in so many processes, with one thread each. Returns whether all have succeeded. The
/// caller must not have used LibTorch before: a fork leaves its threads behind.
inline bool on_ranks(
    int processes,
    const std::function<void(const std::shared_ptr<lrfinder::Communicator>&)>& work) {
  std::string directory = std::filesystem::temp_directory_path() / "lrfinder-XXXXXX";
  if (::mkdtemp(directory.data()) == nullptr) throw std::runtime_error("cannot make a folder");
  for (int rank = 0; rank < processes; ++rank) {
    if (::fork() != 0) continue;
    torch::set_num_threads(1);
    auto options = c10d::ProcessGroupGloo::Options::create();
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1"));
    const auto store = c10::make_intrusive<c10d::FileStore>(directory + "/store", processes);
    work(lrfinder::communicator(
        c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, processes, options)));
    std::_Exit(0);
  }
  bool failed = false;
  for (int status = 0; ::wait(&status) > 0;) failed = failed || status != 0;
  std::filesystem::remove_all(directory);
  return !failed;
}

/// Milliseconds that `work` takes when all ranks begin it together.
template <class Work>
double time_of(lrfinder::Communicator& ranks, Work&& work) {
  ranks.sum({0});
  const auto start = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double, std::milli> duration =
      std::chrono::steady_clock::now() - start;
  return duration.count();
}

inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}
