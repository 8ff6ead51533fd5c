#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/snapshot/random_state.hpp>
#include <lrfinder/training/batch_gradients.hpp>

namespace lrfinder::detail {

/// Keeps batches, ready for the model, so that they are not loaded again.
///
/// The cache keeps copies, because the loader may write to a batch again. After one batch that
/// cannot be kept, no more are kept. A batch cannot be kept if it takes too much memory, requires
/// gradients, holds sparse tensors, or is of a type whose tensors cannot be seen. If something
/// writes into a kept batch, all are dropped. A warning says so once.
///
/// LibTorch counts the writes into a tensor, but not those through `data()`. So the cache also
/// compares the bits of each batch before the first two uses, and those of every 16th batch before
/// each use. To compare always all would take 2 to 4 % of the time of a small training.
///
/// A type of your own shows its tensors by a function `tensors_in(const T&)` in its namespace,
/// which returns a vector of them. A copy of such a batch shares its tensors, so the loader must
/// not write to batches that it has returned.
class BatchCache {
 public:
  /// `max_bytes`: 0 keeps nothing, without a warning. `option`: the name of the option that sets
  /// the limit. `consequence`: what happens if batches cannot be kept. Both are for the warning.
  BatchCache(std::int64_t max_bytes, const char* option, const char* consequence)
      : max_bytes_(max_bytes),
        option_(option),
        consequence_(consequence),
        is_open_(max_bytes > 0) {}

  /// Whether all batches that were added are kept.
  bool is_open() const noexcept { return is_open_; }

  /// Number of batches that are kept.
  std::size_t size() const noexcept { return kept_.size(); }

  /// Keeps a copy of a batch, if possible.
  void add(const std::shared_ptr<AnyBatch>& batch) {
    if (!is_open_) return;
    const std::string obstacle = obstacle_to(batch->tensors());
    if (!obstacle.empty()) return close(obstacle);
    const auto copy = batch->copy();
    kept_.push_back({copy, state_of(*copy, /*with_bits=*/true)});
  }

  /// Returns a kept batch. If the batch has changed, returns null and drops all batches.
  std::shared_ptr<AnyBatch> at(std::size_t index) {
    auto& [batch, state, uses] = kept_[index];
    const bool is_sample = index % 16 == 0;
    if (state_of(*batch, /*with_bits=*/uses < 2 || is_sample) != state) {
      close("the model, the criterion or the loader writes into its batches");
      clear();
      return nullptr;
    }
    if (++uses == 2 && !is_sample) state = state_of(*batch, /*with_bits=*/false);
    return batch;
  }

  void clear() {
    kept_.clear();
    bytes_ = 0;
  }

 private:
  struct Kept {
    std::shared_ptr<AnyBatch> batch;
    std::size_t state;
    int uses = 0;
  };

  // A number that changes if something writes into the batch. Without bits, only if LibTorch counts
  // the write.
  static std::size_t state_of(const AnyBatch& batch, bool with_bits) {
    const VisibleTensors visible = batch.tensors();
    return visible.writes + (with_bits ? visible.hash() : 0);
  }

  // Returns why a batch cannot be kept; empty if it can.
  std::string obstacle_to(const VisibleTensors& visible) {
    if (!visible.are_all) {
      return "a batch holds sparse tensors, or its type has no function tensors_in(), which shows "
             "its tensors";
    }
    if (visible.require_grad) return "a batch requires gradients";
    bytes_ += visible.bytes;
    if (bytes_ <= max_bytes_) return "";
    return "the first " + std::to_string(size() + 1) + " batches take more than " + option_ + " (" +
           std::to_string(max_bytes_) + " bytes)";
  }

  void close(const std::string& why) {
    is_open_ = false;
    TORCH_WARN("LRFinder: ", consequence_, ": ", why);
  }

  std::int64_t max_bytes_;
  const char* option_;
  const char* consequence_;
  bool is_open_;
  std::vector<Kept> kept_;
  std::int64_t bytes_ = 0;
};

/// The batches of a training loader, for several trainings in turn. All trainings start from the
/// same state, so they see the same batches. The first batches are kept. One iterator stays where
/// the longest training has stopped.
///
/// The change of the random state by loading a batch is kept, too. So a training on kept batches
/// draws the same random numbers as with the loader.
class TrainingBatches {
 public:
  /// `device`: where the trainings take place. `max_bytes`: 0 keeps nothing. The loader must
  /// outlive this object.
  TrainingBatches(const AnyLoader& loader, torch::Device device, std::int64_t max_bytes)
      : loader_(loader),
        device_(device),
        cache_(max_bytes, "cache_training",
               "training batches are loaded again in every trial, and a stream yields others") {}

  /// Begins a training: goes to its first batch. Throws EmptyLoader if there is none.
  void start() {
    index_ = 0;
    passed_over_ = 0;
    first_ = nullptr;
    first_ = next();
  }

  /// Returns the next batch. After the last batch of the loader comes the first again.
  std::shared_ptr<AnyBatch> next() {
    if (first_) return std::exchange(first_, nullptr);
    std::shared_ptr<AnyBatch> batch = next_of_all();
    for (; left_out_.count(last_index()) > 0; batch = next_of_all()) ++passed_over_;
    return batch;
  }

  /// The number of the batch that next() returned last, in the order of the loader, from 0.
  std::int64_t last_index() const { return static_cast<std::int64_t>(index_) - 1; }

