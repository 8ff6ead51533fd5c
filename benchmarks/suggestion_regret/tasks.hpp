#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include "data.hpp"
#include "networks.hpp"

/// @file
/// The training tasks: what is trained on what, how, and for how long.

using Criterion = std::function<torch::Tensor(const torch::Tensor&, const torch::Tensor&)>;
using MakeOptimizer =
    std::function<std::unique_ptr<torch::optim::Optimizer>(std::vector<torch::Tensor>)>;

struct Task {
  std::string data_name, model_name, optimizer_name;
  std::shared_ptr<const Data> data;
  MakeNetwork make_network;
  MakeOptimizer make_optimizer;
  Criterion criterion;
  std::int64_t batch_size;
  std::int64_t steps;  // of the training whose outcome counts
};

/// Batches of a task's training samples in an order drawn anew in every epoch, from LibTorch's
/// random numbers; a smaller last batch is dropped.
class Batches {
 public:
  using Batch = torch::data::Example<>;

  explicit Batches(const Task& task) : data_(task.data), size_(task.batch_size) {}

  struct Iterator {
    Batch operator*() const {
      const auto chosen = order.slice(0, at * loader->size_, (at + 1) * loader->size_);
      return {loader->data_->input.index_select(0, chosen),
              loader->data_->target.index_select(0, chosen)};
    }
    Iterator& operator++() {
      ++at;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at != other.at; }
    const Batches* loader;
    torch::Tensor order;
    std::int64_t at;
  };

  Iterator begin() const { return {this, torch::randperm(data_->input.size(0), torch::kLong), 0}; }
  Iterator end() const { return {this, {}, data_->input.size(0) / size_}; }

 private:
  std::shared_ptr<const Data> data_;
  std::int64_t size_;
};

/// The five optimizers, by name.
inline std::vector<std::pair<std::string, MakeOptimizer>> optimizers() {
  using namespace torch::optim;
  using Parameters = std::vector<torch::Tensor>;
  return {
      {"sgd", [](Parameters p) { return std::make_unique<SGD>(p, SGDOptions(1e-7)); }},
      {"momentum",
       [](Parameters p) { return std::make_unique<SGD>(p, SGDOptions(1e-7).momentum(0.9)); }},
      {"adam", [](Parameters p) { return std::make_unique<Adam>(p, AdamOptions(1e-7)); }},
      {"adamw",
       [](Parameters p) {
         return std::make_unique<AdamW>(p, AdamWOptions(1e-7).weight_decay(0.05));
       }},
      {"rmsprop", [](Parameters p) { return std::make_unique<RMSprop>(p, RMSpropOptions(1e-7)); }},
  };
}

/// Each kind of training with each optimizer.
inline std::vector<Task> with_each_optimizer(const std::vector<Task>& kinds) {
  std::vector<Task> tasks;
  for (const Task& kind : kinds) {
    for (const auto& [name, make] : optimizers()) {
      tasks.push_back(kind);
      tasks.back().optimizer_name = name;
      tasks.back().make_optimizer = make;
    }
  }
  return tasks;
}

/// All tasks. `mnist_folder`: where the IDX files of MNIST lie; empty for none.
inline std::vector<Task> all_tasks(const std::string& mnist_folder) {
  const Criterion classes = [](const auto& output, const auto& target) {
    return torch::nn::functional::cross_entropy(output, target);
  };
  const Criterion squares = [](const auto& output, const auto& target) {
    return torch::mse_loss(output, target);
  };
  const Criterion distances = [](const auto& output, const auto& target) {
    return torch::l1_loss(output, target);
  };

  torch::manual_seed(0);
  const auto shared = [](Data data) { return std::make_shared<const Data>(std::move(data)); };
  const auto digit_images = shared(digits());
  const auto noisy_digits = shared(with_random_labels(digits(), 0.3));
  const auto reproduced_digits = shared(reproduced(digits()));
  const auto sheet_points = shared(sheets());
  const auto surface_points = shared(surface());
  const auto markov_texts = shared(texts());

  using torch::nn::GRU, torch::nn::GRUOptions, torch::nn::LSTM, torch::nn::LSTMOptions;
  const auto batch_norm = Normalisation::batch, layer_norm = Normalisation::layer;
  std::vector<Task> kinds{
      {"digits", "linear", "", digit_images, dense(64, 10, 0, 0), {}, classes, 32, 150},
      {"digits", "mlp", "", digit_images, dense(64, 10, 1, 64), {}, classes, 32, 200},
      {"digits", "deep", "", digit_images, dense(64, 10, 4, 48), {}, classes, 64, 300},
      {"digits",
       "batch norm",
       "",
       digit_images,
       dense(64, 10, 2, 48, batch_norm),
       {},
       classes,
       32,
       150},
      {"digits", "cnn", "", digit_images, convolutional(8), {}, classes, 32, 200},
      {"noisy digits", "mlp", "", noisy_digits, dense(64, 10, 1, 64), {}, classes, 64, 400},
      {"digits", "autoencoder", "", reproduced_digits, dense(64, 64, 1, 16), {}, squares, 32, 300},
      {"sheets", "mlp", "", sheet_points, dense(12, 6, 1, 32), {}, classes, 4, 600},
      {"sheets",
       "layer norm",
       "",
       sheet_points,
       dense(12, 6, 2, 32, layer_norm),
       {},
       classes,
       16,
       300},
      {"surface", "mlp", "", surface_points, dense(8, 1, 2, 48), {}, squares, 64, 400},
      {"surface", "mlp l1", "", surface_points, dense(8, 1, 2, 48), {}, distances, 8, 300},
      {"texts", "gru", "", markov_texts, recurrent<GRU, GRUOptions>(12), {}, classes, 16, 150},
      {"texts", "lstm", "", markov_texts, recurrent<LSTM, LSTMOptions>(12), {}, classes, 16, 150},
      {"texts", "attention", "", markov_texts, attention(12, 16), {}, classes, 16, 150},
  };
  if (!mnist_folder.empty()) {
    const auto images = shared(mnist(mnist_folder));
    kinds.push_back({"mnist", "linear", "", images, dense(784, 10, 0, 0), {}, classes, 64, 200});
    kinds.push_back({"mnist", "mlp", "", images, dense(784, 10, 1, 64), {}, classes, 64, 200});
    kinds.push_back({"mnist", "cnn", "", images, convolutional(28), {}, classes, 32, 150});
  }

  return with_each_optimizer(kinds);
}
