#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/snapshot/saved_tensors.hpp>
#include <lrfinder/snapshot/store.hpp>
#include <lrfinder/torch/compatibility.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/torch/optimizer.hpp>

/// @file
/// The snapshot of an optimizer: the state of each parameter and the options of each group.

namespace lrfinder::detail {

/// A serialized object in a snapshot.
class SavedArchive {
 public:
  /// Saves what `write(torch::serialize::OutputArchive&)` writes. `store` must stay alive.
  template <class Write>
  SavedArchive(SnapshotStore& store, Write&& write) : store_(&store) {
    std::string bytes = archived(write);
    size_ = static_cast<std::int64_t>(bytes.size());
    place_ = store.save(torch::from_blob(bytes.data(), {size_}, torch::kByte));
  }

  /// Passes the archive to `read(torch::serialize::InputArchive&)`. Tensors go to `device`, a
  /// torch::Device. Without `device` they go to the device they were saved from. Throws
  /// SnapshotError if the copy cannot be read.
  template <class Read, class... Device>
  void load(Read&& read, Device... device) const {
    const torch::Tensor bytes = torch::empty({size_}, torch::kByte);
    store_->load(place_, bytes);
    torch::serialize::InputArchive archive;
    archive.load_from(static_cast<const char*>(bytes.data_ptr()), bytes.nbytes(), device...);
    read(archive);
  }

 private:
  SnapshotStore* store_;
  std::int64_t size_;
  std::uint64_t place_;
};

/// Removes the state from an optimizer of a user during the lifetime of this object. The save() and
/// load() of such an optimizer usually include the state. If the states are of the classes of
/// LibTorch, they are saved separately, and save() and load() need not handle them.
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

/// The saved parameter groups, state and options of an optimizer.
///
/// The snapshot keeps the state objects of the optimizer, and the test works with clones of them.
/// Clones share their tensors with the originals. Tensors in states of LibTorch's own classes are
/// saved like any other tensor. States of other classes are saved and restored by their
/// serialization, which restores values but may create new tensors.
class SavedOptimizer {
 public:
  /// Saves the optimizer into `store`, and its tensors into `tensors`. Both must outlive this
  /// object. Does not change the optimizer.
  ///
  /// Throws SnapshotError if a user's optimizer, options or state cannot be cloned or serialized.
  SavedOptimizer(torch::optim::Optimizer& optimizer, SavedTensors& tensors, SnapshotStore& store,
                 const DevicePlacement& placement)
      : optimizer_(&optimizer), store_(&store), placement_(placement) {
    try {
      for (const auto& group : optimizer.param_groups()) {
        for (const auto& parameter : group.params()) tensors.save(parameter);
        groups_.push_back({group.params(), saved_options(group.options())});
      }
      for (const auto& [parameter, state] : optimizer.state()) {
        other_state_[parameter] = clone(*state, tensors);
      }
      if (!is_builtin(optimizer)) save_rest();
    } catch (const c10::Error& error) {
      throw SnapshotError(
          concat("LRFinder: the optimizer cannot be saved, and so could not be restored. An "
                 "optimizer of your own has to implement LibTorch's serialization: its save() and "
                 "load(), and clone() and serialize() of its options and states. LibTorch says: ",
                 error.what_without_backtrace()));
    }
  }

  /// Puts the clones in the place of the state objects of the optimizer.
  void set_state_aside() { optimizer_->state().swap(other_state_); }

  /// Restores the optimizer, but not the tensors, which SavedTensors restores. Adds what fails to
  /// `errors`.
  void restore(RestoreErrors& errors) {
    auto& groups = optimizer_->param_groups();
    errors.unless("the parameter groups of the optimizer", [&] {
      while (groups.size() > groups_.size()) groups.pop_back();
      for (std::size_t i = 0; i < groups.size(); ++i) groups[i].params() = groups_[i].parameters;
      if (groups.size() < groups_.size()) {
        throw SnapshotError("the test has removed parameter groups");
      }
    });
    if (rest_) {
      errors.unless("the optimizer's own members",
                    [&] { rest_->load([&](auto& archive) { optimizer_->load(archive); }); });
    }
    set_state_aside();  // swaps the clones out, without an allocation
    for (auto& saved : archived_states_) {
      errors.unless("a state of the optimizer", [&] {
        saved.second.load([&](auto& archive) { saved.first->serialize(archive); });
      });
    }
    for (std::size_t i = 0; i < groups_.size() && i < groups.size(); ++i) {
      errors.unless("options of the optimizer",
                    [&] { groups_[i].restore_options(groups[i].options()); });
    }
  }

 private:
  using Options = torch::optim::OptimizerOptions;
  using State = torch::optim::OptimizerParamState;

  struct Group {
    std::vector<torch::Tensor> parameters;
    std::function<void(Options&)> restore_options;
  };

  // The options object is kept, because users hold references to it.
  std::function<void(Options&)> saved_options(const Options& options) {
    std::function<void(Options&)> restore;
    const bool is_known = libtorch_optimizers([&](auto kind) {
      using Known = typename decltype(kind)::Options;
      if (typeid(options) != typeid(Known)) return false;
      restore = [saved = static_cast<const Known&>(options)](Options& target) {
        static_cast<Known&>(target) = saved;
      };
      return true;
    });
    if (is_known) return restore;
    return [copy = save(options)](Options& target) {
      copy.load([&](auto& archive) { target.serialize(archive); });
    };
  }

  std::unique_ptr<State> clone(State& state, SavedTensors& tensors) {
    auto copy = state.clone();
    const bool is_known = for_each_in_state(*copy, [&](auto& value) {
      if constexpr (std::is_same_v<decltype(value), torch::Tensor&>) {
        if (value.defined() && placement_.moves_tensor(value)) {
          value = value.to(placement_.device);
        } else {
          tensors.save(value);
        }
      }
    });
    if (is_known) return copy;
    const SavedArchive& saved = archived_states_.emplace_back(&state, save(state)).second;
    const auto read = [&](auto& archive) { copy->serialize(archive); };
    if (placement_.moves) saved.load(read, placement_.device);
    return copy;
  }

  template <class Serializable>
  SavedArchive save(const Serializable& object) {
    return {*store_, [&](auto& archive) { object.serialize(archive); }};
  }

  void save_rest() {
    rest_.emplace(*store_, [&](auto& archive) {
      std::optional<WithoutState> without_state;
      if (archived_states_.empty()) without_state.emplace(*optimizer_);
      optimizer_->save(archive);
    });
    rest_->load(
        [](auto& written) { TORCH_CHECK(!written.keys().empty(), "save() wrote nothing"); });
  }

  torch::optim::Optimizer* optimizer_;
  SnapshotStore* store_;
  DevicePlacement placement_;
  std::vector<Group> groups_;
  std::optional<SavedArchive> rest_;
  std::vector<std::pair<State*, SavedArchive>> archived_states_;
  OptimizerState other_state_;  // the clones; during the test, the originals
};

}  // namespace lrfinder::detail
