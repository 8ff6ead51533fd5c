#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include <torch/torch.h>

#include "../long_trainings/task.hpp"

/// @file
/// What a hard task is. One can be trained, or handed to an LRFinder:
///
///     auto [network, optimizer] = task.make();
///     lrfinder::LRFinder finder(network, *optimizer, task.criterion);
///     finder.range_test(task.batches(1));

/// Number of updates of a training.
inline constexpr std::int64_t hard_steps = 1000;

/// Input, target, and by how much the loss counts.
using HardBatch = std::tuple<torch::Tensor, torch::Tensor, double>;
using HardBatches = std::vector<HardBatch>;
using HardCriterion =
    std::function<torch::Tensor(const std::shared_ptr<Network>&, const HardBatch&)>;

/// The batches of a training, other ones for each seed.
using MakeBatches = std::function<HardBatches(std::uint64_t seed)>;

/// A training that differs from others in more than its optimizer.
struct HardKind {
  std::string name;
  MakeNetwork make_network;
  MakeBatches batches;
  HardCriterion criterion;
  /// What the training is for: a mean loss on samples held back, in eval mode.
  std::function<double(Network&)> held_back_loss;
  /// By how much the rates of SGD are higher than usual, and those of Adam.
  double sgd_factor = 1, adam_factor = 1;
};

struct HardTask {
  std::string name, kind, optimizer_name;
  /// Whether no rule may be chosen by its kind.
  bool held_out = false;
  /// The rate in the middle of the grid.
  double centre = 0;
  /// The model with its optimizer, the same in every call.
  std::function<Training()> make;
  MakeBatches batches;
  HardCriterion criterion;
  std::function<double(Network&)> held_back_loss;
};

/// A kind with an optimizer. `seed`: for the random parameters.
inline HardTask hard_task(const HardKind& kind, const std::string& optimizer, std::uint64_t seed,
                          bool held_out) {
  const double factor = optimizer == "adam" ? kind.adam_factor : kind.sgd_factor;
  const auto make = [make_network = kind.make_network, optimizer, seed] {
    torch::manual_seed(seed);
    Training training;
    training.network = make_network();
    training.optimizer = make_optimizer(optimizer, {{training.network->parameters(), 1.0}});
    return training;
  };
  return {kind.name + '_' + optimizer,
          kind.name,
          optimizer,
          held_out,
          centre_of(optimizer) * factor,
          make,
          kind.batches,
          kind.criterion,
          kind.held_back_loss};
}

/// The loss of an output and a target, times the weight of the batch.
inline HardCriterion weighted_loss(const Criterion& loss) {
  return [loss](const std::shared_ptr<Network>& network, const HardBatch& batch) {
    const auto& [input, target, weight] = batch;
    const auto value = loss(network->forward(input), target);
    return weight == 1 ? value : weight * value;
  };
}

/// A mean loss on samples, in eval mode.
inline std::function<double(Network&)> mean_loss(const torch::Tensor& input,
                                                 const torch::Tensor& target,
                                                 const Criterion& loss) {
  return [=](Network& network) {
    const torch::NoGradGuard without_gradients;
    network.eval();
    const double result = loss(network.forward(input), target).item<double>();
    network.train();
    return result;
  };
}

inline std::function<double(Network&)> mean_loss(const SharedSamples& samples,
                                                 const Criterion& loss) {
  return mean_loss(samples->held_input, samples->held_target, loss);
}

/// Batches of samples drawn at random.
inline MakeBatches drawn(const SharedSamples& samples, std::int64_t size) {
  return [=](std::uint64_t seed) {
    torch::manual_seed(20'000 + seed);
    const auto chosen = torch::randint(0, samples->input.size(0), {hard_steps, size}, torch::kLong);
    HardBatches batches;
    for (std::int64_t step = 0; step < hard_steps; ++step) {
      batches.emplace_back(samples->input.index_select(0, chosen[step]),
                           samples->target.index_select(0, chosen[step]), 1.0);
    }
    return batches;
  };
}

/// The same batches, each changed by `change(batch, step, random)`.
template <class Change>
MakeBatches changed_batches(const MakeBatches& make, const Change& change) {
  return [=](std::uint64_t seed) {
    HardBatches batches = make(seed);
    std::mt19937 random(static_cast<std::mt19937::result_type>(seed));
    for (std::size_t step = 0; step < batches.size(); ++step) change(batches[step], step, random);
    return batches;
  };
}

/// The same batches, which weigh exp(`spread` N(0, 1)).
inline MakeBatches with_uneven_weights(const MakeBatches& make, double spread) {
  return changed_batches(make, [spread](HardBatch& batch, std::size_t, std::mt19937& random) {
    std::get<2>(batch) = std::exp(spread * std::normal_distribution<double>()(random));
  });
}

/// Whether each batch is one of `share` of all; a function for changed_batches.
inline bool happens(double share, std::mt19937& random) {
  return std::uniform_real_distribution<double>()(random) < share;
}
