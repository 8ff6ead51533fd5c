#pragma once

#include <utility>
#include <variant>
#include <vector>

#include <torch/torch.h>

namespace lrfinder::training {

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

}  // namespace lrfinder::training
