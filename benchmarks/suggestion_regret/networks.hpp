#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <torch/torch.h>

/// @file
/// The models of the tasks, all behind one type.

/// A model of any kind: parts that are registered, and how they work together.
struct Network : torch::nn::Module {
  torch::Tensor forward(const torch::Tensor& input) { return run(input); }

  /// Registers a part.
  template <class Part>
  Part part(Part module) {
    return register_module(std::to_string(children().size()), std::move(module));
  }

  std::function<torch::Tensor(const torch::Tensor&)> run;
};

using MakeNetwork = std::function<std::shared_ptr<Network>()>;

enum class Normalisation { none, batch, layer };

/// Layers of `width` units between flattened inputs and outputs; 0 hidden layers: a linear model.
inline MakeNetwork dense(std::int64_t inputs, std::int64_t outputs, int hidden, std::int64_t width,
                         Normalisation normalisation = Normalisation::none) {
  return [=] {
    auto network = std::make_shared<Network>();
    torch::nn::Sequential layers{torch::nn::Flatten()};
    std::int64_t units = inputs;
    for (int i = 0; i < hidden; ++i) {
      layers->push_back(torch::nn::Linear(units, width));
      if (normalisation == Normalisation::batch) layers->push_back(torch::nn::BatchNorm1d(width));
      if (normalisation == Normalisation::layer) {
        layers->push_back(torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})));
      }
      layers->push_back(torch::nn::ReLU());
      units = width;
    }
    layers->push_back(torch::nn::Linear(units, outputs));
    network->part(layers);
    network->run = [layers](const torch::Tensor& x) mutable { return layers->forward(x); };
    return network;
  };
}

/// Two convolutions, each followed by pooling, and a linear layer for ten classes of square images.
inline MakeNetwork convolutional(std::int64_t side) {
  return [=] {
    using namespace torch::nn;
    auto network = std::make_shared<Network>();
    Sequential layers(Conv2d(Conv2dOptions(1, 8, 3).padding(1)), ReLU(), MaxPool2d(2),
                      Conv2d(Conv2dOptions(8, 16, 3).padding(1)), ReLU(), MaxPool2d(2), Flatten(),
                      Linear(16 * (side / 4) * (side / 4), 10));
    network->part(layers);
    network->run = [layers](const torch::Tensor& x) mutable { return layers->forward(x); };
    return network;
  };
}

/// Scores for the next letter at every place of a text (N x letters x length), by a recurrent layer
/// of the given kind.
template <class Recurrent, class Options>
MakeNetwork recurrent(std::int64_t letters) {
  return [=] {
    auto network = std::make_shared<Network>();
    auto embedding = network->part(torch::nn::Embedding(letters, 16));
    auto layer = network->part(Recurrent(Options(16, 32).batch_first(true)));
    auto scores = network->part(torch::nn::Linear(32, letters));
    network->run = [=](const torch::Tensor& text) mutable {
      return scores(std::get<0>(layer(embedding(text)))).transpose(1, 2);
    };
    return network;
  };
}

/// The same by two blocks of causal self-attention, as in GPT-2 with one head.
inline MakeNetwork attention(std::int64_t letters, std::int64_t length) {
  return [=] {
    using namespace torch::nn;
    constexpr std::int64_t width = 32;
    struct Block {
      LayerNorm before, between;
      Linear query_key_value, out, up, down;
    };
    auto network = std::make_shared<Network>();
    auto embedding = network->part(Embedding(letters, width));
    auto places = network->part(Embedding(length, width));
    const auto block = [&] {
      const LayerNormOptions norm({width});
      return Block{
          network->part(LayerNorm(norm)),          network->part(LayerNorm(norm)),
          network->part(Linear(width, 3 * width)), network->part(Linear(width, width)),
          network->part(Linear(width, 2 * width)), network->part(Linear(2 * width, width))};
    };
    auto first = block(), second = block();
    auto scores = network->part(Linear(width, letters));
    const auto mask = torch::full({length, length}, -1e9).triu(1);
    const auto apply = [mask](Block& b, const torch::Tensor& x) {
      const auto parts = b.query_key_value(b.before(x)).chunk(3, 2);
      const auto weights = torch::softmax(
          torch::bmm(parts[0], parts[1].transpose(1, 2)) / std::sqrt(double(width)) + mask, 2);
      const auto y = x + b.out(torch::bmm(weights, parts[2]));
      return y + b.down(torch::gelu(b.up(b.between(y))));
    };
    network->run = [=](const torch::Tensor& text) mutable {
      const auto x = embedding(text) + places(torch::arange(length));
      return scores(apply(second, apply(first, x))).transpose(1, 2);
    };
    return network;
  };
}
