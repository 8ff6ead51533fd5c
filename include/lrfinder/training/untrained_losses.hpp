#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_set>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/snapshot/random_state.hpp>
#include <lrfinder/snapshot/saved_attributes.hpp>
#include <lrfinder/torch/compatibility.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/training/batch_gradients.hpp>
#include <lrfinder/training/evaluation.hpp>
#include <lrfinder/training/training_settings.hpp>

namespace lrfinder::detail {

/// A copy of everything that a training changes in the model, from before the training. While it is
/// in use, the tensors of the model have these values.
///
/// Not the tensors are exchanged but the memory below them. So views and tied weights stay what
/// they are. Buffers that a forward pass changes go on in the copy, as in a model whose learning
/// rate is 0.
class StartingWeights {
 public:
  /// Copies the present values. Throws Error if a tensor has no memory that can be exchanged, or if
  /// the copies would take more than half of the free memory.
  explicit StartingWeights(const TrainedObjects& trained) {
    const torch::NoGradGuard without_gradients;
    AttributeCopies copies;
    const auto copy = [this](const torch::Tensor& tensor) { return add(tensor), tensor; };
    for (const ModuleHandle& module : trained.modules) {
      module.each_parameter(copy);
      module.each_buffer(copy);
      module.each_script_object([&](const Object& object) {
        if (!seen_.insert(object.get()).second) return;  // a module may be named twice
        for (std::size_t slot = 0; slot < object->slots().size(); ++slot) {
          attributes_.push_back({object, slot, copy_of(object->getSlot(slot), copies, copy)});
        }
      });
    }
    for (const torch::optim::Optimizer* optimizer : trained.optimizers) {
      for (const auto& group : optimizer->param_groups()) {
        for (const torch::Tensor& parameter : group.params()) add(parameter);
      }
    }
    for (torch::Tensor* variable : trained.variables) {
      add(*variable);
      variables_.emplace_back(variable, *variable);
    }
    std::int64_t bytes = 0;
    for (const auto& each : storages_) bytes += static_cast<std::int64_t>(each.first.nbytes());
    if (bytes > 0 && bytes > free_memory(storages_.front().first.device()) / 2) {
      throw Error(concat("a second copy of the weights (", bytes,
                         " bytes) would take more than half of the free memory"));
    }
    for (auto& [present, other] : storages_) other = bytes_of(present).clone().storage();
  }

  /// Whether all tensors still lie in the memory in which they were copied. No longer after a
  /// set_data() or a resize.
  bool are_in_place() const {
    return std::all_of(tensors_.begin(), tensors_.end(), [](const auto& placed) {
      const auto& [tensor, original] = placed;
      return tensor.is_alias_of(original) && tensor.storage_offset() == original.storage_offset() &&
             tensor.sizes() == original.sizes() && tensor.strides() == original.strides();
    });
  }

  /// Puts all tensors back into that memory.
  void put_in_place() const {
    for (const auto& [tensor, original] : tensors_) tensor.set_data(original);
  }

  /// During its lifetime, the model has the starting weights and no gradients.
  class InUse {
   public:
    explicit InUse(StartingWeights& weights) : weights_(weights) {
      for (const auto& placed : weights.tensors_) {
        const torch::Tensor& tensor = placed.first;
        gradients_.push_back(tensor.is_leaf() ? tensor.grad() : torch::Tensor());
      }
      exchange_gradients();
      weights_.exchange();
    }
    InUse(const InUse&) = delete;
    InUse& operator=(const InUse&) = delete;
    ~InUse() {
      weights_.exchange();
      exchange_gradients();
    }

   private:
    // A loss that needs gradients may leave some in the model.
    void exchange_gradients() noexcept {
      for (std::size_t i = 0; i < gradients_.size(); ++i) {
        const torch::Tensor& tensor = weights_.tensors_[i].first;
        if (tensor.is_leaf()) tensor.mutable_grad() = is_aside_ ? gradients_[i] : torch::Tensor();
      }
      is_aside_ = !is_aside_;
    }

