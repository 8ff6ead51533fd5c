#pragma once

#include <torch/torch.h>

#include <lrfinder/training/autocast.hpp>

namespace lrfinder::training {

/// Guards the grad mode and the autocast of the calling thread against what user code leaves
/// behind: at the end of its life both are what they were.
class ThreadModes {
 public:
  explicit ThreadModes(torch::Device device) : autocast_(device) {}
  ~ThreadModes() {
    autocast_.restore();
    torch::GradMode::set_enabled(grad_mode_);
  }
  ThreadModes(const ThreadModes&) = delete;
  ThreadModes& operator=(const ThreadModes&) = delete;

 private:
  AutocastState autocast_;
  bool grad_mode_ = torch::GradMode::is_enabled();
};

}  // namespace lrfinder::training
