#pragma once

#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <torch/csrc/distributed/c10d/Types.hpp>
#include <torch/csrc/distributed/c10d/Work.hpp>
#include <torch/torch.h>

#include <lrfinder/communicator.hpp>
#include <lrfinder/error.hpp>

/// @file
/// Range tests by several processes, over LibTorch's own c10d. `<lrfinder/lrfinder.hpp>` does not
/// include this header, because not every LibTorch is built with c10d.

namespace lrfinder {
namespace detail {

/// While an object of this class lives, SIGPIPE does not end this process: a write to a process
/// that has died is only an error. A signal mask could not do this, because Gloo writes to its
/// sockets from threads that already exist.
///
/// The object replaces only the default action, by a handler that does nothing. Programs that this
/// process starts do not inherit a handler. The last object restores the default action,
/// with its flags and mask.
class BrokenPipeHandler {
 public:
  BrokenPipeHandler() { count(1); }
  BrokenPipeHandler(const BrokenPipeHandler&) = delete;
  BrokenPipeHandler& operator=(const BrokenPipeHandler&) = delete;
  ~BrokenPipeHandler() { count(-1); }

 private:
  static void count([[maybe_unused]] int more) {
#ifdef SIGPIPE
    static std::mutex mutex;
    static int living = 0;
    static struct sigaction replaced {};
    const std::lock_guard<std::mutex> lock(mutex);
    living += more;
    struct sigaction present {};
    ::sigaction(SIGPIPE, nullptr, &present);
    if (living == 1 && present.sa_handler == SIG_DFL) {
      replaced = present;
      struct sigaction ours {};
      ours.sa_handler = &do_nothing;
      ours.sa_flags = SA_RESTART;
      ::sigaction(SIGPIPE, &ours, nullptr);
    } else if (living == 0 && present.sa_handler == &do_nothing) {
      ::sigaction(SIGPIPE, &replaced, nullptr);
    }
#endif
  }

  static void do_nothing(int) {}
};

/// The ranks of a process group of c10d.
template <class Group>
class ProcessGroupCommunicator final : public Communicator {
 public:
  ProcessGroupCommunicator(c10::intrusive_ptr<Group> group, std::optional<torch::Device> device)
      : group_(std::move(group)), device_(device.value_or(default_device(*group_))) {}

  std::int64_t rank() const override { return group_->getRank(); }
  std::int64_t size() const override { return group_->getSize(); }

  std::vector<double> sum(std::vector<double> values) override {
    const torch::Tensor numbers = torch::tensor(values, torch::kDouble).to(device_);
    begin_sum(numbers)();
    const torch::Tensor sums = numbers.cpu();
    values.assign(sums.data_ptr<double>(), sums.data_ptr<double>() + sums.numel());
    return values;
  }

  std::function<void()> begin_sum(const torch::Tensor& values) override {
    std::vector<torch::Tensor> tensors{values};
    return [work = group_->allreduce(tensors)] { wait_for(*work); };
  }

  void broadcast(const torch::Tensor& bytes) override {
    std::vector<torch::Tensor> tensors{device_.is_cuda() ? bytes.to(device_) : bytes};
    wait_for(*group_->broadcast(tensors));
    if (!tensors.front().is_same(bytes)) bytes.copy_(tensors.front());
  }

 private:
  // NCCL takes tensors on the current CUDA device, the other backends tensors on the CPU.
  static torch::Device default_device(const Group& group) {
    return group.getBackendName().find("nccl") != std::string::npos ? torch::kCUDA : torch::kCPU;
  }

  static void wait_for(c10d::Work& work) {
    if (!work.wait()) throw std::runtime_error("the collective was aborted");
  }

  BrokenPipeHandler broken_pipe_handler_;
  c10::intrusive_ptr<Group> group_;
  torch::Device device_;  // for messages
};

}  // namespace detail

/// The ranks of a process group, for TrainingOptions::data_parallel() and parallel_trials().
///
///     auto group = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, world_size);
///     auto ranks = lrfinder::communicator(group);
///     LRFinder finder(model, optimizer, criterion, TrainingOptions().data_parallel(ranks));
///
/// `group`: a `c10d::ProcessGroup`, a `c10d::Backend` (LibTorch 2), or an object of a derived
/// class, such as ProcessGroupGloo, ProcessGroupNCCL or ProcessGroupMPI. Only Gloo has been tested.
/// During a test nothing else may use the group. A test waits for a missing rank as long as the
/// timeout of the group allows, by default half an hour with Gloo.
///
/// `device`: the device to which small messages are copied for the collectives of the group.
/// Default: the current CUDA device if the group's backend is NCCL, else the CPU.
///
/// While the communicator lives, SIGPIPE does not end the program. Otherwise, with Gloo, a rank
/// that dies would end the other ranks, too. If the program ignores SIGPIPE or has a handler for
/// it, nothing changes.
///
/// Throws InvalidOption if `group` is null.
template <class Group>
std::shared_ptr<Communicator> communicator(c10::intrusive_ptr<Group> group,
                                           std::optional<torch::Device> device = std::nullopt) {
  if (!group) throw InvalidOption("communicator: the process group is null; construct it first");
  return std::make_shared<detail::ProcessGroupCommunicator<Group>>(std::move(group), device);
}

}  // namespace lrfinder
