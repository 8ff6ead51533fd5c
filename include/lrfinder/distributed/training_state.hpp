#pragma once

#include <cstddef>
#include <optional>
#include <sstream>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed/broadcast.hpp>
#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/snapshot/saved_optimizer.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/torch/compatibility.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/torch/optimizer.hpp>

/// @file
/// What a training starts from, which has to be that of rank 0 on all ranks: parameters, buffers
/// and the state of the optimizers are shared, options and training flags are compared. The
/// attributes of TorchScript modules that are neither parameters nor buffers are each rank's own.

namespace lrfinder::detail {

/// The buffers of all modules.
inline TensorBroadcast buffers_of(const TrainingState& state) {
  TensorBroadcast buffers;
  for (const ModuleHandle& module : state.modules) {
    module.each_buffer([&](const torch::Tensor& buffer) { buffers.add(buffer); });
  }
  return buffers;
}

/// Calls `visit(state)` with what an optimizer remembers of each of its parameters.
template <class Visit>
void for_each_state(torch::optim::Optimizer& optimizer, Visit&& visit) {
  for (const auto& group : optimizer.param_groups()) {
    for (const auto& parameter : group.params()) {
      if (auto* state = state_of(optimizer, parameter)) visit(*state);
    }
  }
}

/// The parameters, the buffers, and all that LibTorch's own optimizers remember: their numbers are
/// tensors here that share their memory.
inline TensorBroadcast tensors_of(const TrainingState& state) {
  TensorBroadcast tensors = buffers_of(state);
  std::vector<torch::Tensor> numbers;
  const auto add = [&](auto& value) {
    using Value = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<Value, torch::Tensor>) {
      tensors.add(value);
    } else {
      numbers.push_back(torch::from_blob(&value, {1}, c10::CppTypeToScalarType<Value>::value));
    }
  };
  for (const ModuleHandle& module : state.modules) {
    module.each_parameter([&](const torch::Tensor& parameter) { tensors.add(parameter); });
  }
  for (const torch::Tensor& tensor : state.tensors) tensors.add(tensor);
  for (torch::optim::Optimizer* optimizer : state.optimizers) {
    for (const auto& group : optimizer->param_groups()) {
      for (const auto& parameter : group.params()) tensors.add(parameter);
    }
    for_each_state(*optimizer, [&](auto& remembered) { for_each_in_state(remembered, add); });
  }
  // Together, as they may be on another device than the tensors.
  for (const torch::Tensor& number : numbers) tensors.add(number);
  return tensors;
}

/// The states of a user's optimizer that only their own serialization can write.
inline std::vector<torch::optim::OptimizerParamState*> own_states(
    torch::optim::Optimizer& optimizer) {
  std::vector<torch::optim::OptimizerParamState*> states;
  for_each_state(optimizer, [&](auto& state) {
    if (!for_each_in_state(state, [](auto&) {})) states.push_back(&state);
  });
  return states;
}

/// What only a user's optimizer can write of itself, as bytes. Empty for one of LibTorch's own.
inline std::string archive_of(torch::optim::Optimizer& optimizer) {
  if (is_libtorchs(optimizer)) return "";
  return archived([&](torch::serialize::OutputArchive& archive) {
    const auto states = own_states(optimizer);
    for (std::size_t i = 0; i < states.size(); ++i) {
      torch::serialize::OutputArchive state;
      states[i]->serialize(state);
      archive.write("state_" + std::to_string(i), state);
    }
    torch::serialize::OutputArchive rest;
    std::optional<WithoutState> without_state;
    if (states.empty()) without_state.emplace(optimizer);
    optimizer.save(rest);
    archive.write("rest", rest);
  });
}

/// Gives a user's optimizer what archive_of() has written: on the device of its first parameter.
inline void read_archive(torch::optim::Optimizer& optimizer, const std::string& bytes) {
  torch::Device device = torch::kCPU;
  for (const auto& group : optimizer.param_groups()) {
    if (group.params().empty()) continue;
    device = group.params().front().device();
    break;
  }
  torch::serialize::InputArchive archive;
  std::istringstream stream(bytes);
  archive.load_from(stream, device);
  torch::serialize::InputArchive rest;
  archive.read("rest", rest);
  {
    std::optional<WithoutState> without_state;
    if (own_states(optimizer).empty()) without_state.emplace(optimizer);
    optimizer.load(rest);
  }
  const auto states = own_states(optimizer);
  for (std::size_t i = 0; i < states.size(); ++i) {
    torch::serialize::InputArchive state;
    archive.read("state_" + std::to_string(i), state);
    states[i]->serialize(state);
  }
}

/// Adds the kinds of the optimizers, the sizes of their groups and their options, but for the rate
/// of the first one, which a test sets.
inline void add_optimizers(Fingerprint& fingerprint, const TrainingState& state) {
  for (std::size_t i = 0; i < state.optimizers.size(); ++i) {
    torch::optim::Optimizer& optimizer = *state.optimizers[i];
    const std::string of_optimizer = " of optimizer " + std::to_string(i);
    fingerprint.add("the type" + of_optimizer, c10::demangle(typeid(optimizer).name()));
    std::size_t states = 0;
    for_each_state(optimizer, [&](auto&) { ++states; });
    fingerprint.add("the number of parameters with a state" + of_optimizer, states);
    fingerprint.add("the number of states of its own kind" + of_optimizer,
                    own_states(optimizer).size());
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

/// Adds the training flags with which the modules are trained.
inline void add_training_flags(Fingerprint& fingerprint, const TrainingState& state) {
  for (const ModuleHandle& module : state.modules) {
    std::vector<bool> flags;
    for (const auto& each : module.self_and_submodules()) {
      flags.push_back(!module.is_training() || each.is_training());
    }
    fingerprint.add("the list of training flags of a model", flags);
  }
}

}  // namespace lrfinder::detail
