#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include <torch/torch.h>

namespace lrfinder::detail {

/// One of LibTorch's own optimizers.
template <class OptimizerType, class OptionsType, class StateType>
struct OptimizerKind {
  using Optimizer = OptimizerType;
  using Options = OptionsType;
  using State = StateType;
};

/// Calls `visit(OptimizerKind)` for LibTorch's optimizers, until it returns true. Returns whether
/// it did. The only list of them.
template <class Visit>
bool libtorch_optimizers(Visit&& visit) {
  using namespace torch::optim;
  return visit(OptimizerKind<SGD, SGDOptions, SGDParamState>()) ||
         visit(OptimizerKind<Adam, AdamOptions, AdamParamState>()) ||
         visit(OptimizerKind<AdamW, AdamWOptions, AdamWParamState>()) ||
         visit(OptimizerKind<RMSprop, RMSpropOptions, RMSpropParamState>()) ||
         visit(OptimizerKind<Adagrad, AdagradOptions, AdagradParamState>()) ||
         visit(OptimizerKind<LBFGS, LBFGSOptions, LBFGSParamState>());
}

/// True for an optimizer that is exactly one of LibTorch's own, not a class derived from one.
inline bool is_libtorchs(const torch::optim::Optimizer& optimizer) {
  return libtorch_optimizers(
      [&](auto kind) { return typeid(optimizer) == typeid(typename decltype(kind)::Optimizer); });
}

/// Calls `visit` with everything in the state of one parameter, each a `torch::Tensor&`,
/// `std::int64_t&` or `double&`. Returns false for a state that is none of LibTorch's own.
template <class Visit>
bool for_each_in_state(torch::optim::OptimizerParamState& state, Visit&& visit) {
  using namespace torch::optim;
  return libtorch_optimizers([&](auto kind) {
    using State = typename decltype(kind)::State;
    if (typeid(state) != typeid(State)) return false;
    auto& known = static_cast<State&>(state);
    if constexpr (std::is_same_v<State, SGDParamState>) {
      visit(known.momentum_buffer());
    } else if constexpr (std::is_same_v<State, RMSpropParamState>) {
      visit(known.step());
      visit(known.square_avg());
      visit(known.momentum_buffer());
      visit(known.grad_avg());
    } else if constexpr (std::is_same_v<State, AdagradParamState>) {
      visit(known.step());
      visit(known.sum());
    } else if constexpr (std::is_same_v<State, LBFGSParamState>) {
      visit(known.func_evals());
      visit(known.n_iter());
      visit(known.t());
      visit(known.prev_loss());
      visit(known.d());
      visit(known.H_diag());
      visit(known.prev_flat_grad());
      for (auto* column : {&known.old_dirs(), &known.old_stps(), &known.ro()}) {
        for (auto& tensor : *column) visit(tensor);
      }
      if (known.al()) {
        for (auto& tensor : *known.al()) visit(tensor);
      }
    } else {  // Adam and AdamW
      visit(known.step());
      visit(known.exp_avg());
      visit(known.exp_avg_sq());
      visit(known.max_exp_avg_sq());
    }
    return true;
  });
}

/// Calls `visit(torch::Tensor&)` with every tensor in the state of one parameter. Returns false for
/// a state that is none of LibTorch's own.
template <class Visit>
bool for_each_state_tensor(torch::optim::OptimizerParamState& state, Visit&& visit) {
  return for_each_in_state(state, [&](auto& value) {
    if constexpr (std::is_same_v<decltype(value), torch::Tensor&>) visit(value);
  });
}

/// What the serialization of an optimizer, or of its options, writes, as bytes.
template <class Serialize>
std::string archived(Serialize&& serialize) {
  torch::serialize::OutputArchive archive;
  serialize(archive);
  std::ostringstream bytes;
  archive.save_to(bytes);
  return bytes.str();
}

/// A hash of the options of a parameter group, but for the learning rate. None for options that
/// lack clone() or serialize().
inline std::optional<std::size_t> hash_but_for_rate(const torch::optim::OptimizerOptions& options) {
  try {
    const auto copy = options.clone();
    copy->set_lr(1);
    return std::hash<std::string>{}(archived([&](auto& archive) { copy->serialize(archive); }));
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

/// The mean age, in updates, of the gradients that an update is an average of: with the momentum,
/// or Adam's first beta, \f$\beta\f$, it is \f$\beta/(1-\beta)\f$, 9 at 0.9.
///
/// `options`: those of a parameter group. Nesterov's momentum counts as plain momentum, though its
/// gradients are one tenth younger at 0.9. 0 for LibTorch's other optimizers, which average no
/// gradients, and for those that are not LibTorch's.
inline double gradient_age(const torch::optim::OptimizerOptions& options) {
  using namespace torch::optim;
  double beta = 0;
  if (const auto* sgd = dynamic_cast<const SGDOptions*>(&options)) {
    beta = sgd->momentum();
  } else if (const auto* adam = dynamic_cast<const AdamOptions*>(&options)) {
    beta = std::get<0>(adam->betas());
  } else if (const auto* adamw = dynamic_cast<const AdamWOptions*>(&options)) {
    beta = std::get<0>(adamw->betas());
  } else if (const auto* rmsprop = dynamic_cast<const RMSpropOptions*>(&options)) {
    beta = rmsprop->momentum();
  }
  return beta > 0 && beta < 1 ? beta / (1 - beta) : 0;
}

/// Sets what PyTorch's schedulers call the momentum of a parameter group: that of SGD and RMSprop,
/// the first beta of Adam and AdamW. Returns false for an optimizer that has none.
inline bool set_momentum(torch::optim::OptimizerOptions& options, double momentum) {
  using namespace torch::optim;
  const auto set_beta = [&](auto& adam) {
    adam.betas({momentum, std::get<1>(adam.betas())});
    return true;
  };
  if (auto* adam = dynamic_cast<AdamOptions*>(&options)) return set_beta(*adam);
  if (auto* adamw = dynamic_cast<AdamWOptions*>(&options)) return set_beta(*adamw);
  if (auto* sgd = dynamic_cast<SGDOptions*>(&options)) {
    sgd->momentum(momentum);
  } else if (auto* rmsprop = dynamic_cast<RMSpropOptions*>(&options)) {
    rmsprop->momentum(momentum);
  } else {
    return false;
  }
  return true;
}

/// Whether set_momentum() can set the momentum of a parameter group.
inline bool has_momentum(const torch::optim::OptimizerOptions& options) {
  using namespace torch::optim;
  return dynamic_cast<const AdamOptions*>(&options) ||
         dynamic_cast<const AdamWOptions*>(&options) || dynamic_cast<const SGDOptions*>(&options) ||
         dynamic_cast<const RMSpropOptions*>(&options);
}

/// Sets the learning rate of every parameter group.
inline void set_rates(torch::optim::Optimizer& optimizer, const std::vector<double>& rates) {
  auto& groups = optimizer.param_groups();  // a step of the user's own may change their number
  for (std::size_t i = 0; i < std::min(rates.size(), groups.size()); ++i) {
    groups[i].options().set_lr(rates[i]);
  }
}

}  // namespace lrfinder::detail
