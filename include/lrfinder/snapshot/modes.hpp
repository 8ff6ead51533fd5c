#pragma once

#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/snapshot/restore_errors.hpp>
#include <lrfinder/torch/autocast.hpp>
#include <lrfinder/torch/module.hpp>

namespace lrfinder::detail {

/// The training flag of every submodule of a model: switches between training and evaluation, and
/// restores.
///
/// A submodule that the user set to eval inside a model in training mode stays in eval while the
/// test trains; a model that comes in eval mode as a whole is trained.
class TrainingMode {
 public:
  explicit TrainingMode(ModuleHandle model)
      : model_(std::move(model)), was_training_(model_.is_training()) {
    for (auto& module : model_.self_and_submodules()) {
      const bool on = module.is_training();
      flags_.push_back({std::move(module), on});
    }
  }

  /// Training mode, as the user has set it up.
  void train() {
    if (was_training_) {
      for (auto& [module, on] : flags_) set(module, on);
    } else {
      model_.train(true);
    }
  }

  /// Eval mode for all.
  void evaluate() { model_.train(false); }

  /// Restores the flags, each whatever the others do: a module may override train(). Parents come
  /// first, because setting theirs sets their children's.
  void restore(RestoreErrors& errors) {
    for (auto& flag : flags_) {
      errors.unless("the training flag of a module", [&] { set(flag.module, flag.on); });
    }
  }

 private:
  struct Flag {
    ModuleHandle module;
    bool on;
  };

  static void set(ModuleHandle& module, bool on) {
    if (module.is_training() != on) module.train(on);
  }

  ModuleHandle model_;
  bool was_training_;
  std::vector<Flag> flags_;
};

/// What is registered with a model. What a test adds to it stays: a module may hold it in a member
/// of its own, which would be left behind.
class RegisteredNames {
 public:
  explicit RegisteredNames(ModuleHandle model) : model_(std::move(model)), names_(model_.names()) {}

  /// Warns of what has been added.
  void warn_of_more() const noexcept {
    try {
      std::string more;
      for (const std::string& name : model_.names()) {
        if (names_.count(name) == 0) more += " " + name;
      }
      if (more.empty()) return;
      TORCH_WARN("LRFinder: what the test has added to the model stays:", more);
    } catch (...) {  // no memory for words
    }
  }

 private:
  ModuleHandle model_;
  std::set<std::string> names_;
};

/// The state of the default random generators of the CPU and of one device, where LibTorch gives
/// that one a generator.
class RandomState {
 public:
  explicit RandomState(torch::Device device) {
    save(torch::Device(torch::kCPU));
    if (device.type() != torch::kCPU) save(device);
  }

  /// Whether random numbers have been drawn since.
  bool has_changed() const {
    for (auto [generator, state] : states_) {
      const std::lock_guard<std::mutex> lock(generator.mutex());
      if (!torch::equal(generator.get_state(), state)) return true;
    }
    return false;
  }

  /// The tensors that hold it, for those who read them or give them other values.
  std::vector<torch::Tensor> tensors() const {
    std::vector<torch::Tensor> all;
    for (const auto& [generator, state] : states_) all.push_back(state);
    return all;
  }

  void restore() const {
    for (auto [generator, state] : states_) {
      const std::lock_guard<std::mutex> lock(generator.mutex());
      generator.set_state(state);
    }
  }

 private:
  void save(torch::Device device) {
    at::Generator generator = default_generator(device);
    if (!generator.defined()) return;
    const std::lock_guard<std::mutex> lock(generator.mutex());
    states_.emplace_back(generator, generator.get_state());
  }

  // Undefined where there is none, which LibTorch says by an error. CUDA has one, so that its
  // errors have other reasons.
  static at::Generator default_generator(torch::Device device) {
    try {
      return at::globalContext().defaultGenerator(device);
    } catch (const c10::Error&) {
      if (device.is_cuda()) throw;
      return {};
    }
  }

  std::vector<std::pair<at::Generator, torch::Tensor>> states_;
};

/// Guards the grad mode and the autocast of the calling thread against what user code leaves
/// behind: at the end of its life both are what they were.
class ThreadModes {
 public:
  explicit ThreadModes(torch::Device device) : autocast_(device) {}
  ~ThreadModes() {
    autocast_.restore();
    torch::GradMode::set_enabled(grad_mode_);
  }
  ThreadModes(const ThreadModes&) = delete;
  ThreadModes& operator=(const ThreadModes&) = delete;

 private:
  AutocastState autocast_;
  bool grad_mode_ = torch::GradMode::is_enabled();
};

}  // namespace lrfinder::detail
