#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/error.hpp>

namespace lrfinder {

/// Base class for the options of a user's optimizer that has a momentum:
///
///     struct LionOptions : torch::optim::OptimizerCloneableOptions<LionOptions>,
///                          lrfinder::MomentumOptions {
///       double& momentum() override { return beta1; }
///
/// With this class, plans can cycle the momentum, and suggestions account for it. If the options
/// have a `TORCH_ARG(double, momentum)`, deriving from the class is enough. The optimizers of
/// LibTorch do not need it.
class MomentumOptions {
 public:
  virtual ~MomentumOptions() = default;
  /// The weight of earlier gradients in an update, in [0, 1).
  virtual double& momentum() = 0;
};

namespace detail {

/// The classes of one optimizer of LibTorch.
template <class OptimizerType, class OptionsType, class StateType>
struct OptimizerKind {
  using Optimizer = OptimizerType;
  using Options = OptionsType;
  using State = StateType;
};

/// Calls `visit(OptimizerKind)` for each optimizer of LibTorch until `visit` returns true. Returns
/// whether it did. The library has no other list of these optimizers.
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

/// Whether the class of an optimizer is one of LibTorch, and not derived from one.
inline bool is_builtin(const torch::optim::Optimizer& optimizer) {
  return libtorch_optimizers(
      [&](auto kind) { return typeid(optimizer) == typeid(typename decltype(kind)::Optimizer); });
}

// The class that declares the function which saves an optimizer: its own, or a base of it.
template <class Class, class Archive>
OptimizerKind<Class, void, void> with_save_of(void (Class::*save)(Archive&) const);

/// Warns if an optimizer has members that a base class, which saves it, does not know. Its class
/// must be that of the pointer. Does nothing if the save() cannot be found out.
template <class Optimizer,
          class Known = typename decltype(with_save_of(&Optimizer::save))::Optimizer>
void warn_of_unsaved_members(const Optimizer*) {
  if (std::is_same_v<Known, torch::optim::Optimizer> || sizeof(Known) == sizeof(Optimizer)) return;
  TORCH_WARN("LRFinder: the class ", c10::demangle(typeid(Optimizer).name()),
             " has members, but its save() is that of ", c10::demangle(typeid(Known).name()),
             ", which does not know them. So they stay as a test leaves them. Write a save() and a "
             "load() that include them, or name tensors among them by also_restore()");
}
inline void warn_of_unsaved_members(const void*) {}

/// Calls `visit` with each value in the state of a parameter: a `torch::Tensor&`, `std::int64_t&`
/// or `double&`. Returns false if the class of the state is not one of LibTorch.
template <class Visit>
bool for_each_in_state(torch::optim::OptimizerParamState& state, Visit&& visit) {
  using namespace torch::optim;
  return libtorch_optimizers([&](auto kind) {
    using State = typename decltype(kind)::State;
    if (typeid(state) != typeid(State)) return false;
    auto& known = static_cast<State&>(state);
    const auto visit_all = [&](auto&... values) { (visit(values), ...); };
    if constexpr (std::is_same_v<State, SGDParamState>) {
      visit_all(known.momentum_buffer());
    } else if constexpr (std::is_same_v<State, RMSpropParamState>) {
      visit_all(known.step(), known.square_avg(), known.momentum_buffer(), known.grad_avg());
    } else if constexpr (std::is_same_v<State, AdagradParamState>) {
      visit_all(known.step(), known.sum());
    } else if constexpr (std::is_same_v<State, LBFGSParamState>) {
      visit_all(known.func_evals(), known.n_iter(), known.t(), known.prev_loss(), known.d(),
                known.H_diag(), known.prev_flat_grad());
      for (auto* column : {&known.old_dirs(), &known.old_stps(), &known.ro()}) {
        for (auto& tensor : *column) visit(tensor);
      }
      if (known.al()) {
        for (auto& tensor : *known.al()) visit(tensor);
      }
    } else {  // Adam and AdamW
      visit_all(known.step(), known.exp_avg(), known.exp_avg_sq(), known.max_exp_avg_sq());
    }
    return true;
  });
}

/// The bytes of an archive that `write(torch::serialize::OutputArchive&)` has filled.
template <class Write>
std::string archived(Write&& write) {
  torch::serialize::OutputArchive archive;
  write(archive);
  std::string bytes;
  // If a write fails, the destructor of the writer ends the program. So failures are hidden here.
  std::exception_ptr failed;
  archive.save_to([&](const void* data, std::size_t size) {
    try {
      if (!failed) bytes.append(static_cast<const char*>(data), size);
    } catch (...) {
      failed = std::current_exception();
    }
    return size;
  });
  if (failed) std::rethrow_exception(failed);
  return bytes;
}

/// A hash of the options of a group without the rate. None if clone() or serialize() is missing.
inline std::optional<std::size_t> hash_but_for_rate(const torch::optim::OptimizerOptions& options) {
  try {
    const auto copy = options.clone();
    copy->set_lr(1);
    return std::hash<std::string>{}(archived([&](auto& archive) { copy->serialize(archive); }));
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

/// The parameters of all groups.
inline std::vector<torch::Tensor> parameters_of(const torch::optim::Optimizer& optimizer) {
  std::vector<torch::Tensor> all;
  for (const auto& group : optimizer.param_groups()) {
    all.insert(all.end(), group.params().begin(), group.params().end());
  }
  return all;
}

/// Sets the learning rates of the parameter groups.
inline void set_rates(torch::optim::Optimizer& optimizer, const std::vector<double>& rates) {
  auto& groups = optimizer.param_groups();  // a user-defined step may change their number
  for (std::size_t i = 0; i < std::min(rates.size(), groups.size()); ++i) {
    groups[i].options().set_lr(rates[i]);
  }
}

/// The momentum in the options of a parameter group, as PyTorch's schedulers cycle it: momentum of
/// SGD and RMSprop, the first beta of Adam and AdamW, or momentum() of MomentumOptions. Null if
/// there is none.
inline double* momentum_of(torch::optim::OptimizerOptions& options) {
  using namespace torch::optim;
  if (auto* own = dynamic_cast<MomentumOptions*>(&options)) return &own->momentum();
  if (auto* sgd = dynamic_cast<SGDOptions*>(&options)) return &sgd->momentum();
  if (auto* rmsprop = dynamic_cast<RMSpropOptions*>(&options)) return &rmsprop->momentum();
  if (auto* adam = dynamic_cast<AdamOptions*>(&options)) return &std::get<0>(adam->betas());
  if (auto* adamw = dynamic_cast<AdamWOptions*>(&options)) return &std::get<0>(adamw->betas());
  return nullptr;
}
inline const double* momentum_of(const torch::optim::OptimizerOptions& options) {
  return momentum_of(const_cast<torch::optim::OptimizerOptions&>(options));  // only to read it
}

/// The mean age of the gradients that an update averages, in updates. For a momentum `beta` it
/// is `beta/(1-beta)`: 9 for 0.9, and 0 without momentum. Nesterov momentum counts as plain
/// momentum, although its gradients are one tenth younger at 0.9.
inline double gradient_age(const torch::optim::OptimizerOptions& options) {
  const double* const beta = momentum_of(options);
  return beta && *beta > 0 && *beta < 1 ? *beta / (1 - *beta) : 0;
}

/// Throws InvalidOption if a parameter group has no momentum. The message begins with `user`.
inline void require_momentum(const torch::optim::Optimizer& optimizer, const std::string& user) {
  for (const auto& group : optimizer.param_groups()) {
    if (momentum_of(group.options())) continue;
    throw InvalidOption(user +
                        ": the plan cycles the momentum, but this optimizer has none; call "
                        "keep_momentum() on the plan or, for a momentum of your own optimizer, "
                        "derive its options from lrfinder::MomentumOptions");
  }
}

/// Sets the momentum of the parameter groups, if the plan gives one.
inline void set_momentum(torch::optim::Optimizer& optimizer, std::optional<double> momentum) {
  if (!momentum) return;
  for (auto& group : optimizer.param_groups()) {
    if (double* const present = momentum_of(group.options())) *present = *momentum;
  }
}

}  // namespace detail
}  // namespace lrfinder
