#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>

namespace lrfinder::detail {

/// Keeps the batches of the first pass over a loader, ready for the model, so that it need not be
/// read again.
///
/// A tensor that the loader may still write to is copied. Nothing is kept, and the loader is read
/// every time, where the batches take too much memory; where the model or the criterion writes into
/// them; and where they hold sparse tensors, or are of a type whose tensors cannot be seen. Then a
/// warning says so, once.
///
/// LibTorch counts what is written into a tensor, but not through its `data()`. So the bits are
/// compared too: of each batch after its first evaluation, and of all in the 1st, 2nd, 4th, 8th ...
/// pass over what is kept, and at the end.
///
/// A type of your own shows its tensors by a function `tensors_in(const T&)` in its namespace,
/// which returns a vector of them. It is kept as a copy that shares them, so the loader must not
/// write to what it has handed out.
class BatchCache {
 public:
  /// `max_bytes`: 0 keeps nothing.
  explicit BatchCache(std::int64_t max_bytes)
      : max_bytes_(max_bytes), state_(max_bytes > 0 ? State::empty : State::off) {}

  /// Whether a whole pass has been kept.
  bool is_complete() const noexcept { return state_ == State::complete; }

  /// Begins a pass over what is kept. Returns whether that is still what it was; if not, the loader
  /// is to be read.
  bool begin_kept() {
    if (!is_complete()) return false;
    ++passes_;
    const bool is_power_of_two = (passes_ & (passes_ - 1)) == 0;
    return !is_power_of_two || is_unchanged();
  }

  /// Compares what is kept with what it was, and warns where it is not. Returns whether it is.
  bool is_unchanged() {
    for (std::size_t i = 0; i < batches_.size(); ++i) {
      if (batches_[i]->hash() == hashes_[i]) continue;
      disable(
          "the model or the criterion writes into its batches through data(); the last losses that "
          "were recorded may be wrong");
      return false;
    }
    return true;
  }

  /// The batches of that pass.
  const std::vector<std::unique_ptr<AnyBatch>>& batches() const noexcept { return batches_; }

  /// Begins a pass.
  void begin() {
    if (state_ != State::off) clear();
  }

  /// Makes a batch ready to be kept, before its evaluation; after it comes store().
  void detach(AnyBatch& batch) {
    if (state_ == State::off) return;
    const BatchContents contents = batch.contents();
    bytes_ += contents.bytes;
    if (contents.is_opaque) {
      disable(
          "a batch holds sparse tensors, or is of a type that does not show its tensors by a "
          "function tensors_in()");
    } else if (bytes_ > max_bytes_) {
      disable("its batches take more than cache_validation (" + std::to_string(max_bytes_) +
              " bytes)");
    } else if (contents.is_shared && !places_.insert(contents.first_place).second) {
      disable("it writes its batches into the same memory");
    } else {
      batch.detach();
      versions_ = batch.contents().versions;
      hash_ = batch.hash();
    }
  }

  /// Keeps a batch, after its evaluation.
  void store(std::unique_ptr<AnyBatch> batch) {
    if (state_ == State::off) return;
    if (batch->contents().versions != versions_ || batch->hash() != hash_) {
      disable("the model or the criterion writes into its batches");
    } else {
      batches_.push_back(std::move(batch));
      hashes_.push_back(hash_);
    }
  }

  /// Ends a pass that went as far as it should.
  void end() {
    if (state_ != State::off) state_ = State::complete;
  }

 private:
  enum class State { empty, complete, off };

  void disable(const std::string& why) {
    clear();
    state_ = State::off;
    TORCH_WARN("LRFinder: the validation loader is read in every iteration: ", why);
  }

  void clear() {
    batches_.clear();
    hashes_.clear();
    places_.clear();
    bytes_ = 0;
  }

  std::int64_t max_bytes_;
  State state_;
  std::vector<std::unique_ptr<AnyBatch>> batches_;
  std::vector<std::size_t> hashes_;  // by batch
  std::uint64_t passes_ = 0;         // over what is kept
  std::int64_t bytes_ = 0;
  std::vector<std::int64_t> versions_;      // of the batch that is being evaluated
  std::size_t hash_ = 0;                    // of that batch
  std::unordered_set<const void*> places_;  // of the batches that are kept without a copy
};

}  // namespace lrfinder::detail
