#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/torch/compatibility.hpp>

/// @file
/// The types of model that LibTorch programs use, how each is run, and on which device.

namespace lrfinder::detail {

/// True for modules themselves: classes derived from `torch::nn::Module`.
template <class T>
inline constexpr bool is_module = std::is_base_of_v<torch::nn::Module, T>;

/// True for shared pointers to modules.
template <class T>
inline constexpr bool is_shared_module = false;
template <class T>
inline constexpr bool is_shared_module<std::shared_ptr<T>> = is_module<T>;

/// True for TorchScript modules.
template <class T>
inline constexpr bool is_script_module = std::is_same_v<T, torch::jit::Module>;

/// True for every type that LRFinder takes as a model: modules, and types whose copies share one
/// module, such as `torch::nn::Sequential` and the other holders that TORCH_MODULE makes.
template <class T>
inline constexpr bool is_model =
    is_module<T> || torch::detail::is_module_holder<T>::value || is_shared_module<T> ||
    std::is_same_v<T, torch::nn::AnyModule> || is_script_module<T>;

/// How a model or criterion of type T is stored: a module by reference, any other type by value.
template <class T>
using Held = std::conditional_t<is_module<T>, std::reference_wrapper<T>, T>;

/// The module of a model.
template <class Model>
auto& module_of(Model& model) {
  if constexpr (is_module<Model> || is_script_module<Model>) {
    return model;
  } else if constexpr (std::is_same_v<Model, torch::nn::AnyModule>) {
    return *model.ptr();
  } else {
    return *model;
  }
}

/// True for a pointer or reference to the base class of all modules, which has no forward().
template <class Model>
inline constexpr bool is_plain_module =
    std::is_same_v<std::decay_t<decltype(module_of(std::declval<Model&>()))>, torch::nn::Module>;

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

/// The output of the model for an input on the device of the model.
template <class Model, class Input>
auto forward(Model& model, const Input& input) -> decltype(module_of(model).forward(input)) {
  return module_of(model).forward(input);
}
template <class Input>
torch::Tensor forward(torch::nn::AnyModule& model, const Input& input) {
  return model.forward(input);
}
/// The same for TorchScript: forward() with one argument, which returns one tensor.
inline torch::Tensor forward(torch::jit::Module& model, const torch::Tensor& input) {
  return model.forward({input}).toTensor();
}

/// A handle on a model or criterion module of any type. Keeps the module alive if a shared_ptr
/// holds it: user code may replace a submodule at any time.
class ModuleHandle {
 public:
  explicit ModuleHandle(torch::nn::Module& module) : module_(module.weak_from_this().lock()) {
    auto& shared = std::get<SharedModule>(module_);
    if (!shared) shared = SharedModule(SharedModule(), &module);  // owns nothing
  }
  explicit ModuleHandle(const torch::jit::Module& module) : module_(module) {}

  /// Calls `visit` with every parameter, including those of submodules.
  template <class Visit>
  void each_parameter(Visit&& visit) const {
    use([&](auto& module) {
      for (auto&& parameter : module.parameters()) visit(torch::Tensor(parameter));
    });
  }

  /// Calls `visit` with every buffer, including those of submodules.
  template <class Visit>
  void each_buffer(Visit&& visit) const {
    use([&](auto& module) {
      for (auto&& buffer : module.buffers()) visit(torch::Tensor(buffer));
    });
  }

  /// Calls `visit` with the object behind each TorchScript module: this module and its submodules.
  template <class Visit>
  void each_script_object(Visit&& visit) const {
    const auto* const script = std::get_if<torch::jit::Module>(&module_);
    if (!script) return;
    for (const auto& module : script->modules()) visit(module._ivalue());
  }

  /// Calls `visit(name, module)` with this module, whose name is empty, and its submodules. Does
  /// nothing for a TorchScript module.
  template <class Visit>
  void each_cpp_module(Visit&& visit) const {
    const auto* const module = std::get_if<SharedModule>(&module_);
    if (!module) return;
    visit(std::string(), *module);
    // LibTorch can include the module itself only if a shared_ptr holds it.
    for (const auto& each : (*module)->named_modules("", /*include_self=*/false)) {
      visit(each.key(), each.value());
    }
  }

