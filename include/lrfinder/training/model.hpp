#pragma once

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include <torch/torch.h>

/// @file
/// What a model is: the forms in which LibTorch programs hold one, and how each is run.

namespace lrfinder::training {

namespace traits {

template <class T>
struct is_shared_module : std::false_type {};
template <class M>
struct is_shared_module<std::shared_ptr<M>> : std::is_base_of<torch::nn::Module, M> {};

}  // namespace traits

/// True for module holders: `torch::nn::Sequential`, and what TORCH_MODULE makes.
template <class T>
inline constexpr bool is_module_holder = torch::detail::is_module_holder<T>::value;

/// True for modules themselves: classes derived from `torch::nn::Module`.
template <class T>
inline constexpr bool is_module = std::is_base_of_v<torch::nn::Module, T>;

/// True for TorchScript modules.
template <class T>
inline constexpr bool is_script_module = std::is_same_v<T, torch::jit::Module>;

/// True for values that stand for a module and share it when they are copied.
template <class T>
inline constexpr bool is_module_handle =
    is_module_holder<T> || traits::is_shared_module<T>::value ||
    std::is_same_v<T, torch::nn::AnyModule> || is_script_module<T>;

/// True for everything that LRFinder takes as a model.
template <class T>
inline constexpr bool is_model = is_module<T> || is_module_handle<T>;

/// How a model or criterion of type T is kept: a module by reference, all else by value.
template <class T>
using Kept = std::conditional_t<is_module<T>, std::reference_wrapper<T>, T>;

/// The module that a model stands for.
template <class Model>
auto& module_of(Model& model) {
  if constexpr (is_module<Model> || is_script_module<Model>) {
    return model;
  } else {
    return *model;
  }
}
inline torch::nn::Module& module_of(torch::nn::AnyModule& model) { return *model.ptr(); }

/// True for a holder or pointer that holds no module.
template <class Model>
bool is_empty(const Model& model) {
  if constexpr (std::is_same_v<Model, torch::nn::AnyModule>) {
    return model.is_empty();
  } else if constexpr (is_script_module<Model> || is_module<Model>) {
    return false;
  } else {
    return !model;
  }
}

/// The output of the model for an input that already is on its device.
template <class Model, class Input>
auto forward(Model& model, const Input& input) -> decltype(module_of(model).forward(input)) {
  return module_of(model).forward(input);
}
template <class Input>
torch::Tensor forward(torch::nn::AnyModule& model, const Input& input) {
  return model.forward(input);
}
/// TorchScript's forward(): one argument, one tensor out.
inline torch::Tensor forward(torch::jit::Module& model, const torch::Tensor& input) {
  return model.forward({input}).toTensor();
}

}  // namespace lrfinder::training
