#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/error.hpp>
#include <lrfinder/snapshot/restore_errors.hpp>
#include <lrfinder/snapshot/saved_tensors.hpp>
#include <lrfinder/snapshot/store.hpp>
#include <lrfinder/torch/compatibility.hpp>
#include <lrfinder/torch/device.hpp>
#include <lrfinder/torch/optimizer.hpp>

/// @file
/// What an optimizer remembers: the state of each parameter and the options of each group.

namespace lrfinder::detail {

/// Takes the state from a user's optimizer for as long as this lives. Its save() and load() write
/// and read the state too, as a rule. Where it is of LibTorch's kinds they can do without: it is
/// created when it is first used, and saved apart.
class WithoutState {
 public:
  explicit WithoutState(torch::optim::Optimizer& optimizer) : optimizer_(optimizer) { swap(); }
  ~WithoutState() { swap(); }
  WithoutState(const WithoutState&) = delete;
  WithoutState& operator=(const WithoutState&) = delete;

 private:
  void swap() { optimizer_.state().swap(state_); }

  torch::optim::Optimizer& optimizer_;
  OptimizerState state_;
};

/// The parameter groups, the state and the options of an optimizer as they were.
///
/// The optimizer's own state objects are set aside, and clones work in their place during the test.
/// Clones share their tensors with the originals. Those in LibTorch's own states are saved like any
/// other tensor; the states of users' optimizers are written, and read back, by their
/// serialization, which gives them their values but in new storages.
class SavedOptimizer {
 public:
  /// Saves the optimizer into `store`, and its tensors into `tensors`; both outlive this. Changes
  /// nothing yet.
  ///
  /// Throws SnapshotError when a user's optimizer, options or state lack what cloning needs.
  SavedOptimizer(torch::optim::Optimizer& optimizer, SavedTensors& tensors, SnapshotStore& store,
                 const Placement& placement)
      : optimizer_(&optimizer), store_(&store), placement_(placement) {
    for (const auto& group : optimizer.param_groups()) {
      for (const auto& parameter : group.params()) tensors.save(parameter);
      parameters_.push_back(group.params());
    }
    try {
      for (const auto& group : optimizer.param_groups()) save_options(group.options());
      for (const auto& [parameter, state] : optimizer.state()) {
        other_state_[parameter] = clone(*state, tensors);
      }
      if (!is_libtorchs(optimizer)) save_rest();
    } catch (const c10::Error& error) {
      throw SnapshotError(
          std::string("LRFinder: the optimizer cannot be saved, and so could not be restored. "
                      "An optimizer of your own has to implement LibTorch's serialization: its "
                      "save() and load(), and clone() and serialize() of its options and states. "
                      "LibTorch says: ") +
          error.what_without_backtrace());
    }
  }
  SavedOptimizer(SavedOptimizer&&) = default;
  SavedOptimizer& operator=(SavedOptimizer&&) = default;

  /// Sets the optimizer's own state objects aside; the clones take their place.
  void set_state_aside() { optimizer_->state().swap(other_state_); }

  /// Makes the optimizer what it was, but for what is added to `errors`. The tensors are restored
  /// by the SavedTensors.
  void restore(RestoreErrors& errors) {
    errors.unless("the parameter groups of the optimizer", [&] { restore_groups(); });
    if (rest_) {
      errors.unless("the optimizer's own members", [&] {
        load_archive(*store_, *rest_, {}, [&](auto& archive) { optimizer_->load(archive); });
      });
    }
    optimizer_->state().swap(
        other_state_);  // not by moving, which allocates in LibTorch's hash map
    for (auto& [state, copy] : archived_states_) {
      errors.unless("a state of the optimizer", [&, state = state, copy = copy] {
        load_archive(*store_, copy, {}, [&](auto& archive) { state->serialize(archive); });
      });
    }
    auto& groups = optimizer_->param_groups();
    for (std::size_t i = 0; i < restore_options_.size() && i < groups.size(); ++i) {
      errors.unless("options of the optimizer", [&] { restore_options_[i](groups[i].options()); });
    }
  }

 private:
  using Options = torch::optim::OptimizerOptions;

  // Takes away the groups and parameters that were added.
  void restore_groups() {
    auto& groups = optimizer_->param_groups();
    while (groups.size() > parameters_.size()) groups.pop_back();
    for (std::size_t i = 0; i < groups.size(); ++i) groups[i].params() = parameters_[i];
    if (groups.size() < parameters_.size()) {
      throw SnapshotError("the test has removed parameter groups");
    }
  }

  // The options object stays where it is, because users hold references to it.
  void save_options(const Options& options) {
    if (libtorch_optimizers([&](auto kind) {
          return save_options_as<typename decltype(kind)::Options>(options);
        })) {
      return;
    }
    restore_options_.emplace_back([store = store_, copy = save(options)](Options& target) {
      load_archive(*store, copy, {}, [&](auto& archive) { target.serialize(archive); });
    });
  }

  template <class Known>
  bool save_options_as(const Options& options) {
    if (typeid(options) != typeid(Known)) return false;
    restore_options_.emplace_back([saved = static_cast<const Known&>(options)](Options& target) {
      static_cast<Known&>(target) = saved;
    });
    return true;
  }

  std::unique_ptr<torch::optim::OptimizerParamState> clone(torch::optim::OptimizerParamState& state,
                                                           SavedTensors& tensors) {
    auto copy = state.clone();
    const bool is_known = for_each_state_tensor(*copy, [&](torch::Tensor& tensor) {
      if (tensor.defined() && placement_.moves_tensor(tensor)) {
        tensor = tensor.to(placement_.device);
      } else {
        tensors.save(tensor);
      }
    });
    if (!is_known) {
      archived_states_.emplace_back(&state, save(state));
      if (placement_.moves) {
        load_archive(*store_, archived_states_.back().second, placement_.device,
                     [&](auto& archive) { copy->serialize(archive); });
      }
    }
    return copy;
  }

  template <class Serializable>
  std::size_t save(const Serializable& object) {
    torch::serialize::OutputArchive archive;
    object.serialize(archive);
    return save_archive(*store_, archive);
  }

  void save_rest() {
    torch::serialize::OutputArchive archive;
    {
      std::optional<WithoutState> without_state;
      if (archived_states_.empty()) without_state.emplace(*optimizer_);
      optimizer_->save(archive);
    }
    rest_ = save_archive(*store_, archive);
    load_archive(*store_, *rest_, {}, [](auto& written) {
      TORCH_CHECK(!written.keys().empty(), "save() wrote nothing");
    });
  }

  torch::optim::Optimizer* optimizer_;
  SnapshotStore* store_;
  Placement placement_;
  std::vector<std::vector<torch::Tensor>> parameters_;  // of each group
  std::optional<std::size_t> rest_;
  std::vector<std::pair<torch::optim::OptimizerParamState*, std::size_t>> archived_states_;
  OptimizerState other_state_;  // the clones; during the test the optimizer's own
  std::vector<std::function<void(Options&)>> restore_options_;
};

}  // namespace lrfinder::detail
