#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/training/training_settings.hpp>

/// @file
/// What the tests of settings share.

/// Gradient descent with one parameter in each group, and these rates.
inline torch::optim::SGD sgd_with_rates(const std::vector<double>& rates) {
  std::vector<torch::optim::OptimizerParamGroup> groups;
  for (const double rate : rates) {
    groups.emplace_back(std::vector<torch::Tensor>{torch::ones({1}, torch::requires_grad())},
                        std::make_unique<torch::optim::SGDOptions>(rate));
  }
  // Since some LibTorch after 2.6 a group whose rate is the class default takes the optimizer's.
  return torch::optim::SGD(groups, torch::optim::SGDOptions(1e-3));
}

/// The settings of a linear model that is trained with these options.
inline lrfinder::detail::TrainingSettings settings_of(
    const lrfinder::TrainingOptions& options, torch::optim::Optimizer& optimizer,
    const lrfinder::detail::AnyLoader& loader = {{}, /*has_metrics=*/true, nullptr},
    const lrfinder::detail::AnyLoader* val_loader = nullptr, bool repeats = false,
    std::int64_t processes = 1) {
  torch::nn::Linear model(1, 1);
  const lrfinder::detail::TrainedObjects trained{
      {lrfinder::detail::ModuleHandle(*model)}, {&optimizer}, {}};
  return {options, trained, loader, val_loader, repeats, processes};
}
