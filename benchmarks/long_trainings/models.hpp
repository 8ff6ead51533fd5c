#pragma once

#include <cmath>
#include <cstdint>
#include <memory>

#include <torch/torch.h>

#include "../suggestion_regret/networks.hpp"

/// @file
/// Models that suggestion_regret does not have, or has in larger.

/// One convolution of `channels`, pooling, and a linear layer for ten classes of 8 x 8 pixels.
inline MakeNetwork small_convolutional(std::int64_t channels, bool normalised) {
  return [=] {
    using namespace torch::nn;
    auto network = std::make_shared<Network>();
    Sequential layers(Conv2d(Conv2dOptions(1, channels, 3).padding(1)));
    if (normalised) layers->push_back(BatchNorm2d(channels));
    layers->extend(*Sequential(ReLU(), MaxPool2d(2), Flatten(), Linear(channels * 16, 10)));
    network->part(layers);
    network->run = [layers](const torch::Tensor& x) mutable { return layers->forward(x); };
    return network;
  };
}

/// Scores for the next letter at every place of a text, by a recurrent layer of the given kind.
template <class Recurrent, class Options>
MakeNetwork next_letter(std::int64_t letters, std::int64_t width) {
  return [=] {
    auto network = std::make_shared<Network>();
    auto embedding = network->part(torch::nn::Embedding(letters, width));
    auto layer = network->part(Recurrent(Options(width, width).batch_first(true)));
    auto scores = network->part(torch::nn::Linear(width, letters));
    network->run = [=](const torch::Tensor& text) mutable {
      return scores(std::get<0>(layer(embedding(text))));
    };
    return network;
  };
}

/// The same by one block of causal self-attention; with or without layer normalisation.
inline MakeNetwork small_attention(std::int64_t letters, std::int64_t length, std::int64_t width,
                                   bool normalised) {
  return [=] {
    using namespace torch::nn;
    auto network = std::make_shared<Network>();
    auto embedding = network->part(Embedding(letters, width));
    auto places = network->part(Embedding(length, width));
    auto query_key_value = network->part(Linear(width, 3 * width));
    auto out = network->part(Linear(width, width));
    auto up = network->part(Linear(width, 2 * width));
    auto down = network->part(Linear(2 * width, width));
    auto scores = network->part(Linear(width, letters));
    LayerNorm before(nullptr), between(nullptr);
    if (normalised) {
      before = network->part(LayerNorm(LayerNormOptions({width})));
      between = network->part(LayerNorm(LayerNormOptions({width})));
    }
    const auto mask = torch::full({length, length}, -1e9).triu(1);
    network->run = [=](const torch::Tensor& text) mutable {
      const auto x = embedding(text) + places->weight;
      const auto parts = query_key_value(normalised ? before(x) : x).chunk(3, 2);
      const auto weights = torch::softmax(
          torch::bmm(parts[0], parts[1].transpose(1, 2)) / std::sqrt(double(width)) + mask, 2);
      const auto y = x + out(torch::bmm(weights, parts[2]));
      return scores(y + down(torch::gelu(up(normalised ? between(y) : y))));
    };
    return network;
  };
}

/// Scores for the next letter from the last two, by an embedding and a hidden layer. The first
/// place of a text has none.
inline MakeNetwork by_two_letters(std::int64_t letters, std::int64_t width) {
  return [=] {
    auto network = std::make_shared<Network>();
    auto embedding = network->part(torch::nn::Embedding(letters, 8));
    auto hidden = network->part(torch::nn::Linear(16, width));
    auto scores = network->part(torch::nn::Linear(width, letters));
    network->run = [=](const torch::Tensor& text) mutable {
      const auto x = embedding(text);
      const auto two = torch::cat({x.slice(1, 0, -1), x.slice(1, 1)}, 2);
      return scores(torch::relu(hidden(two)));
    };
    return network;
  };
}

/// The mean of the embeddings of all words of a text, and a linear or hidden layer on it.
inline MakeNetwork embedding_bag(std::int64_t words, std::int64_t width, std::int64_t hidden,
                                 std::int64_t topics) {
  return [=] {
    using namespace torch::nn;
    auto network = std::make_shared<Network>();
    auto bag = network->part(EmbeddingBag(words, width));
    Sequential layers;
    if (hidden > 0) layers->extend(*Sequential(Linear(width, hidden), ReLU()));
    layers->push_back(Linear(hidden > 0 ? hidden : width, topics));
    network->part(layers);
    network->run = [=](const torch::Tensor& text) mutable { return layers->forward(bag(text)); };
    return network;
  };
}

/// Layers that make features, and a linear head: part 0 and part 1 of the network.
inline MakeNetwork with_head(const std::function<torch::nn::Sequential()>& make_backbone,
                             std::int64_t features, std::int64_t outputs) {
  return [=] {
    auto network = std::make_shared<Network>();
    auto backbone = network->part(make_backbone());
    auto head = network->part(torch::nn::Linear(features, outputs));
    network->run = [=](const torch::Tensor& x) mutable { return head(backbone->forward(x)); };
    return network;
  };
}
