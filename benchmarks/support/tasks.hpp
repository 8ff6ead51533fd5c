#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/torch/autocast.hpp>

/// @file
/// What the speed benchmarks train: models on made-up images, with batches that are tensors
/// already.

using Batch = torch::data::Example<>;
using Criterion = std::function<torch::Tensor(const torch::Tensor&, const torch::Tensor&)>;

inline torch::Tensor cross_entropy(const torch::Tensor& output, const torch::Tensor& target) {
  return torch::nn::functional::cross_entropy(output, target);
}

/// A batch of made-up images of MNIST's size and shape.
inline Batch images(std::int64_t size, std::vector<std::int64_t> shape) {
  shape.insert(shape.begin(), size);
  return {torch::randn(shape), torch::randint(0, 10, {size})};
}

/// Inputs and targets of a whole set.
using SharedImages = std::pair<torch::Tensor, torch::Tensor>;

/// As Python's TensorDataset: samples are cut out one by one, and stacked into batches.
class Samples : public torch::data::Dataset<Samples> {
 public:
  explicit Samples(SharedImages images) : images_(std::move(images)) {}
  torch::data::Example<> get(std::size_t index) override {
    const auto i = static_cast<std::int64_t>(index);
    return {images_.first[i], images_.second[i]};
  }
  torch::optional<std::size_t> size() const override {
    return static_cast<std::size_t>(images_.first.size(0));
  }

 private:
  SharedImages images_;
};

/// A data loader over them, which makes each batch anew.
inline auto loader(const SharedImages& images, std::size_t batch_size) {
  return torch::data::make_data_loader<torch::data::samplers::SequentialSampler>(
      Samples(images).map(torch::data::transforms::Stack<>()), batch_size);
}

/// A small network: 784-128-10.
inline torch::nn::Sequential mlp(std::int64_t width = 128) {
  using namespace torch::nn;
  return Sequential(Linear(784, width), ReLU(), Linear(width, 10));
}

inline torch::nn::Sequential small_cnn() {
  using namespace torch::nn;
  return Sequential(Conv2d(Conv2dOptions(1, 8, 3).padding(1)), ReLU(), MaxPool2d(2),
                    Conv2d(Conv2dOptions(8, 16, 3).padding(1)), ReLU(), MaxPool2d(2), Flatten(),
                    Linear(16 * 7 * 7, 10));
}

/// A residual block of ResNet-18 (He et al. 2015).
struct ResidualBlockImpl : torch::nn::Module {
  ResidualBlockImpl(std::int64_t in, std::int64_t out, std::int64_t stride) {
    using namespace torch::nn;
    const auto convolution = [](std::int64_t from, std::int64_t to, std::int64_t size,
                                std::int64_t step) {
      return Conv2d(Conv2dOptions(from, to, size).stride(step).padding(size / 2).bias(false));
    };
    body =
        register_module("body", Sequential(convolution(in, out, 3, stride), BatchNorm2d(out),
                                           ReLU(), convolution(out, out, 3, 1), BatchNorm2d(out)));
    if (stride != 1 || in != out) {
      shortcut = register_module("shortcut",
                                 Sequential(convolution(in, out, 1, stride), BatchNorm2d(out)));
    }
  }
  torch::Tensor forward(const torch::Tensor& input) {
    const torch::Tensor around = shortcut.is_empty() ? input : shortcut->forward(input);
    return torch::relu(body->forward(input) + around);
  }
  torch::nn::Sequential body{nullptr}, shortcut{nullptr};
};
TORCH_MODULE(ResidualBlock);

/// ResNet-18 for small images, 11 million parameters.
inline torch::nn::Sequential resnet18() {
  using namespace torch::nn;
  Sequential model(Conv2d(Conv2dOptions(3, 64, 3).padding(1).bias(false)), BatchNorm2d(64), ReLU());
  std::int64_t channels = 64;
  for (const std::int64_t wider : {64, 128, 256, 512}) {
    model->push_back(ResidualBlock(channels, wider, wider == 64 ? 1 : 2));
    model->push_back(ResidualBlock(wider, wider, 1));
    channels = wider;
  }
  model->push_back(AdaptiveAvgPool2d(1));
  model->push_back(Flatten());
  model->push_back(Linear(512, 10));
  return model;
}

/// A model with its optimizer and its batches, all on one device.
struct Task {
  Task(torch::nn::Sequential network, std::vector<Batch> data, torch::Device where)
      : model(std::move(network)), device(where) {
    model->to(device);
    for (const Batch& batch : data) {
      batches.emplace_back(batch.data.to(device), batch.target.to(device));
    }
    optimizer = std::make_unique<torch::optim::SGD>(model->parameters(),
                                                    torch::optim::SGDOptions(1e-4).momentum(0.9));
  }

  torch::nn::Sequential model;
  torch::Device device;
  std::unique_ptr<torch::optim::SGD> optimizer;
  std::vector<Batch> batches;
};

inline void wait_for(torch::Device device) {
  if (device.is_cuda()) torch::cuda::synchronize();
}

/// Seconds that something takes, the device's work included.
template <class Work>
double seconds(torch::Device device, Work&& work) {
  wait_for(device);
  const auto start = std::chrono::steady_clock::now();
  work();
  wait_for(device);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// One update as a training loop does it. Returns the loss. `dtype`: of autocast, if any.
inline torch::Tensor train(Task& task, const Batch& batch, double lr,
                           std::optional<at::ScalarType> dtype = {}) {
  for (auto& group : task.optimizer->param_groups()) group.options().set_lr(lr);
  task.optimizer->zero_grad();
  torch::Tensor loss;
  {
    const lrfinder::detail::Autocast autocast(task.device, dtype);
    loss = cross_entropy(task.model->forward(batch.data), batch.target);
  }
  loss.backward();
  task.optimizer->step();
  return loss.detach();
}