  void to(torch::Device device) {
    use([&](auto& module) { module.to(device); });
  }

  void train(bool on) {
    use([&](auto& module) { module.train(on); });
  }

  bool is_training() const {
    return use([](auto& module) { return module.is_training(); });
  }

  /// This module, then its submodules; parents before children.
  std::vector<ModuleHandle> self_and_submodules() const {
    std::vector<ModuleHandle> handles;
    each_cpp_module([&](const auto&, const auto& module) { handles.emplace_back(*module); });
    if (const auto* const script = std::get_if<torch::jit::Module>(&module_)) {
      for (const auto& each : script->modules()) handles.emplace_back(each);
    }
    return handles;
  }

 private:
  using SharedModule = std::shared_ptr<torch::nn::Module>;

  template <class Use>
  std::invoke_result_t<Use, torch::nn::Module&> use(const Use& use_it) const {
    if (const auto* const module = std::get_if<SharedModule>(&module_)) return use_it(**module);
    return use_it(std::get<torch::jit::Module>(module_));
  }

  // Mutable, because a const handle can change its module.
  mutable std::variant<SharedModule, torch::jit::Module> module_;
};

/// The objects that a training changes.
struct TrainedObjects {
  std::vector<ModuleHandle> modules;                 // the model first
  std::vector<torch::optim::Optimizer*> optimizers;  // the one that updates the model first
  std::vector<torch::Tensor*> variables;             // of the user
};

/// The device of a range test, and whether the model has to move there.
struct DevicePlacement {
  /// Takes the device asked for, or else the device of the model. If the model has no tensors, the
  /// device of the optimizer's parameters counts.
  ///
  /// Throws InvalidOption if the device or a parameter of the model cannot be used.
  DevicePlacement(const ModuleHandle& model, const torch::optim::Optimizer& optimizer,
                  std::optional<torch::Device> asked_for) {
    std::optional<torch::Device> home;
    const auto look_at = [&](const torch::Tensor& tensor) {
      if (!home) home = tensor.device();
      if (asked_for && tensor.device() != *asked_for) moves = true;
    };
    if (asked_for) {
      try {  // to compare with tensors, "cuda" needs the index of the current device
        asked_for = torch::empty({0}, torch::device(*asked_for)).device();
      } catch (const c10::Error&) {
        throw InvalidOption(
            "LRFinder: device " + asked_for->str() +
            " cannot be used. LibTorch says: " + first_sentence_of(std::current_exception()));
      }
      if (asked_for->is_meta()) {
        throw InvalidOption("LRFinder: nothing can be trained on the meta device");
      }
    }
    std::size_t parameters = 0;
    model.each_parameter([&](const torch::Tensor& parameter) {
      if (parameter.is_meta()) {
        throw InvalidOption(concat("LRFinder: parameter ", parameters,
                                   " of the model (counted from 0) is on the meta device, which "
                                   "holds no values; make or load the model on another device"));
      }
      if (parameter.is_inference() && parameter.requires_grad()) {
        throw InvalidOption(concat("LRFinder: parameter ", parameters,
                                   " of the model (counted from 0), of shape ", parameter.sizes(),
                                   ", was made under c10::InferenceMode, so it cannot be trained; "
                                   "make the model outside of the guard, or freeze the parameter "
                                   "by set_requires_grad(false)"));
      }
      ++parameters;
      look_at(parameter);
    });
    model.each_buffer(look_at);
    if (!home) {
      for (const auto& group : optimizer.param_groups()) {
        for (const auto& parameter : group.params()) look_at(parameter);
      }
    }
    device = asked_for.value_or(home.value_or(torch::Device(torch::kCPU)));
  }

  /// True for a tensor that is going to move.
  bool moves_tensor(const torch::Tensor& tensor) const {
    return moves && tensor.device() != device;
  }

  torch::Device device = torch::kCPU;
  bool moves = false;
};

}  // namespace lrfinder::detail
