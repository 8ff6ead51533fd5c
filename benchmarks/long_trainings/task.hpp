#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include "../suggestion_regret/networks.hpp"
#include "samples.hpp"

/// @file
/// What a training task is. One can be trained, or handed to an LRFinder:
///
///     auto [network, optimizer] = task.make();
///     lrfinder::LRFinder finder(network, *optimizer, task.criterion);
///     finder.range_test(task.batches(1));

using Criterion = std::function<torch::Tensor(const torch::Tensor&, const torch::Tensor&)>;
using Batches = std::vector<torch::data::Example<>>;

/// A model about to be trained. The rates of the optimizer are placeholders, but for their ratio.
struct Training {
  std::shared_ptr<Network> network;
  std::unique_ptr<torch::optim::Optimizer> optimizer;
};

struct Task {
  std::string name, kind;
  /// "sgd", "momentum", "adam" or "adamw".
  std::string optimizer_name;
  std::int64_t batch_size = 0;
  /// Number of updates of the longest training.
  std::int64_t steps = 0;
  /// Whether no rule may be chosen by its kind: 1 or, for the kinds added later, 2.
  int held_out = 0;
  /// The rate in the middle of the grid.
  double centre = 0;
  /// Samples to train on, and those held back.
  std::shared_ptr<const Samples> samples;
  Criterion criterion;
  /// The model with its optimizer, the same in every call.
  std::function<Training()> make;

  /// The batches of a training, in another order for each seed. Each epoch has its own order; a
  /// smaller last batch is dropped.
  Batches batches(std::uint64_t seed) const {
    torch::manual_seed(10'000 + seed);
    const std::int64_t count = samples->input.size(0);
    Batches result;
    torch::Tensor order;
    for (std::int64_t at = count; static_cast<std::int64_t>(result.size()) < steps;
         at += batch_size) {
      if (at + batch_size > count) {
        order = torch::randperm(count, torch::kLong);
        at = 0;
      }
      const auto chosen = order.slice(0, at, at + batch_size);
      result.emplace_back(samples->input.index_select(0, chosen),
                          samples->target.index_select(0, chosen));
    }
    return result;
  }

  /// The loss on the samples held back, in eval mode.
  double held_back_loss(Network& network) const {
    const torch::NoGradGuard without_gradients;
    network.eval();
    const auto output = network.forward(samples->held_input);
    network.train();
    return criterion(output, samples->held_target).item<double>();
  }
};

/// A parameter group, and its rate as a share of that of the first one.
using ParameterGroup = std::pair<std::vector<torch::Tensor>, double>;

/// An optimizer of the given name.
inline std::unique_ptr<torch::optim::Optimizer> make_optimizer(
    const std::string& name, const std::vector<ParameterGroup>& parts) {
  using namespace torch::optim;
  constexpr double placeholder = 1e-3;
  const auto make = [&](auto type, auto options) -> std::unique_ptr<Optimizer> {
    std::vector<OptimizerParamGroup> groups;
    for (const auto& [parameters, share] : parts) {
      auto group_options = options;
      group_options.lr(placeholder * share);
      groups.emplace_back(parameters,
                          std::make_unique<decltype(options)>(std::move(group_options)));
    }
    return std::make_unique<typename decltype(type)::element_type>(std::move(groups), options);
  };
  if (name == "sgd") return make(std::shared_ptr<SGD>(), SGDOptions(placeholder));
  if (name == "momentum") {
    return make(std::shared_ptr<SGD>(), SGDOptions(placeholder).momentum(0.9));
  }
  if (name == "adam") return make(std::shared_ptr<Adam>(), AdamOptions(placeholder));
  if (name == "adamw") {
    return make(std::shared_ptr<AdamW>(), AdamWOptions(placeholder).weight_decay(0.05));
  }
  throw std::invalid_argument("no optimizer is named " + name);
}

/// The rate around which an optimizer is tried.
inline double centre_of(const std::string& optimizer_name) {
  if (optimizer_name == "sgd") return 0.1;
  return optimizer_name == "momentum" ? 0.03 : 3e-3;
}

inline Criterion cross_entropy() {
  return [](const auto& output, const auto& target) {
    return torch::nn::functional::cross_entropy(output, target);
  };
}

/// Cross entropy at every place of a text: scores N x length x letters, targets N x length.
inline Criterion letter_cross_entropy() {
  return [](const auto& output, const auto& target) {
    return torch::nn::functional::cross_entropy(output.flatten(0, 1), target.flatten());
  };
}

/// The same without the first place, for which there are no scores.
inline Criterion second_letter_cross_entropy() {
  return [](const auto& output, const auto& target) {
    return torch::nn::functional::cross_entropy(output.flatten(0, 1), target.slice(1, 1).flatten());
  };
}

inline Criterion squared_error() {
  return [](const auto& output, const auto& target) { return torch::mse_loss(output, target); };
}

/// The density of a normal distribution whose mean and log variance are learnt, without its
/// constant. Outputs are N x 2 k for targets N x k.
inline Criterion gaussian_likelihood() {
  return [](const torch::Tensor& output, const torch::Tensor& target) {
    const auto parts = output.chunk(2, 1);
    return (parts[1] + (target - parts[0]).square() * (-parts[1]).exp()).mean() / 2;
  };
}
