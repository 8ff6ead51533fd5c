#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include "data.hpp"
#include "networks.hpp"
#include "tasks.hpp"

/// Other data, models, criteria, batch sizes and budgets than all_tasks(). No rule was made by
/// these tasks, but two choices of suggest::steepest were checked on them: how many iterations it
/// goes back for averaged gradients, and the 0.4 decades of a descent in one drop.
inline std::vector<Task> held_out_tasks() {
  const Criterion classes = [](const auto& output, const auto& target) {
    return torch::nn::functional::cross_entropy(output, target);
  };
  const Criterion squares = [](const auto& output, const auto& target) {
    return torch::mse_loss(output, target);
  };
  const Criterion huber = [](const auto& output, const auto& target) {
    return torch::smooth_l1_loss(output, target);
  };

  torch::manual_seed(77);
  const auto shared = [](Data data) { return std::make_shared<const Data>(std::move(data)); };
  const auto digit_images = shared(digits());
  const auto rows_of_digits = shared(digit_rows());
  const auto spiral_points = shared(spirals());
  const auto marked_numbers = shared(sums());
  const auto word_counts = shared(documents());
  const auto surface_points = shared(surface());
  const auto sheet_points = shared(sheets());
  const auto markov_texts = shared(texts());

  using torch::nn::GRU, torch::nn::GRUOptions, torch::nn::LSTM, torch::nn::LSTMOptions;
  const MakeNetwork gru = reader<GRU, GRUOptions>(2, 1, 24);
  const MakeNetwork lstm = reader<LSTM, LSTMOptions>(8, 10, 32);
  const MakeNetwork deep = dense(8, 1, 4, 32, Normalisation::layer);
  return with_each_optimizer({
      {"spirals", "tanh", "", spiral_points, tanh_layers(6, 3, 2, 32), {}, classes, 32, 400},
      {"sums", "gru", "", marked_numbers, gru, {}, squares, 32, 250},
      {"documents", "dropout", "", word_counts, with_dropout(40, 5, 64), {}, classes, 16, 250},
      {"digits", "residual", "", digit_images, residual(64, 10, 3, 48), {}, classes, 128, 150},
      {"digit rows", "lstm", "", rows_of_digits, lstm, {}, classes, 32, 200},
      {"digits", "cnn norm", "", digit_images, normalised_convolutional(), {}, classes, 16, 100},
      {"surface", "deep huber", "", surface_points, deep, {}, huber, 32, 500},
      {"sheets", "linear", "", sheet_points, dense(12, 6, 0, 0), {}, classes, 2, 500},
      {"texts", "bigram", "", markov_texts, bigram(12), {}, classes, 8, 300},
      {"digits", "wide mlp", "", digit_images, dense(64, 10, 1, 128), {}, classes, 16, 900},
  });
}
