#pragma once

#include <algorithm>
#include <csignal>
#include <cstddef>
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

#include <lrfinder/error.hpp>
#include <lrfinder/ranks.hpp>

/// @file
/// Range tests by several processes, over LibTorch's own c10d. Apart from `<lrfinder/lrfinder.hpp>`
/// because not every LibTorch is built with c10d.

namespace lrfinder {
namespace detail {

/// As long as one lives, writing to a process that has died is an error and does not kill this
/// process by SIGPIPE. Gloo writes to its sockets from threads of its own; Python, for which it was
/// made, ignores the signal always. A handler of the program's own stays.
class NoBrokenPipe {
 public:
  static std::shared_ptr<NoBrokenPipe> shared() {
    static std::mutex mutex;
    static std::weak_ptr<NoBrokenPipe> living;
    const std::lock_guard<std::mutex> lock(mutex);
    auto one = living.lock();
    if (!one) living = one = std::shared_ptr<NoBrokenPipe>(new NoBrokenPipe);
    return one;
  }

#ifdef SIGPIPE
  ~NoBrokenPipe() {
    if (was_default_) std::signal(SIGPIPE, SIG_DFL);
  }

 private:
  NoBrokenPipe() {
    const auto before = std::signal(SIGPIPE, SIG_IGN);
    was_default_ = before == SIG_DFL;
    if (!was_default_ && before != SIG_ERR) std::signal(SIGPIPE, before);
  }
  bool was_default_ = false;
#endif
};

/// The ranks of a process group of c10d.
template <class Group>
class DistributedRanks final : public Ranks {
 public:
  DistributedRanks(c10::intrusive_ptr<Group> group, std::optional<torch::Device> device)
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

  std::vector<std::string> gather(const std::string& text, std::size_t length) override {
    // The length in front, because a text may hold any byte.
    torch::Tensor mine = torch::zeros({static_cast<std::int64_t>(length + 4)}, torch::kByte);
    const std::size_t used = std::min(text.size(), length);
    auto* const bytes = mine.data_ptr<std::uint8_t>();
    for (std::size_t i = 0; i < 4; ++i) bytes[i] = static_cast<std::uint8_t>(used >> (8 * i));
    std::copy_n(text.begin(), used, bytes + 4);
    std::vector<torch::Tensor> input{mine.to(device_)};
    std::vector<std::vector<torch::Tensor>> output(1);
    for (std::int64_t i = 0; i < size(); ++i) {
      output.front().push_back(torch::empty_like(input.front()));
    }
    wait_for(*group_->allgather(output, input));
    std::vector<std::string> texts;
    for (const torch::Tensor& tensor : output.front()) texts.push_back(text_in(tensor.cpu()));
    return texts;
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
  // NCCL knows only tensors on CUDA devices, each process its current one; the others take those of
  // the CPU.
  static torch::Device default_device(const Group& group) {
    return group.getBackendName().find("nccl") != std::string::npos ? torch::kCUDA : torch::kCPU;
  }

  static void wait_for(c10d::Work& work) {
    if (!work.wait()) throw std::runtime_error("the collective was aborted");
  }

  static std::string text_in(const torch::Tensor& message) {
    const auto* const bytes = message.data_ptr<std::uint8_t>();
    std::size_t used = 0;
    for (std::size_t i = 0; i < 4; ++i) used |= static_cast<std::size_t>(bytes[i]) << (8 * i);
    return {bytes + 4, bytes + 4 + used};
  }

  std::shared_ptr<NoBrokenPipe> no_broken_pipe_ = NoBrokenPipe::shared();
  c10::intrusive_ptr<Group> group_;
  torch::Device device_;  // of messages
};

}  // namespace detail

/// The ranks of a process group, for RangeTestOptions::ranks().
///
///     auto group = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, world_size);
///     auto ranks = lrfinder::distributed(group);
///     finder.range_test(*loader, lrfinder::RangeTestOptions().ranks(ranks));
///
/// `group`: any of c10d's: a `c10d::ProcessGroup`, a `c10d::Backend` (LibTorch 2) or one derived
/// from them, such as ProcessGroupGloo, ProcessGroupNCCL or ProcessGroupMPI. Gloo has been tested,
/// the others have not. During a test nothing else may use it. Its timeout is what a test waits for
/// a rank that does not come, by default half an hour with Gloo.
///
/// `device`: where small messages have to be for its collectives. Default: the current CUDA device
/// where the group's backend is NCCL, else the CPU.
///
/// Until nothing holds what is returned, SIGPIPE is ignored, unless the program has a handler for
/// it: Gloo would otherwise let a rank that dies take the others with it.
///
/// Throws InvalidOption when there is no group.
template <class Group>
std::shared_ptr<Ranks> distributed(c10::intrusive_ptr<Group> group,
                                   std::optional<torch::Device> device = std::nullopt) {
  if (!group) throw InvalidOption("distributed: the process group is null; construct it before");
  return std::make_shared<detail::DistributedRanks<Group>>(std::move(group), device);
}

}  // namespace lrfinder
