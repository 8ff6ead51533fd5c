#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <torch/torch.h>

/// @file
/// What a model is: the forms in which LibTorch programs hold one, and how each is run.

namespace lrfinder::detail {

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

/// A model or criterion module, whatever its type: its tensors, its modes, its device.
class ModuleHandle {
 public:
  explicit ModuleHandle(torch::nn::Module& module) : module_(&module) {}
  explicit ModuleHandle(const torch::jit::Module& module) : module_(module) {}

  /// Calls `visit` with every parameter, those of submodules included.
  template <class Visit>
  void each_parameter(Visit&& visit) const {
    std::visit(
        [&](const auto& module) {
          for (auto&& parameter : dereferenced(module).parameters())
            visit(torch::Tensor(parameter));
        },
        module_);
  }

  /// Calls `visit` with every buffer, those of submodules included.
  template <class Visit>
  void each_buffer(Visit&& visit) const {
    std::visit(
        [&](const auto& module) {
          for (auto&& buffer : dereferenced(module).buffers()) visit(torch::Tensor(buffer));
        },
        module_);
  }

  /// Calls `visit` with the object behind every TorchScript module in this one, itself included.
  template <class Visit>
  void each_script_object(Visit&& visit) const {
    const auto* const script = std::get_if<torch::jit::Module>(&module_);
    if (!script) return;
    visit(script->_ivalue());
    for (const auto& child : script->children()) ModuleHandle(child).each_script_object(visit);
  }

  /// The names of all parameters, buffers and submodules. None for a TorchScript module, to which
  /// nothing can be added.
  std::set<std::string> names() const {
    std::set<std::string> all;
    if (auto* const* module = std::get_if<torch::nn::Module*>(&module_)) {
      for (const auto& item : (*module)->named_parameters()) all.insert(item.key());
      for (const auto& item : (*module)->named_buffers()) all.insert(item.key());
      for (const auto& item : (*module)->named_modules("", /*include_self=*/false)) {
        all.insert(item.key());
      }
    }
    return all;
  }

  void to(torch::Device device) {
    std::visit([&](auto& module) { dereferenced(module).to(device); }, module_);
  }

  void train(bool on) {
    std::visit([&](auto& module) { dereferenced(module).train(on); }, module_);
  }

  bool is_training() const {
    return std::visit([](const auto& module) { return dereferenced(module).is_training(); },
                      module_);
  }

  /// The module itself, then its submodules, parents before children.
  std::vector<ModuleHandle> self_and_submodules() const {
    std::vector<ModuleHandle> handles{*this};
    if (auto* const* module = std::get_if<torch::nn::Module*>(&module_)) {
      // Without itself: a module that is not held by a shared_ptr cannot list itself.
      for (const auto& submodule : (*module)->modules(/*include_self=*/false)) {
        handles.emplace_back(*submodule);
      }
    } else {
      for (const auto& child : std::get<torch::jit::Module>(module_).children()) {
        for (const auto& submodule : ModuleHandle(child).self_and_submodules()) {
          handles.push_back(submodule);
        }
      }
    }
    return handles;
  }

 private:
  static torch::nn::Module& dereferenced(torch::nn::Module* module) { return *module; }
  static torch::jit::Module& dereferenced(torch::jit::Module& module) { return module; }
  static const torch::jit::Module& dereferenced(const torch::jit::Module& module) { return module; }

  std::variant<torch::nn::Module*, torch::jit::Module> module_;
};

}  // namespace lrfinder::detail
