#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/distributed/gradient_averaging.hpp>
#include <lrfinder/snapshot/saved_optimizer.hpp>
#include <lrfinder/torch/compatibility.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/torch/optimizer.hpp>

/// @file
/// Makes all ranks start from the state of rank 0. Parameters, buffers and optimizer states are
/// sent to all ranks. Options and training flags are only compared. Attributes of TorchScript
/// modules that are neither parameters nor buffers are left as they are on each rank.

namespace lrfinder::detail {

/// The buffers of all modules.
inline TensorList buffers_of(const TrainedObjects& state) {
  TensorList buffers;
  for (const ModuleHandle& module : state.modules) {
    module.each_buffer([&](const torch::Tensor& buffer) { buffers.add(buffer); });
  }
  return buffers;
}

/// Calls `visit(state)` with the state of each parameter of an optimizer.
template <class Visit>
void for_each_state(torch::optim::Optimizer& optimizer, Visit&& visit) {
  for (const torch::Tensor& parameter : parameters_of(optimizer)) {
    if (auto* state = state_of(optimizer, parameter)) visit(*state);
  }
}

/// The parameters, the buffers, and all values in the states of the optimizers of LibTorch. A
/// number in a state becomes a tensor that shares its memory.
inline TensorList tensors_of(const TrainedObjects& state) {
  TensorList tensors = buffers_of(state);
  const auto add = [&](auto& value) {
    using Value = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<Value, torch::Tensor>) {
      tensors.add(value);
    } else {
      tensors.add(torch::from_blob(&value, {1}, c10::CppTypeToScalarType<Value>::value));
    }
  };
  for (const ModuleHandle& module : state.modules) {
    module.each_parameter([&](const torch::Tensor& parameter) { tensors.add(parameter); });
  }
  for (const torch::Tensor* variable : state.variables) tensors.add(*variable);
  for (torch::optim::Optimizer* optimizer : state.optimizers) {
    for (const torch::Tensor& parameter : parameters_of(*optimizer)) tensors.add(parameter);
    for_each_state(*optimizer, [&](auto& remembered) { for_each_in_state(remembered, add); });
  }
  return tensors;
}

/// Calls `visit(serialize)` for each part of a user's optimizer that only user code can serialize:
/// the optimizer itself, and each state whose class is not one of LibTorch. `serialize(archive)`
/// writes the part into an archive or reads it from one.
template <class Visit>
void for_each_own_part(torch::optim::Optimizer& optimizer, Visit&& visit) {
  if (is_builtin(optimizer)) return;
  const auto own_states = [&] {
    std::vector<torch::optim::OptimizerParamState*> states;
    for_each_state(optimizer, [&](auto& state) {
      if (!for_each_in_state(state, [](auto&) {})) states.push_back(&state);
    });
    return states;
  };
  visit([&](auto& archive) {
    std::optional<WithoutState> without_state;
    if (own_states().empty()) without_state.emplace(optimizer);
    if constexpr (std::is_same_v<decltype(archive), torch::serialize::InputArchive&>) {
      optimizer.load(archive);
    } else {
      optimizer.save(archive);
    }
  });
  // The states are listed again here, because load() may replace them.
  for (auto* state : own_states()) visit([&](auto& archive) { state->serialize(archive); });
}

/// Reads a part of an optimizer from what archived() returned, on the device of the parameters.
template <class Serialize>
void read_archive(const torch::optim::Optimizer& optimizer, const std::string& bytes,
                  Serialize&& serialize) {
  const auto parameters = parameters_of(optimizer);
  torch::serialize::InputArchive archive;
  archive.load_from(bytes.data(), bytes.size(),
                    parameters.empty() ? torch::kCPU : parameters.front().device());
  serialize(archive);
}

/// Adds the types of the optimizers, the sizes of their groups, and their options. Leaves out the
/// rates of the first optimizer, which a test sets.
inline void add_optimizers(Fingerprint& fingerprint, const TrainedObjects& state) {
  for (std::size_t i = 0; i < state.optimizers.size(); ++i) {
    torch::optim::Optimizer& optimizer = *state.optimizers[i];
    const std::string of_optimizer = " of optimizer " + std::to_string(i);
    fingerprint.add("the type" + of_optimizer, c10::demangle(typeid(optimizer).name()));
    std::size_t states = 0;
    for_each_state(optimizer, [&](auto&) { ++states; });
    fingerprint.add("the number of parameters with a state" + of_optimizer, states);
    for (std::size_t j = 0; j < optimizer.param_groups().size(); ++j) {
      const auto& group = optimizer.param_groups()[j];
      const auto& options = group.options();
      const std::string of_group = " of group " + std::to_string(j) + of_optimizer;
      fingerprint.add("the number of parameters" + of_group, group.params().size());
      fingerprint.add("a hash of the options but for the rate" + of_group,
                      hash_but_for_rate(options));
      if (i > 0) fingerprint.add("the rate" + of_group, options.get_lr());
    }
  }
}

/// Adds the training flags that the modules have during training.
inline void add_training_flags(Fingerprint& fingerprint, const TrainedObjects& state) {
  for (const ModuleHandle& module : state.modules) {
    std::vector<bool> flags;
    for (const auto& each : module.self_and_submodules()) {
      flags.push_back(!module.is_training() || each.is_training());
    }
    fingerprint.add("the list of training flags of a model", flags);
  }
}

}  // namespace lrfinder::detail
