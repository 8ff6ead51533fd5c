#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/curve/error.hpp>
#include <lrfinder/training/compatibility.hpp>
#include <lrfinder/training/placement.hpp>
#include <lrfinder/training/saved_tensors.hpp>

/// @file
/// What an optimizer remembers: the state of each parameter and the options of each group.

namespace lrfinder::training {

/// True for an optimizer that is exactly one of LibTorch's own, not a class derived from one.
inline bool is_libtorchs(const torch::optim::Optimizer& optimizer) {
  using namespace torch::optim;
  const std::type_info& type = typeid(optimizer);
  return type == typeid(SGD) || type == typeid(Adam) || type == typeid(AdamW) ||
         type == typeid(RMSprop) || type == typeid(Adagrad) || type == typeid(LBFGS);
}

/// Calls `visit(torch::Tensor&)` with every tensor in the state of one parameter. Returns false
/// for a state that is none of LibTorch's own.
template <class Visit>
bool each_state_tensor(torch::optim::OptimizerParamState& state, Visit&& visit) {
  using namespace torch::optim;
  const auto adam = [&](auto& moments) {
    visit(moments.exp_avg());
    visit(moments.exp_avg_sq());
    visit(moments.max_exp_avg_sq());
  };
  const std::type_info& type = typeid(state);
  if (type == typeid(SGDParamState)) {
    visit(static_cast<SGDParamState&>(state).momentum_buffer());
  } else if (type == typeid(AdamParamState)) {
    adam(static_cast<AdamParamState&>(state));
  } else if (type == typeid(AdamWParamState)) {
    adam(static_cast<AdamWParamState&>(state));
  } else if (type == typeid(RMSpropParamState)) {
    auto& averages = static_cast<RMSpropParamState&>(state);
    visit(averages.square_avg());
    visit(averages.momentum_buffer());
    visit(averages.grad_avg());
  } else if (type == typeid(AdagradParamState)) {
    visit(static_cast<AdagradParamState&>(state).sum());
  } else if (type == typeid(LBFGSParamState)) {
    auto& memory = static_cast<LBFGSParamState&>(state);
    visit(memory.d());
    visit(memory.H_diag());
    visit(memory.prev_flat_grad());
    for (auto* column : {&memory.old_dirs(), &memory.old_stps(), &memory.ro()}) {
      for (auto& tensor : *column) visit(tensor);
    }
    if (memory.al()) {
      for (auto& tensor : *memory.al()) visit(tensor);
    }
  } else {
    return false;
  }
  return true;
}

/// Writes an object (an optimizer, its options, its state) by LibTorch's serialization.
template <class Write>
std::string archived(Write&& write) {
  torch::serialize::OutputArchive archive;
  write(archive);
  std::ostringstream bytes;
  archive.save_to(bytes);
  return bytes.str();
}

/// Reads back what archived() wrote; tensors go to `device` or, without one, where they were.
template <class Read>
void unarchive(const std::string& bytes, std::optional<torch::Device> device, Read&& read) {
  torch::serialize::InputArchive archive;
  std::istringstream stream(bytes);
  if (device) {
    archive.load_from(stream, *device);
  } else {
    archive.load_from(stream);
  }
  read(archive);
}

/// The state and the options of an optimizer as they were.
///
/// The optimizer's own state objects are set aside, and clones work in their place during the test.
/// Clones share their tensors with the originals. Those in LibTorch's own states are saved like any
/// other tensor; the states of users' optimizers are written, and read back, by their
/// serialization, which gives them their values but in new storages.
class SavedOptimizer {
 public:
  /// Saves the optimizer, and its tensors into `tensors`. Changes nothing yet.
  ///
  /// Throws SnapshotError when a user's optimizer, options or state lack what cloning needs.
  SavedOptimizer(torch::optim::Optimizer& optimizer, SavedTensors& tensors,
                 const Placement& placement)
      : optimizer_(&optimizer), placement_(placement) {
    try {
      for (const auto& group : optimizer.param_groups()) {
        for (const auto& parameter : group.params()) tensors.save(parameter);
        save_options(group.options());
      }
      for (const auto& [parameter, state] : optimizer.state()) {
        other_state_[parameter] = clone(*state, tensors);
      }
      if (!is_libtorchs(optimizer)) {
        archive_ = archived([&](auto& archive) { optimizer.save(archive); });
        unarchive(archive_, {}, [](auto& archive) {
          TORCH_CHECK(!archive.keys().empty(), "save() wrote nothing");
        });
      }
    } catch (const c10::Error& error) {
      throw SnapshotError(
          std::string("range_test: the optimizer cannot be saved, and so could not be given back. "
                      "An optimizer of your own has to implement LibTorch's serialization: its "
                      "save() and load(), and clone() and serialize() of its options and states. "
                      "LibTorch says: ") +
          error.what_without_backtrace());
    }
  }
  SavedOptimizer(SavedOptimizer&&) = default;
  SavedOptimizer& operator=(SavedOptimizer&&) = default;

  /// Sets the optimizer's own state objects aside; the clones take their place.
  void set_state_aside() { std::swap(other_state_, optimizer_->state()); }

  /// Makes the optimizer what it was. The tensors are restored by the SavedTensors.
  void restore() {
    if (!archive_.empty()) {
      unarchive(archive_, {}, [&](auto& archive) { optimizer_->load(archive); });
    }
    optimizer_->state() = std::move(other_state_);
    for (auto& [state, bytes] : archived_states_) {
      unarchive(bytes, {}, [state = state](auto& archive) { state->serialize(archive); });
    }
    auto& groups = optimizer_->param_groups();
    for (std::size_t i = 0; i < restore_options_.size() && i < groups.size(); ++i) {
      restore_options_[i](groups[i].options());
    }
  }

 private:
  using Options = torch::optim::OptimizerOptions;

  // The options object stays where it is, because users hold references to it.
  void save_options(const Options& options) {
    using namespace torch::optim;
    if (save_options_as<SGDOptions>(options) || save_options_as<AdamOptions>(options) ||
        save_options_as<AdamWOptions>(options) || save_options_as<RMSpropOptions>(options) ||
        save_options_as<AdagradOptions>(options) || save_options_as<LBFGSOptions>(options)) {
      return;
    }
    restore_options_.emplace_back(
        [bytes = archived([&](auto& archive) { options.serialize(archive); })](Options& target) {
          unarchive(bytes, {}, [&](auto& archive) { target.serialize(archive); });
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
    const bool is_known = each_state_tensor(*copy, [&](torch::Tensor& tensor) {
      if (tensor.defined() && placement_.moves_tensor(tensor)) {
        tensor = tensor.to(placement_.device);
      } else {
        tensors.save(tensor);
      }
    });
    if (!is_known) {
      std::string bytes = archived([&](auto& archive) { state.serialize(archive); });
      if (placement_.moves) {
        unarchive(bytes, placement_.device, [&](auto& archive) { copy->serialize(archive); });
      }
      archived_states_.emplace_back(&state, std::move(bytes));
    }
    return copy;
  }

  torch::optim::Optimizer* optimizer_;
  Placement placement_;
  std::string archive_;  // of a user's optimizer, for what it keeps outside state()
  std::vector<std::pair<torch::optim::OptimizerParamState*, std::string>> archived_states_;
  OptimizerState other_state_;  // the clones; during the test the optimizer's own
  std::vector<std::function<void(Options&)>> restore_options_;
};

}  // namespace lrfinder::training
