#pragma once

#include <algorithm>
#include <sstream>
#include <string>
#include <training.hpp>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/snapshot/saved_optimizer.hpp>
#include <lrfinder/torch/module.hpp>

/// Everything that a range test promises to restore, copied bit for bit; to be compared with the
/// same things later.
class Everything {
 public:
  /// `module`: of C++ or of TorchScript. `others`: tensors that belong to neither.
  template <class Module>
  Everything(Module& module, torch::optim::Optimizer& optimizer,
             const std::vector<torch::Tensor>& others = {})
      : Everything(lrfinder::detail::ModuleHandle(module), optimizer, others) {}

  Everything(const lrfinder::detail::ModuleHandle& module, torch::optim::Optimizer& optimizer,
             const std::vector<torch::Tensor>& others) {
    std::vector<torch::Tensor> tensors;
    module.each_parameter([&](const torch::Tensor& parameter) { tensors.push_back(parameter); });
    module.each_buffer([&](const torch::Tensor& buffer) { tensors.push_back(buffer); });
    module.each_script_object([&](const auto& object) {
      for (const c10::IValue& attribute : object->slots()) save_attribute(attribute, tensors);
    });
    for (const auto& group : optimizer.param_groups()) {
      for (const auto& parameter : group.params()) tensors.push_back(parameter);
    }
    tensors.insert(tensors.end(), others.begin(), others.end());
    for (const auto& tensor : tensors) {
      values_.push_back(tensor.detach().clone());
      impls_.push_back(tensor.unsafeGetTensorImpl());
      addresses_.push_back(address(tensor));
      requires_grad_.push_back(tensor.requires_grad());
      const auto gradient = tensor.is_leaf() ? tensor.grad() : torch::Tensor();
      gradients_.push_back(gradient.defined() ? gradient.clone() : gradient);
      addresses_.push_back(gradient.defined() ? address(gradient) : nullptr);
    }
    for (const auto& submodule : module.self_and_submodules()) {
      modes_.push_back(submodule.is_training());
    }
    for (const auto& [parameter, state] : optimizer.state()) {
      states_.push_back(state.get());
      lrfinder::detail::for_each_in_state(*state, [&](auto& value) {
        if constexpr (std::is_same_v<decltype(value), torch::Tensor&>) {
          values_.push_back(value.defined() ? value.clone() : value);
          addresses_.push_back(value.defined() ? address(value) : nullptr);
        }
      });
    }
    // LibTorch cannot write the state of LBFGS: it trips over undefined tensors in it.
    if (typeid(optimizer) != typeid(torch::optim::LBFGS)) {
      std::ostringstream stream;
      torch::serialize::OutputArchive archive;
      optimizer.save(archive);
      archive.save_to(stream);
      optimizer_ = stream.str();
    }
    for (const auto& group : optimizer.param_groups()) {
      rates_.push_back(group.options().get_lr());
      options_.push_back(&group.options());
    }
    for (const torch::Device device : {torch::Device(torch::kCPU), device_of_test}) {
      random_.push_back(at::globalContext().defaultGenerator(device).get_state());
    }
    grad_mode_ = torch::GradMode::is_enabled();
  }

  /// What differs, in words; empty when nothing does.
  std::string differences(const Everything& other) const {
    std::string found;
    const auto note = [&](bool same, const char* what) {
      if (!same) found += std::string(found.empty() ? "" : ", ") + what;
    };
    note(same_bits(values_, other.values_), "parameters or buffers");
    note(same_bits(gradients_, other.gradients_), "gradients");
    note(impls_ == other.impls_, "tensor identity");
    note(addresses_ == other.addresses_, "storage identity");
    note(requires_grad_ == other.requires_grad_, "requires_grad flags");
    note(modes_ == other.modes_, "training flags");
    note(same_objects(attributes_, other.attributes_), "identity of attributes");
    note(texts_ == other.texts_, "attributes");
    note(states_ == other.states_, "identity of optimizer states");
    note(optimizer_ == other.optimizer_, "optimizer");
    note(rates_ == other.rates_, "learning rates");
    note(options_ == other.options_, "identity of optimizer options");
    note(same_bits(random_, other.random_), "random state");
    note(grad_mode_ == other.grad_mode_, "grad mode");
    return found;
  }

 private:
  static const void* address(const torch::Tensor& tensor) {
    return tensor.layout() == torch::kStrided ? tensor.data_ptr() : nullptr;
  }

  // An attribute of a TorchScript module: which it is, what is in it, and the tensors in it.
  void save_attribute(const c10::IValue& attribute, std::vector<torch::Tensor>& tensors) {
    attributes_.push_back(attribute);
    c10::IValue::HashAliasedIValues parts;
    attribute.getSubValues(parts);
    for (const c10::IValue& part : parts) {
      if (part.isTensor()) tensors.push_back(part.toTensor());
    }
    std::ostringstream text;
    if (!attribute.isTensor() && !attribute.isModule()) text << attribute;
    texts_.push_back(text.str());
  }

  static bool same_objects(const std::vector<c10::IValue>& a, const std::vector<c10::IValue>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const auto& one, const auto& other) { return one.is(other); });
  }

  std::vector<torch::Tensor> values_;
  std::vector<torch::Tensor> gradients_;
  std::vector<const void*> impls_;
  std::vector<const void*> addresses_;
  std::vector<bool> requires_grad_;
  std::vector<bool> modes_;
  std::vector<c10::IValue> attributes_;
  std::vector<std::string> texts_;
  std::vector<const void*> states_;
  std::string optimizer_;
  std::vector<double> rates_;
  std::vector<const void*> options_;
  std::vector<torch::Tensor> random_;
  bool grad_mode_ = true;
};
