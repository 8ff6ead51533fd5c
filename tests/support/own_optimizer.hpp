#pragma once

#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/torch/compatibility.hpp>

/// @file
/// Optimizers as users write them.

/// Options of an optimizer of a user's own.
struct OwnOptions : torch::optim::OptimizerCloneableOptions<OwnOptions> {
  explicit OwnOptions(double rate) : lr(rate) {}
  double get_lr() const override { return lr; }
  void set_lr(const double rate) override { lr = rate; }
  void serialize(torch::serialize::OutputArchive& archive) const override {
    archive.write("lr", torch::tensor(lr, torch::kDouble));
  }
  void serialize(torch::serialize::InputArchive& archive) override {
    torch::Tensor rate;
    archive.read("lr", rate);
    lr = rate.item<double>();
  }
  double lr;
};

/// What an optimizer of a user's own remembers of a parameter.
struct OwnState : torch::optim::OptimizerCloneableParamState<OwnState> {
  void serialize(torch::serialize::OutputArchive& archive) const override {
    archive.write("velocity", velocity);
  }
  void serialize(torch::serialize::InputArchive& archive) override {
    archive.read("velocity", velocity);
  }
  torch::Tensor velocity;
};

/// An optimizer of a user's own, with state inside and outside of state(), that cannot write
/// it. Its rate falls with its steps.
struct UnsavableOptimizer : torch::optim::Optimizer {
  UnsavableOptimizer(std::vector<torch::Tensor> parameters, double lr)
      : Optimizer(std::move(parameters), std::make_unique<OwnOptions>(lr)) {}
  torch::Tensor step(LossClosure closure = nullptr) override {
    torch::Tensor loss;
    if (closure) {
      const torch::AutoGradMode guard(true);
      loss = closure();
    }
    const torch::NoGradGuard guard;
    for (auto& group : param_groups()) {
      for (auto& parameter : group.params()) {
        if (!parameter.grad().defined()) continue;
        auto& state = state_of(parameter);
        state.velocity.mul_(0.9).add_(parameter.grad());
        const double lr = group.options().get_lr() / (1 + 0.01 * steps.item<double>());
        parameter.sub_(state.velocity, lr);
      }
    }
    steps += 1;
    return loss;
  }
  OwnState& state_of(const torch::Tensor& parameter) {
    auto& states = state();
    const auto key = lrfinder::detail::state_key(parameter);
    if (states.find(key) == states.end()) {
      auto fresh = std::make_unique<OwnState>();
      fresh->velocity = torch::zeros_like(parameter);
      states[key] = std::move(fresh);
    }
    return static_cast<OwnState&>(*states[key]);
  }
  torch::Tensor steps = torch::zeros({1});
};

/// One that can write it.
struct OwnOptimizer : UnsavableOptimizer {
  using UnsavableOptimizer::UnsavableOptimizer;
  void save(torch::serialize::OutputArchive& archive) const override {
    archive.write("steps", steps);
  }
  void load(torch::serialize::InputArchive& archive) override {
    if (refuses_to_load) throw std::runtime_error("not today");
    archive.read("steps", steps);
  }
  bool refuses_to_load = false;
};

/// A user's optimizer that adds a member to one of LibTorch's. What it loads takes the place of all
/// that it remembers.
struct CountingSGD : torch::optim::SGD {
  using torch::optim::SGD::SGD;
  torch::Tensor step(LossClosure closure = nullptr) override {
    steps += 1;
    return SGD::step(std::move(closure));
  }
  void save(torch::serialize::OutputArchive& archive) const override {
    SGD::save(archive);
    archive.write("steps", steps);
  }
  void load(torch::serialize::InputArchive& archive) override {
    state().clear();
    SGD::load(archive);
    archive.read("steps", steps);
  }
  torch::Tensor steps = torch::zeros({1});
};
