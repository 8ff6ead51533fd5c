#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/training/batch.hpp>

namespace lrfinder::training {

/// Keeps the batches of a loader from its first walk, ready for the model, so that it need not be
/// walked again.
///
/// A tensor that the loader may still write to is copied. Nothing is kept, and the loader is walked
/// every time, where the batches take too much memory; where the model or the criterion writes into
/// them; and where they are of a type whose tensors cannot be seen. Then a warning says so, once.
///
/// A type of your own shows its tensors by a function `tensors_in(const T&)` in its namespace,
/// which returns a vector of them. It is kept as a copy that shares them, so the loader must not
/// write to what it has handed out.
template <class Batch>
class BatchCache {
 public:
  /// `most_bytes`: 0 keeps nothing.
  explicit BatchCache(std::int64_t most_bytes)
      : most_bytes_(most_bytes), state_(most_bytes > 0 ? State::empty : State::off) {}

  /// Whether a whole walk has been kept.
  bool is_complete() const noexcept { return state_ == State::complete; }

  /// The batches of that walk.
  const std::vector<Batch>& batches() const noexcept { return batches_; }

  /// Begins a walk.
  void begin() {
    if (state_ != State::off) clear();
  }

  /// The batch to evaluate in place of `batch`, which goes to keep() afterwards.
  Batch owned(Batch batch) {
    if (state_ == State::off) return batch;
    const Contents contents(batch);
    bytes_ += contents.bytes;
    if (contents.is_opaque) {
      give_up("a batch does not show its tensors; give its type a function tensors_in()");
    } else if (bytes_ > most_bytes_) {
      give_up("its batches take more than cache_validation (" + std::to_string(most_bytes_) +
              " bytes)");
    } else if (contents.is_shared && !places_.insert(contents.first_place).second) {
      give_up("it writes its batches into the same memory");
    } else {
      batch = with_leaves(batch, [](const auto& leaf) {
        if constexpr (std::is_same_v<std::decay_t<decltype(leaf)>, torch::Tensor>) {
          return is_owned(leaf) ? leaf : leaf.clone();
        } else {
          return leaf;
        }
      });
      versions_ = Contents(batch).versions;
    }
    return batch;
  }

  /// Keeps a batch after its evaluation.
  void keep(const Batch& batch) {
    if (state_ == State::off) return;
    if (Contents(batch).versions != versions_) {
      give_up("the model or the criterion writes into its batches");
    } else {
      batches_.push_back(batch);
    }
  }

  /// Ends a walk that went as far as it should.
  void end() {
    if (state_ != State::off) state_ = State::complete;
  }

 private:
  enum class State { empty, complete, off };

  // What is in a batch, as far as it can be seen.
  struct Contents {
    explicit Contents(const Batch& batch) {
      with_leaves(batch, [this](const auto& leaf) {
        using Leaf = std::decay_t<decltype(leaf)>;
        if constexpr (std::is_same_v<Leaf, torch::Tensor>) {
          add(leaf);
        } else if constexpr (traits::has_tensors_in<Leaf>::value) {
          for (const torch::Tensor& tensor : tensors_in(leaf)) add(tensor);
          is_shared = true;
        } else {
          is_opaque = is_opaque || !(std::is_arithmetic_v<Leaf> || std::is_enum_v<Leaf> ||
                                     std::is_same_v<Leaf, std::string>);
        }
        return leaf;
      });
    }

    void add(const torch::Tensor& tensor) {
      if (!tensor.defined()) return;
      if (tensor.layout() != torch::kStrided) {
        is_opaque = true;
        return;
      }
      bytes += static_cast<std::int64_t>(tensor.nbytes());
      versions.push_back(tensor.is_inference() ? 0 : tensor._version());
      if (!first_place) first_place = tensor.data_ptr();
    }

    std::int64_t bytes = 0;
    std::vector<std::int64_t> versions;  // each counts what has been written into a tensor
    const void* first_place = nullptr;
    bool is_opaque = false;
    bool is_shared = false;  // kept without a copy
  };

  // Whether nobody else holds the tensor or its memory, which LibTorch has allocated.
  static bool is_owned(const torch::Tensor& tensor) {
    return !tensor.defined() || (tensor.use_count() == 1 && tensor.storage().use_count() == 1 &&
                                 tensor.storage().allocator() != nullptr);
  }

  void give_up(const std::string& why) {
    clear();
    state_ = State::off;
    TORCH_WARN("range_test: the validation loader is walked in every iteration: ", why);
  }

  void clear() {
    batches_.clear();
    places_.clear();
    bytes_ = 0;
  }

  std::int64_t most_bytes_;
  State state_;
  std::vector<Batch> batches_;
  std::int64_t bytes_ = 0;
  std::vector<std::int64_t> versions_;      // of the batch that is being evaluated
  std::unordered_set<const void*> places_;  // of the batches that are kept without a copy
};

}  // namespace lrfinder::training
