#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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

/// Layers of tanh units between flattened inputs and outputs.
inline MakeNetwork tanh_layers(std::int64_t inputs, std::int64_t outputs, int hidden,
                               std::int64_t width) {
  return [=] {
    auto network = std::make_shared<Network>();
    torch::nn::Sequential layers{torch::nn::Flatten()};
    for (int i = 0; i < hidden; ++i) {
      layers->push_back(torch::nn::Linear(i == 0 ? inputs : width, width));
      layers->push_back(torch::nn::Tanh());
    }
    layers->push_back(torch::nn::Linear(width, outputs));
    network->part(layers);
    network->run = [layers](const torch::Tensor& x) mutable { return layers->forward(x); };
    return network;
  };
}

/// A hidden layer, three tenths of whose units drop out in training.
inline MakeNetwork with_dropout(std::int64_t inputs, std::int64_t outputs, std::int64_t width) {
  return [=] {
    using namespace torch::nn;
    auto network = std::make_shared<Network>();
    Sequential layers(Linear(inputs, width), ReLU(), Dropout(0.3), Linear(width, outputs));
    network->part(layers);
    network->run = [layers](const torch::Tensor& x) mutable { return layers->forward(x); };
    return network;
  };
}

/// Residual blocks with layer normalisation, on flattened inputs.
inline MakeNetwork residual(std::int64_t inputs, std::int64_t outputs, int count,
                            std::int64_t width) {
  return [=] {
    using namespace torch::nn;
    auto network = std::make_shared<Network>();
    auto in = network->part(Linear(inputs, width));
    auto out = network->part(Linear(width, outputs));
    std::vector<Sequential> blocks;
    for (int i = 0; i < count; ++i) {
      blocks.push_back(
          network->part(Sequential(LayerNorm(LayerNormOptions({width})), Linear(width, width),
                                   ReLU(), Linear(width, width))));
    }
    network->run = [=](const torch::Tensor& input) mutable {
      torch::Tensor x = in(input.flatten(1));
      for (auto& block : blocks) x = x + block->forward(x);
      return out(x);
    };
    return network;
  };
}

/// Two convolutions with batch normalisation, a mean over the image, and ten classes.
inline MakeNetwork normalised_convolutional() {
  return [] {
    using namespace torch::nn;
    auto network = std::make_shared<Network>();
    const auto convolution = [](std::int64_t in, std::int64_t out) {
      return Conv2d(Conv2dOptions(in, out, 3).padding(1).bias(false));
    };
    Sequential layers(convolution(1, 12), BatchNorm2d(12), ReLU(), MaxPool2d(2),
                      convolution(12, 24), BatchNorm2d(24), ReLU(),
                      AdaptiveAvgPool2d(AdaptiveAvgPool2dOptions({1, 1})), Flatten(),
                      Linear(24, 10));
    network->part(layers);
    network->run = [layers](const torch::Tensor& x) mutable { return layers->forward(x); };
    return network;
  };
}

/// A recurrent layer of the given kind that reads a sequence (N x length x inputs), and a linear
/// layer on its last state.
template <class Recurrent, class Options>
MakeNetwork reader(std::int64_t inputs, std::int64_t outputs, std::int64_t width) {
  return [=] {
    auto network = std::make_shared<Network>();
    auto layer = network->part(Recurrent(Options(inputs, width).batch_first(true)));
    auto out = network->part(torch::nn::Linear(width, outputs));
    network->run = [=](const torch::Tensor& sequence) mutable {
      return out(std::get<0>(layer(sequence)).select(1, -1));
    };
    return network;
  };
}

/// Scores for the next letter from the last one alone, by an embedding and a hidden layer.
inline MakeNetwork bigram(std::int64_t letters) {
  return [=] {
    auto network = std::make_shared<Network>();
    auto embedding = network->part(torch::nn::Embedding(letters, 24));
    auto hidden = network->part(torch::nn::Linear(24, 48));
    auto scores = network->part(torch::nn::Linear(48, letters));
    network->run = [=](const torch::Tensor& text) mutable {
      return scores(torch::relu(hidden(embedding(text)))).transpose(1, 2);
    };
    return network;
  };
}
