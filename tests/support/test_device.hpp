#pragma once

#include <torch/torch.h>

/// @file
/// The device that tests train on. LRFINDER_TEST_DEVICE in the environment names it: cuda, cuda:1,
/// or simulated, which is the device of pretend_accelerator.hpp; the CPU without it.
///
/// On another device than the CPU, what a test makes is made there, unless it names a device:
/// torch::zeros(3), the parameters of torch::nn::Linear(4, 8), class_batches(). The values are
/// those that the CPU would make. What the host fills stays there (torch::tensor of a list,
/// torch::from_blob), and so does what worker threads make and what a generator is given for;
/// on_test_device() brings them.
///
/// A test that cannot train on any device has a tag that says why, and trains on the CPU whatever
/// the device: it names its [own devices], it looks into the [host memory] of a tensor, or compares
/// with [cpu figures] bit for bit. So does a [sparse] or [half] one on the simulated device, which
/// has no such tensors.

/// The device that the running test trains on; set by test_device.cpp, in programs that have it.
inline torch::Device device_of_test = torch::kCPU;

/// Whether LRFINDER_TEST_DEVICE is `simulated`.
inline bool is_simulated = false;

/// The tensor on the device that the running test trains on.
inline torch::Tensor on_test_device(const torch::Tensor& tensor) {
  return tensor.to(device_of_test);
}
