#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <torch/torch.h>

/// @file
/// Update rules that need no learning rate: DoG and Prodigy, as their authors' programs have them.
/// They multiply their steps by the rate of the parameter group, which is 1 at the peak of a plan
/// with the peak 1, and less in a group whose rate is a share of that.

/// The weight decay of a parameter group; 0 where it has none.
inline double weight_decay_of(const torch::optim::OptimizerParamGroup& group) {
  const auto* options = dynamic_cast<const torch::optim::AdamWOptions*>(&group.options());
  return options == nullptr ? 0 : options->weight_decay();
}

/// Distance over Gradients (Ivgi, Hinder and Carmon 2023, arXiv:2302.12022), without averaging.
/// Each parameter group has its own distance. The weight decay is decoupled, as in AdamW.
class DoG {
 public:
  /// `first_distance`: the paper's r_epsilon, relative to the size of the parameters. The authors
  /// propose 1e-6 and, for batch normalisation, 1e-4. `decays`: whether there is weight decay.
  DoG(double first_distance, bool decays) : first_distance_(first_distance), decays_(decays) {}

  void operator()(torch::optim::Optimizer& optimizer) {
    const torch::NoGradGuard without_gradients;
    states_.resize(optimizer.param_groups().size());
    for (std::size_t i = 0; i < states_.size(); ++i)
      update(optimizer.param_groups()[i], states_[i]);
  }

 private:
  struct State {
    std::vector<torch::Tensor> start;
    double distance = 0, gradients = 1e-8;
  };

  void update(torch::optim::OptimizerParamGroup& group, State& state) const {
    auto& parameters = group.params();
    if (state.start.empty()) {
      double size = 0;
      for (const auto& parameter : parameters) {
        size += square(parameter);
        state.start.push_back(parameter.clone());
      }
      state.distance = first_distance_ * (1 + std::sqrt(size));
    }
    double moved = 0;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      moved += square(parameters[i] - state.start[i]);
      if (parameters[i].grad().defined()) state.gradients += square(parameters[i].grad());
    }
    state.distance = std::max(state.distance, std::sqrt(moved));
    const double step = group.options().get_lr() * state.distance / std::sqrt(state.gradients);
    const double decay = decays_ ? weight_decay_of(group) : 0;
    for (auto& parameter : parameters) {
      if (!parameter.grad().defined()) continue;
      if (decay > 0) parameter.mul_(1 - step * decay);
      parameter.sub_(parameter.grad(), step);
    }
  }

  static double square(const torch::Tensor& tensor) { return tensor.square().sum().item<double>(); }

  double first_distance_;
  bool decays_;
  std::vector<State> states_;
};

/// Prodigy (Mishchenko and Defazio 2023, arXiv:2306.06101) in the form of Adam, with the defaults.
/// The authors' program refuses groups of different rates; here each has its own wherever theirs
/// has the only one.
class Prodigy {
 public:
  void operator()(torch::optim::Optimizer& optimizer) {
    const torch::NoGradGuard without_gradients;
    if (states_.empty()) begin(optimizer);
    numerator_ *= beta3_;
    double denominator = 0;
    for_each(optimizer, [&](auto& parameter, State& state, double lr, double) {
      const auto& gradient = parameter.grad();
      const double weight = distance_ / first_distance * distance_ * lr;
      numerator_ += weight * (gradient * (state.start - parameter)).sum().template item<double>();
      state.mean.mul_(beta1).add_(gradient, distance_ * (1 - beta1));
      state.square.mul_(beta2).addcmul_(gradient, gradient, distance_ * distance_ * (1 - beta2));
      state.sum.mul_(beta3_).add_(gradient, weight);
      denominator += state.sum.abs().sum().template item<double>();
    });
    if (denominator == 0) return;  // no gradients yet
    const double last = distance_;
    distance_ = std::max(distance_, numerator_ / denominator);
    for_each(optimizer, [&](auto& parameter, State& state, double lr, double decay) {
      if (decay > 0) parameter.mul_(1 - decay * last * lr);
      parameter.addcdiv_(state.mean, state.square.sqrt().add_(distance_ * epsilon), -last * lr);
    });
  }

  /// The estimate of the distance, which takes the place of the rate.
  double distance() const noexcept { return distance_; }

 private:
  struct State {
    torch::Tensor start, mean, square, sum;
  };
  static constexpr double first_distance = 1e-6, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;

  void begin(const torch::optim::Optimizer& optimizer) {
    for (const auto& group : optimizer.param_groups()) {
      for (const auto& parameter : group.params()) {
        states_.push_back({parameter.clone(), torch::zeros_like(parameter),
                           torch::zeros_like(parameter), torch::zeros_like(parameter)});
      }
    }
  }

  /// Calls `action` with each parameter that has a gradient, its state, rate and weight decay.
  template <class Action>
  void for_each(torch::optim::Optimizer& optimizer, const Action& action) {
    auto state = states_.begin();
    for (auto& group : optimizer.param_groups()) {
      const double lr = group.options().get_lr(), decay = weight_decay_of(group);
      for (auto& parameter : group.params()) {
        if (parameter.grad().defined()) action(parameter, *state, lr, decay);
        ++state;
      }
    }
  }

  const double beta3_ = std::sqrt(beta2);
  double distance_ = first_distance, numerator_ = 0;
  std::vector<State> states_;
};