    StartingWeights& weights_;
    std::vector<torch::Tensor> gradients_;
    bool is_aside_ = false;
  };

 private:
  using Object = c10::intrusive_ptr<c10::ivalue::Object>;

  // An attribute of a TorchScript module, and its other value.
  struct Attribute {
    Object object;
    std::size_t slot;
    c10::IValue other;
  };

  void add(const torch::Tensor& tensor) {
    if (!tensor.defined() || !seen_.insert(tensor.unsafeGetTensorImpl()).second) return;
    if (tensor.layout() != torch::kStrided || !tensor.has_storage()) {
      throw Error("a tensor of the model is not strided");
    }
    tensors_.emplace_back(tensor, tensor.variable_data());
    const at::Storage& storage = tensor.storage();
    if (!seen_.insert(storage.unsafeGetStorageImpl()).second || storage.nbytes() == 0) return;
    storages_.emplace_back(storage, at::Storage());
  }

  static torch::Tensor bytes_of(const at::Storage& storage) {
    const auto size = static_cast<std::int64_t>(storage.nbytes());
    torch::Tensor bytes = torch::empty({0}, torch::device(storage.device()).dtype(torch::kByte));
    return bytes.set_(storage, 0, {size}, {1});
  }

  void exchange() noexcept {
    for (auto& [present, other] : storages_) {
      const std::size_t size = present.nbytes();
      present.set_nbytes(other.nbytes());
      other.set_nbytes(size);
      at::DataPtr of_present = present.set_data_ptr(at::DataPtr());
      present.set_data_ptr_noswap(other.set_data_ptr(at::DataPtr()));
      other.set_data_ptr_noswap(std::move(of_present));
    }
    for (auto& [object, slot, other] : attributes_) {
      c10::IValue present = object->getSlot(slot);
      object->setSlot(slot, std::exchange(other, std::move(present)));
    }
    for (auto& [variable, other] : variables_) std::swap(*variable, other);
  }

  std::vector<std::pair<torch::Tensor, torch::Tensor>> tensors_;  // with their places
  std::vector<std::pair<at::Storage, at::Storage>> storages_;
  std::vector<Attribute> attributes_;
  std::vector<std::pair<torch::Tensor*, torch::Tensor>> variables_;  // and their other tensors
  std::unordered_set<const void*> seen_;
};

/// Measures, in the middle of a training, the losses of batches at the weights that the training
/// started from: in training mode, and with the random numbers that the batch's loss draws next.
class UntrainedLosses {
 public:
  /// To be made before the first update. `settings` must outlive the object.
  UntrainedLosses(const TrainedObjects& trained, const TrainingSettings& settings)
      : weights_(trained), settings_(settings) {}

  /// Returns the loss of a batch. Changes neither the batch nor the random state. Undefined if the
  /// model's tensors have been moved, by the training or by this evaluation.
  torch::Tensor of(AnyBatch& batch) {
    if (!weights_.are_in_place()) return {};
    const RandomState random(settings_.placement.device);
    // The model may write into a batch. Copies of the first ones show whether it does.
    const bool is_tried = tried_ < most_tried;
    std::shared_ptr<AnyBatch> copy;
    torch::Tensor loss;
    {
      BatchGradients gradients;
      gradients.save(batch);
      const StartingWeights::InUse in_use(weights_);  // also of a batch that the optimizer trains
      if (is_tried || writes_into_batches_) copy = batch.copy();
      loss = evaluate_only(copy ? *copy : batch, settings_, random, needs_gradients_);
    }
    random.restore();
    if (is_tried) {
      ++tried_;
      if (copy->tensors().hash() != batch.tensors().hash()) writes_into_batches_ = true;
    }
    if (weights_.are_in_place()) return loss;
    weights_.put_in_place();
    return {};
  }

 private:
  static constexpr int most_tried = 16;

  StartingWeights weights_;
  const TrainingSettings& settings_;
  bool needs_gradients_ = false;
  int tried_ = 0;  // copied batches, to see whether the model writes into them
  bool writes_into_batches_ = false;
};

}  // namespace lrfinder::detail
