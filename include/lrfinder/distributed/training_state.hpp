#pragma once

#include <cstddef>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed/broadcast.hpp>
#include <lrfinder/snapshot/saved_optimizer.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/torch/compatibility.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/torch/optimizer.hpp>

/// @file
/// What a training changes, to be given the values that it has on rank 0: everything that
/// SavedState saves, but for gradients, which every update computes anew, the attributes of
/// TorchScript modules that are neither parameters nor buffers, and the options of the optimizers,
/// which have to agree.

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
    save_rest(optimizer, /*with_state=*/!states.empty(), rest);
    archive.write("rest", rest);
  });
}

/// Gives a user's optimizer what archive_of() has written, on the device of its first parameter.
inline void load_archive(torch::optim::Optimizer& optimizer, const std::string& bytes) {
  torch::serialize::InputArchive archive;
  std::istringstream stream(bytes);
  archive.load_from(stream, optimizer.param_groups().front().params().front().device());
  torch::serialize::InputArchive rest;
  archive.read("rest", rest);
  optimizer.load(rest);
  const auto states = own_states(optimizer);
  for (std::size_t i = 0; i < states.size(); ++i) {
    torch::serialize::InputArchive state;
    archive.read("state_" + std::to_string(i), state);
    states[i]->serialize(state);
  }
}

}  // namespace lrfinder::detail
