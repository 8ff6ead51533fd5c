#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include <torch/torch.h>

#include "../long_trainings/models.hpp"
#include "../long_trainings/samples.hpp"
#include "hard_task.hpp"

/// @file
/// Batches that are small, or differ: in weight, in length, in what they hold.

inline void add_small_batches(std::vector<HardKind>& kinds) {
  const auto cluster = shared(clusters());
  const auto digit = shared(digit_samples(8, 0.2));
  const auto loss = cross_entropy();
  kinds.push_back({"single_samples", dense(10, 6, 1, 32), drawn(cluster, 1), weighted_loss(loss),
                   mean_loss(cluster, loss)});
  kinds.push_back({"four_samples", dense(64, 10, 1, 32), drawn(digit, 4), weighted_loss(loss),
                   mean_loss(digit, loss)});
}

inline void add_uneven_weights(std::vector<HardKind>& kinds) {
  const auto cluster = shared(clusters());
  const auto digit = shared(digit_samples(8, 0.4));
  const auto loss = cross_entropy();
  kinds.push_back({"weighted", dense(64, 10, 1, 32), with_uneven_weights(drawn(digit, 16), 1),
                   weighted_loss(loss), mean_loss(digit, loss)});
  kinds.push_back({"wildly_weighted", dense(10, 6, 1, 32),
                   with_uneven_weights(drawn(cluster, 16), 1.5), weighted_loss(loss),
                   mean_loss(cluster, loss)});
  const auto at_times_large = [](HardBatch& batch, std::size_t, std::mt19937& random) {
    if (happens(0.05, random)) std::get<2>(batch) = 50;
  };
  kinds.push_back({"rare_large", dense(64, 10, 1, 24),
                   changed_batches(drawn(digit, 8), at_times_large), weighted_loss(loss),
                   mean_loss(digit, loss), 0.3});
}

/// Texts of twelve letters (N x length) from a Markov chain of second order.
inline torch::Tensor long_texts(std::int64_t count, std::int64_t length) {
  torch::manual_seed(41);
  const auto chain = torch::softmax(2.5 * torch::randn({12, 12, 12}), 2);
  std::vector<torch::Tensor> letters{torch::randint(0, 12, {count}, torch::kLong),
                                     torch::randint(0, 12, {count}, torch::kLong)};
  while (static_cast<std::int64_t>(letters.size()) < length) {
    const auto scores = chain.index({letters[letters.size() - 2], letters.back()});
    letters.push_back(scores.multinomial(1).squeeze(1));
  }
  return torch::stack(letters, 1);
}

