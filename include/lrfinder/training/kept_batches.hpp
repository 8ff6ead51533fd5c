#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/snapshot/modes.hpp>

namespace lrfinder::detail {

/// The first batches of a training loader, ready for the model, for trainings that start from the
/// same state and so see the same batches: each is loaded once.
///
/// What loading does to the random state is kept with the batches, so that a training on kept
/// batches draws the random numbers that it would draw with the loader. A tensor that the loader
/// may still write to is copied. Batches that take too much memory are loaded again in every
/// training, and so are all where they cannot be kept: where the model or the criterion writes into
/// them, and where they hold sparse tensors, or are of a type whose tensors cannot be seen. Then a
/// warning says so, once.
class KeptBatches {
 public:
  /// `device`: where the training takes place. `max_bytes`: 0 keeps nothing.
  KeptBatches(torch::Device device, std::int64_t max_bytes)
      : device_(device), max_bytes_(max_bytes), is_open_(max_bytes > 0) {}

  /// Number of batches that are kept.
  std::size_t size() const noexcept { return batches_.size(); }

  /// A batch, with the random state as loading it left it. Null where the model or the criterion
  /// has written into it; then none is kept any longer.
  std::shared_ptr<AnyBatch> at(std::size_t index) {
    const Kept& kept = batches_[index];
    if (kept.batch->contents().versions != kept.versions) {
      close("the model or the criterion writes into its batches");
      batches_.clear();
      return nullptr;
    }
    if (const auto& change = changes_[index]) change->after.restore();
    return kept.batch;
  }

  /// Loads a batch by `load()`, and keeps it where it follows the kept ones and can be kept.
  template <class Load>
  std::shared_ptr<AnyBatch> load(std::size_t index, const Load& load) {
    if (!is_open_ || index != changes_.size()) return load();
    RandomState before(device_);
    std::shared_ptr<AnyBatch> batch = load();
    changes_.emplace_back();
    if (before.has_changed()) changes_.back() = Change{std::move(before), RandomState(device_)};
    keep(batch);
    return batch;
  }

  /// Loads a batch that was loaded before, with the random state that it was loaded in.
  template <class Load>
  void load_again(std::size_t index, const Load& load) const {
    if (const auto& change = changes_[index]) change->before.restore();
    load();
  }

  torch::Device device() const noexcept { return device_; }

 private:
  struct Kept {
    std::shared_ptr<AnyBatch> batch;
    std::vector<std::int64_t> versions;  // each counts what has been written into a tensor
  };
  struct Change {
    RandomState before, after;
  };

  void keep(const std::shared_ptr<AnyBatch>& batch) {
    BatchContents contents = batch->contents();
    if (contents.is_opaque) {
      return close(
          "a batch holds sparse tensors, or is of a type that does not show its tensors by a "
          "function tensors_in()");
    }
    if (contents.is_shared && !places_.insert(contents.first_place).second) {
      batches_.clear();
      return close("it writes its batches into the same memory");
    }
    bytes_ += contents.bytes;
    if (bytes_ > max_bytes_) {
      return close("they take more than cache_training (" + std::to_string(max_bytes_) +
                   " bytes); the first " + std::to_string(batches_.size()) + " are kept");
    }
    batch->detach();
    batches_.push_back({batch, batch->contents().versions});
  }

  void close(const std::string& why) {
    is_open_ = false;
    TORCH_WARN("LRFinder: training batches are loaded again in every trial: ", why);
  }

  torch::Device device_;
  std::int64_t max_bytes_;
  bool is_open_;  // whether more may be kept
  std::vector<Kept> batches_;
  std::vector<std::optional<Change>> changes_;  // of the random state, by loading
  std::int64_t bytes_ = 0;
  std::unordered_set<const void*> places_;  // of the batches that are kept without a copy
};

/// Iterates over the kept batches, and then over those of the loader that follow them.
class KeptBatchIterator final : public AnyBatchIterator {
 public:
  /// `kept` lives as long as this.
  KeptBatchIterator(KeptBatches& kept, std::unique_ptr<AnyBatchIterator> loader)
      : kept_(kept), loader_(std::move(loader)) {}

  void start() override { first_ = next(); }

  std::shared_ptr<AnyBatch> next() override {
    if (first_) return std::exchange(first_, nullptr);
    std::shared_ptr<AnyBatch> batch;
    if (!reads_loader_ && index_ < kept_.size()) batch = kept_.at(index_);
    if (!batch) {
      go_to_loader();
      batch = kept_.load(index_, [this] { return load(); });
    }
    ++index_;
    return batch;
  }

  void for_each(const std::function<bool(std::unique_ptr<AnyBatch>)>& visit) override {
    loader_->for_each(visit);
  }

 private:
  std::shared_ptr<AnyBatch> load() {
    if (!std::exchange(has_started_, true)) loader_->start();
    return loader_->next();
  }

  // Takes the loader past the batches before this one, without a trace in the random state.
  void go_to_loader() {
    if (std::exchange(reads_loader_, true) || index_ == 0) return;
    const RandomState now(kept_.device());
    for (std::size_t i = 0; i < index_; ++i) kept_.load_again(i, [this] { load(); });
    now.restore();
  }

  KeptBatches& kept_;
  std::unique_ptr<AnyBatchIterator> loader_;
  std::shared_ptr<AnyBatch> first_;  // from start() up to the first next()
  std::size_t index_ = 0;            // of the batch after the last one
  bool reads_loader_ = false;
  bool has_started_ = false;
};

}  // namespace lrfinder::detail
