#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <torch/torch.h>

/// @file
/// Batches and loaders of any type, as a range test sees them: nothing behind these interfaces
/// depends on the types of a user.

namespace lrfinder::detail {

/// What comes out of the model and the criterion for a batch.
struct Evaluation {
  /// As the criterion returned it.
  torch::Tensor loss;
  /// The output of the model and the target, for metrics; undefined where they are no tensors.
  torch::Tensor output, target;
};

/// What is in a batch, as far as it can be seen.
struct BatchContents {
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
  bool is_opaque = false;  // there is more than can be seen
  bool is_shared = false;  // a copy shares its tensors
};

/// A batch, ready for the model, together with the model and the criterion.
class AnyBatch {
 public:
  AnyBatch() = default;
  AnyBatch(const AnyBatch&) = delete;
  AnyBatch& operator=(const AnyBatch&) = delete;
  virtual ~AnyBatch() = default;

  /// Runs the model and the criterion on it.
  ///
  /// Throws InvalidStep when the batch has no tensors.
  virtual Evaluation evaluate() = 0;

  /// Number of samples in it; see samples_in().
  virtual std::int64_t samples() const = 0;

  virtual BatchContents contents() const = 0;

  /// A number that the bits of its tensors give: equal batches have equal ones. Sparse tensors and
  /// what cannot be seen do not count.
  virtual std::size_t hash() const = 0;

  /// Copies its tensors, where somebody else may hold them or their memory.
  virtual void detach() = 0;
};

/// Iterates over the batches of a loader, again and again, on the calling thread; see
/// BatchIterator.
class AnyBatchIterator {
 public:
  AnyBatchIterator() = default;
  AnyBatchIterator(const AnyBatchIterator&) = delete;
  AnyBatchIterator& operator=(const AnyBatchIterator&) = delete;
  virtual ~AnyBatchIterator() = default;

  /// Goes to the first batch. Throws EmptyLoader when there is none.
  virtual void start() = 0;

  /// The next batch; after the last one comes the first again.
  virtual std::shared_ptr<AnyBatch> next() = 0;

  /// Calls `visit` with every batch of one pass, until `visit` returns false.
  virtual void for_each(const std::function<bool(std::unique_ptr<AnyBatch>)>& visit) = 0;
};

/// A loader, together with the model and the criterion that its batches are for.
class AnyLoader {
 public:
  AnyLoader() = default;
  AnyLoader(const AnyLoader&) = delete;
  AnyLoader& operator=(const AnyLoader&) = delete;
  virtual ~AnyLoader() = default;

  /// An iterator whose batches are evaluated on `device`.
  virtual std::unique_ptr<AnyBatchIterator> iterate(torch::Device device) = 0;

  /// Whether metrics can be evaluated on its batches.
  virtual bool has_metrics() const = 0;

  /// The loader itself, where it can be in one pass only at a time; null where it can be in
  /// several.
  virtual const void* single_pass() const = 0;
};

}  // namespace lrfinder::detail