/// Batches of four texts of one length each, between 2 and `longest` letters, short ones more
/// often. `skipped`: the letters at the start of a text that are not predicted.
inline MakeBatches text_batches(const torch::Tensor& texts, std::int64_t longest,
                                std::int64_t skipped) {
  return [=](std::uint64_t seed) {
    torch::manual_seed(20'000 + seed);
    HardBatches batches;
    for (std::int64_t step = 0; step < hard_steps; ++step) {
      const double share = torch::rand({1}).item<double>();
      const double wanted = 2 * std::pow(static_cast<double>(longest) / 2, share);
      const auto length = static_cast<std::int64_t>(wanted);
      const auto chosen = torch::randint(0, texts.size(0), {4}, torch::kLong);
      const std::int64_t places = texts.size(1) - length;
      const auto start = torch::randint(0, places, {1}, torch::kLong).item<std::int64_t>();
      const auto text = texts.index_select(0, chosen).slice(1, start, start + length + 1);
      batches.emplace_back(text.slice(1, 0, length).contiguous(),
                           text.slice(1, skipped).contiguous(), 1.0);
    }
    return batches;
  };
}

inline void add_texts(std::vector<HardKind>& kinds) {
  const auto texts = long_texts(900, 50);
  const auto train = texts.slice(0, 0, 700), held = texts.slice(0, 700);
  const auto input = held.slice(1, 0, 40).contiguous();
  const Criterion summed = [](const torch::Tensor& scores, const torch::Tensor& target) {
    namespace F = torch::nn::functional;
    return F::cross_entropy(scores.flatten(0, 1), target.flatten(),
                            F::CrossEntropyFuncOptions().reduction(torch::kSum)) /
           target.size(0);
  };
  kinds.push_back({"summed_sequences", by_two_letters(12, 32), text_batches(train, 40, 2),
                   weighted_loss(summed),
                   mean_loss(input, held.slice(1, 2, 41).contiguous(), letter_cross_entropy()),
                   0.1});
  kinds.push_back({"recurrent_text", next_letter<torch::nn::RNN, torch::nn::RNNOptions>(12, 12),
                   text_batches(train, 10, 1), weighted_loss(letter_cross_entropy()),
                   mean_loss(input, held.slice(1, 1, 41).contiguous(), letter_cross_entropy())});
}

inline void add_summed_batches(std::vector<HardKind>& kinds) {
  const auto points = shared(friedman());
  const auto of_other_size = [](HardBatch& batch, std::size_t, std::mt19937& random) {
    const double share = std::uniform_real_distribution<double>()(random);
    const auto size = static_cast<std::int64_t>(std::pow(64.0, share));
    for (auto* part : {&std::get<0>(batch), &std::get<1>(batch)}) *part = part->slice(0, 0, size);
  };
  const Criterion summed = [](const torch::Tensor& output, const torch::Tensor& target) {
    return (output - target).square().sum();
  };
  kinds.push_back({"summed_batches", dense(10, 1, 1, 32),
                   changed_batches(drawn(points, 64), of_other_size), weighted_loss(summed),
                   mean_loss(points, squared_error()), 0.1});
}

/// Three batches of each class, one class after the other, again and again.
inline MakeBatches sorted_batches(const SharedSamples& samples, std::int64_t size) {
  return [=](std::uint64_t seed) {
    torch::manual_seed(20'000 + seed);
    std::vector<torch::Tensor> of_class;
    for (std::int64_t label = 0; label < 10; ++label) {
      of_class.push_back((samples->target == label).nonzero().squeeze(1));
    }
    HardBatches batches;
    for (std::int64_t step = 0; step < hard_steps; ++step) {
      const auto& members = of_class[static_cast<std::size_t>(step / 3 % 10)];
      const auto chosen =
          members.index_select(0, torch::randint(0, members.size(0), {size}, torch::kLong));
      batches.emplace_back(samples->input.index_select(0, chosen),
                           samples->target.index_select(0, chosen), 1.0);
    }
    return batches;
  };
}

inline void add_changing_batches(std::vector<HardKind>& kinds) {
  const auto digit = shared(digit_samples(8, 0.2));
  const auto loss = cross_entropy();
  kinds.push_back({"sorted", dense(64, 10, 1, 24), sorted_batches(digit, 8), weighted_loss(loss),
                   mean_loss(digit, loss)});
  const auto tenth_is_hard = [](HardBatch& batch, std::size_t step, std::mt19937&) {
    if (step % 10 != 9) return;
    auto& [input, target, weight] = batch;
    input = 3 * input + torch::randn_like(input);
    target = target.roll(1);
  };
  kinds.push_back({"periodic", dense(64, 10, 1, 24),
                   changed_batches(drawn(digit, 16), tenth_is_hard), weighted_loss(loss),
                   mean_loss(digit, loss)});
  const auto harder = [](HardBatch& batch, std::size_t step, std::mt19937&) {
    auto& input = std::get<0>(batch);
    input = input + 2 * static_cast<double>(step) / hard_steps * torch::randn_like(input);
  };
  torch::manual_seed(42);
  const auto held = digit->held_input + torch::randn_like(digit->held_input);
  kinds.push_back({"curriculum", dense(64, 10, 1, 24), changed_batches(drawn(digit, 8), harder),
                   weighted_loss(loss), mean_loss(held, digit->held_target, loss)});
}

/// Every other batch is of another task, whose loss starts ten times as large: how much ink an
/// image has, by one more output.
inline void add_alternating_tasks(std::vector<HardKind>& kinds) {
  const auto digit = shared(digit_samples(8, 0.3));
  const auto ink = [](const torch::Tensor& images) { return 3 + 10 * images.flatten(1).mean(1); };
  const auto to_ink = [ink](HardBatch& batch, std::size_t step, std::mt19937&) {
    if (step % 2 == 1) std::get<1>(batch) = ink(std::get<0>(batch));
  };
  const Criterion loss = [](const torch::Tensor& output, const torch::Tensor& target) {
    if (target.is_floating_point()) return 3 * (output.select(1, 10) - target).square().mean();
    return torch::nn::functional::cross_entropy(output.slice(1, 0, 10), target);
  };
  const auto classes_held = mean_loss(digit, loss);
  const auto ink_held = mean_loss(digit->held_input, ink(digit->held_input), loss);
  kinds.push_back({"alternating_tasks", dense(64, 11, 1, 32),
                   changed_batches(drawn(digit, 8), to_ink), weighted_loss(loss),
                   [=](Network& network) { return classes_held(network) + ink_held(network) / 3; },
                   0.3});
}
