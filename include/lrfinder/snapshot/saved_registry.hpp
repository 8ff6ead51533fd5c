#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/snapshot/store.hpp>
#include <lrfinder/torch/module.hpp>

namespace lrfinder::detail {

/// What is registered with the C++ modules of a model: which parameters, buffers and submodules,
/// under which names, and in which order. A TorchScript module has these among its attributes.
///
/// What a test registers in addition stays, because the module may also hold it in a member.
class SavedRegistry {
 public:
  explicit SavedRegistry(const ModuleHandle& model) {
    model.each_cpp_module([&](const std::string& name, const SharedModule& module) {
      saved_.push_back({name.empty() ? "" : name + ".", module, *module});
    });
  }

  /// Restores what was registered. A submodule that the test has put in the place of another one,
  /// and that a member still holds, is an error: LibTorch cannot list the members.
  void restore(RestoreErrors& errors) {
    for (const Saved& saved : saved_) {
      std::vector<Replaced> replaced;
      errors.unless("what is registered with a module", [&] { replaced = restore(saved); });
      for (const auto& [name, module] : replaced) {
        if (module.expired()) continue;
        errors.unless(concat("the submodule ", saved.path, name), [&] {
          throw SnapshotError(
              "the test has replaced a submodule, and your code still holds the new one; the old "
              "one is registered again, so assign it to the member that holds the new one");
        });
      }
    }
  }

  /// The names of what the test has added, with a space before each.
  const std::string& added() const { return added_; }

 private:
  using SharedModule = std::shared_ptr<torch::nn::Module>;
  using Replaced = std::pair<std::string, std::weak_ptr<torch::nn::Module>>;

  struct Saved {
    std::string path;  // before the names of what is registered
    SharedModule module;
    torch::nn::Module registered;  // a copy of the base class has only what is registered
  };

  // Returns the submodules that the test has put in the place of others.
  std::vector<Replaced> restore(const Saved& saved) {
    torch::nn::Module& module = *saved.module;
    std::vector<Replaced> replaced;
    if (is_same(module, saved.registered)) return replaced;
    torch::nn::Module whole = saved.registered;
    const auto each_added = [&](const auto& present, const auto& before, const auto& add) {
      for (const auto& item : present) {
        if (before.contains(item.key())) continue;
        add(item.key(), item.value());
        added_ += concat(" ", saved.path, item.key());
      }
    };
    each_added(module.named_parameters(false), whole.named_parameters(false),
               [&](const std::string& name, const torch::Tensor& parameter) {
                 whole.register_parameter(name, parameter, parameter.requires_grad());
               });
    each_added(module.named_buffers(false), whole.named_buffers(false),
               [&](const std::string& name, const torch::Tensor& buffer) {
                 whole.register_buffer(name, buffer);
               });
    const auto submodules = whole.named_children();
    each_added(module.named_children(), submodules,
               [&](const std::string& name, const SharedModule& submodule) {
                 whole.register_module(name, submodule);
               });
    for (const auto& item : module.named_children()) {
      const SharedModule* const before = submodules.find(item.key());
      if (before && *before != item.value()) replaced.emplace_back(item.key(), item.value());
    }
    module.torch::nn::Module::operator=(whole);
    return replaced;
  }

  // Whether the same things are registered, under the same names, in the same order.
  static bool is_same(const torch::nn::Module& one, const torch::nn::Module& other) {
    const auto are_same = [](const auto& some, const auto& others) {
      return std::equal(some.begin(), some.end(), others.begin(), others.end(),
                        [](const auto& a, const auto& b) {
                          return a.key() == b.key() && address(a.value()) == address(b.value());
                        });
    };
    return are_same(one.named_parameters(false), other.named_parameters(false)) &&
           are_same(one.named_buffers(false), other.named_buffers(false)) &&
           are_same(one.named_children(), other.named_children());
  }

  static const void* address(const torch::Tensor& tensor) { return tensor.unsafeGetTensorImpl(); }
  static const void* address(const SharedModule& module) { return module.get(); }

  std::vector<Saved> saved_;
  std::string added_;
};

}  // namespace lrfinder::detail
