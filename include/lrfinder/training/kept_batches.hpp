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

/// A place in a loader.
struct LoaderPosition {
  explicit LoaderPosition(std::unique_ptr<AnyBatchIterator> iterator)
      : batches(std::move(iterator)) {}

  /// The next batch; the first one after starting.
  std::shared_ptr<AnyBatch> next() {
    if (count++ == 0) batches->start();
    return batches->next();
  }

  std::unique_ptr<AnyBatchIterator> batches;
  std::size_t count = 0;  // of batches that it has yielded
};

/// The first batches of a training loader, ready for the model, for trainings that start from the
/// same state and so see the same batches: each is loaded once, by a loader that stays where the
/// longest of these trainings has come to.
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
    if (kept.batch->contents().versions != kept.versions ||
        hash_of(kept.batch, index) != kept.hash) {
      close("the model or the criterion writes into its batches");
      batches_.clear();
      return nullptr;
    }
    if (const auto& change = changes_[index]) change->after.restore();
    return kept.batch;
  }

  /// The loader behind the kept batches, where it stands at this one; `loader` becomes it where
  /// nothing was loaded yet. Otherwise null.
  LoaderPosition* loader_at(std::size_t index, LoaderPosition& loader) {
    if (!is_open_) {
      behind_.reset();  // some loaders can be in one pass only at a time
      return nullptr;
    }
    if (!behind_) behind_.emplace(std::move(loader.batches));
    return behind_->count == index ? &*behind_ : nullptr;
  }

  /// Loads the batch of this index, and keeps it where it follows the kept ones and can be kept.
  std::shared_ptr<AnyBatch> load(std::size_t index, LoaderPosition& loader) {
    if (!is_open_ || index != changes_.size()) return loader.next();
    RandomState before(device_);
    std::shared_ptr<AnyBatch> batch = loader.next();
    changes_.emplace_back();
    if (before.has_changed()) changes_.back() = Change{std::move(before), RandomState(device_)};
    keep(batch);
    return batch;
  }

  /// Takes a loader past the first `count` batches, each with the random state that it was loaded
  /// in, and without a trace in the random state.
  void load_again(std::size_t count, LoaderPosition& loader) const {
    if (count == 0) return;
    const RandomState now(device_);
    for (std::size_t i = 0; i < count; ++i) {
      if (const auto& change = changes_[i]) change->before.restore();
      loader.next();
    }
    now.restore();
  }

 private:
  struct Kept {
    std::shared_ptr<AnyBatch> batch;
    std::vector<std::int64_t> versions;  // each counts what has been written into a tensor
    std::size_t hash;                    // sees what is written through data()
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
    batches_.push_back({batch, batch->contents().versions, hash_of(batch, batches_.size())});
  }

  // Of every 16th batch, the first included: to read all would take a tenth of a small training.
  static std::size_t hash_of(const std::shared_ptr<AnyBatch>& batch, std::size_t index) {
    return index % 16 == 0 ? batch->hash() : 0;
  }

  void close(const std::string& why) {
    is_open_ = false;
    TORCH_WARN("LRFinder: training batches are loaded again in every trial: ", why);
  }

  torch::Device device_;
  std::int64_t max_bytes_;
  bool is_open_;  // whether more may be kept
  std::optional<LoaderPosition> behind_;
  std::vector<Kept> batches_;
  std::vector<std::optional<Change>> changes_;  // of the random state, by loading
  std::int64_t bytes_ = 0;
  std::unordered_set<const void*> places_;  // of the batches that are kept without a copy
};

/// Iterates over the kept batches, and then over those of the loader that follow them.
class KeptBatchIterator final : public AnyBatchIterator {
 public:
  /// `loader`: an iterator over all batches. `kept` lives as long as this.
  KeptBatchIterator(KeptBatches& kept, std::unique_ptr<AnyBatchIterator> loader)
      : kept_(kept), own_(std::move(loader)) {}

  void start() override { first_ = next(); }

  std::shared_ptr<AnyBatch> next() override {
    if (first_) return std::exchange(first_, nullptr);
    std::shared_ptr<AnyBatch> batch;
    if (!loader_ && index_ < kept_.size()) batch = kept_.at(index_);
    if (!batch) {
      if (!loader_) go_to_loader();
      batch = kept_.load(index_, *loader_);
    }
    ++index_;
    return batch;
  }

  void for_each(const std::function<bool(std::unique_ptr<AnyBatch>)>& visit) override {
    own_.batches->for_each(visit);
  }

 private:
  void go_to_loader() {
    loader_ = kept_.loader_at(index_, own_);
    if (loader_) return;
    loader_ = &own_;
    kept_.load_again(index_, own_);
  }

  KeptBatches& kept_;
  LoaderPosition own_;
  LoaderPosition* loader_ = nullptr;  // where the batches come from, once they are not kept ones
  std::shared_ptr<AnyBatch> first_;   // from start() up to the first next()
  std::size_t index_ = 0;             // of the batch after the last one
};

}  // namespace lrfinder::detail
