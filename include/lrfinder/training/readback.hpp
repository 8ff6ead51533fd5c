#pragma once

#include <cstddef>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/torch.h>

namespace lrfinder::training {

/// Figures on their way from a device to the host, which goes on meanwhile.
///
/// They are copied into pinned memory on the device's own queue, behind what computes them and
/// before what comes next, so it does not matter when they are looked at. Figures that are on the
/// host are read at once.
class Readback {
 public:
  /// Starts the copy. `figures`: tensors of one element.
  explicit Readback(const std::vector<torch::Tensor>& figures) : values_(figures.size()) {
    std::vector<torch::Tensor> elsewhere;
    for (std::size_t i = 0; i < figures.size(); ++i) {
      if (figures[i].is_cpu()) {
        values_[i] = figures[i].item<double>();
      } else {
        elsewhere.push_back(figures[i].to(
            elsewhere.empty() ? figures[i].device() : elsewhere.front().device(), true));
        places_.push_back(i);
      }
    }
    if (!elsewhere.empty()) start_copy(elsewhere);
  }

  /// The figures in their order, in double precision; waits until they are there.
  const std::vector<double>& wait() {
    if (!copy_.defined()) return values_;
    while (arrived_ && !arrived_->query()) std::this_thread::yield();
    const torch::Tensor copied = std::exchange(copy_, {}).to(torch::kDouble);
    for (std::size_t i = 0; i < places_.size(); ++i) {
      values_[places_[i]] = copied.data_ptr<double>()[i];
    }
    return values_;
  }

 private:
  void start_copy(const std::vector<torch::Tensor>& figures) {
    const torch::NoGradGuard without_gradients;
    const torch::Tensor together = torch::stack(figures);
    if (!together.is_cuda()) {  // what else there is may know neither pinned memory nor events
      copy_ = together.cpu();
      return;
    }
    copy_ =
        torch::empty(together.sizes(), together.options().device(torch::kCPU).pinned_memory(true));
    copy_.copy_(together, /*non_blocking=*/true);
    const torch::Device device = together.device();
    arrived_.emplace(device.type());
    arrived_->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  }

  std::vector<double> values_;
  std::vector<std::size_t> places_;  // of what is being copied, in values_
  torch::Tensor copy_;
  std::optional<c10::Event> arrived_;
};

}  // namespace lrfinder::training
