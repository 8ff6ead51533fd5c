#pragma once

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
    }
  }

  /// Keeps a batch, after its evaluation.
  void store(std::unique_ptr<AnyBatch> batch) {
    if (state_ == State::off) return;
    if (batch->contents().versions != versions_) {
      disable("the model or the criterion writes into its batches");
    } else {
      batches_.push_back(std::move(batch));
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
    places_.clear();
    bytes_ = 0;
  }

  std::int64_t max_bytes_;
  State state_;
  std::vector<std::unique_ptr<AnyBatch>> batches_;
  std::int64_t bytes_ = 0;
  std::vector<std::int64_t> versions_;      // of the batch that is being evaluated
  std::unordered_set<const void*> places_;  // of the batches that are kept without a copy
};

}  // namespace lrfinder::detail