  /// Leaves out the last batch, in this training and in all later ones.
  ///
  /// Throws BadBatch if more than half of many batches were left out.
  void leave_out_last() {
    constexpr std::size_t many = 100;
    left_out_.insert(last_index());
    ++passed_over_;
    if (left_out_.size() > many && 2 * left_out_.size() > index_) {
      throw BadBatch(concat("LRFinder: more than half of the first ", index_,
                            " batches have a loss that is not finite before any update; look at "
                            "the data, the criterion and the weights of the model"),
                     last_index());
    }
  }

  /// How many batches have been left out in all trainings together, each counted once.
  std::size_t left_out() const { return left_out_.size(); }

  /// How many batches this training has left out.
  std::int64_t passed_over() const { return passed_over_; }

  /// Ends a training. If batches are kept, the iterator stays where it is for the next training.
  void stop() {
    gradients_.restore();
    if (!cache_.is_open()) iterator_ = nullptr;
  }

 private:
  struct Change {
    RandomState before, after;
  };

  std::shared_ptr<AnyBatch> next_of_all() {
    std::shared_ptr<AnyBatch> batch;
    if (index_ < cache_.size()) batch = cache_.at(index_);
    if (!batch) {
      batch = load();
    } else if (const auto& change = changes_[index_]) {
      change->after.restore();
    }
    ++index_;
    gradients_.save(*batch);
    return batch;
  }

  std::shared_ptr<AnyBatch> load() {
    if (!iterator_ || loaded_ != index_) go_to(index_);
    if (!cache_.is_open()) return load_next();
    RandomState before(device_);
    auto batch = load_next();
    std::optional<Change> change;
    if (before.has_changed()) change = Change{std::move(before), RandomState(device_)};
    changes_.reserve(changes_.size() + 1);
    cache_.add(batch);
    changes_.push_back(std::move(change));
    return batch;
  }

  // Loads the first `count` batches once more, each from the random state in which it was loaded
  // before. Then restores the present random state.
  void go_to(std::size_t count) {
    iterator_ = nullptr;  // some loaders allow only one pass at a time
    iterator_ = loader_.iterate(device_);
    loaded_ = 0;
    if (count == 0) return;
    const RandomState now(device_);
    while (loaded_ < count) {
      if (const auto& change = changes_[loaded_]) change->before.restore();
      load_next();
    }
    now.restore();
  }

  std::shared_ptr<AnyBatch> load_next() {
    ++loaded_;
    return iterator_->next();
  }

  const AnyLoader& loader_;
  torch::Device device_;
  BatchCache cache_;
  BatchGradients gradients_;
  std::vector<std::optional<Change>> changes_;  // of the random state, for each batch
  std::unique_ptr<AnyBatchIterator> iterator_;
  std::size_t loaded_ = 0;           // by the iterator
  std::size_t index_ = 0;            // of the next batch of this training
  std::shared_ptr<AnyBatch> first_;  // set from start() to the first next()
  std::set<std::int64_t> left_out_;  // numbers of batches
  std::int64_t passed_over_ = 0;     // by this training
};

/// The batches of a validation loader, for several passes in turn. The first pass keeps them.
class ValidationBatches {
 public:
  /// `max_batches`: maximum number of batches in a pass. `max_bytes`: 0 keeps nothing. The loader
  /// must outlive this object.
  ValidationBatches(const AnyLoader& loader, torch::Device device, std::int64_t max_batches,
                    std::int64_t max_bytes)
      : loader_(loader),
        device_(device),
        max_batches_(max_batches),
        cache_(max_bytes, "cache_validation", "the validation loader is read in every iteration") {}

  /// Begins passes: goes to the first batch, unless all batches are kept. Throws EmptyLoader if
  /// there is none.
  void start() {
    iterator_ = loader_.iterate(device_);
    if (!are_kept_) iterator_->start();
  }

  /// Ends passes.
  void stop() { iterator_ = nullptr; }

  /// Calls `use` with every batch of one pass.
  template <class Visit>
  void for_each(const Visit& use) {
    BatchGradients gradients;
    const auto visit = [&](AnyBatch& batch) {
      gradients.save(batch);
      use(batch);
    };
    if (are_kept_) {
      std::vector<std::shared_ptr<AnyBatch>> kept;
      while (kept.size() < cache_.size()) kept.push_back(cache_.at(kept.size()));
      if (cache_.size() > 0) {
        for (const auto& batch : kept) visit(*batch);
        return;
      }
    }
    cache_.clear();
    constexpr std::int64_t many = 10000;
    std::int64_t seen = 0;
    iterator_->for_each([&](const std::shared_ptr<AnyBatch>& batch) {
      cache_.add(batch);
      visit(*batch);
      if (++seen == many && !warned_of_many_ && seen < max_batches_) {
        warned_of_many_ = true;
        TORCH_WARN("LRFinder: the validation loader has yielded ", many,
                   " batches in one pass, and goes on; if it has no end, or if this takes too "
                   "long, set TrainingOptions().val_batches()");
      }
      return seen < max_batches_;
    });
    are_kept_ = cache_.is_open();
    if (!are_kept_) cache_.clear();
  }

 private:
  const AnyLoader& loader_;
  torch::Device device_;
  std::int64_t max_batches_;
  BatchCache cache_;
  std::unique_ptr<AnyBatchIterator> iterator_;
  bool are_kept_ = false;
  bool warned_of_many_ = false;
};

}  // namespace lrfinder::detail
