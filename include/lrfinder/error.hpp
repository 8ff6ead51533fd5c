#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace lrfinder {

/// Base class of all exceptions of this library. Exceptions from user code (a loader, a model, a
/// criterion, a callback) are passed on unchanged.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An option that is out of range, or that does not fit another option or the optimizer. Thrown
/// before the model is touched.
struct InvalidOption : Error {
  using Error::Error;
};

/// A history whose columns do not fit together, or a file that is not a saved history.
struct InvalidHistory : Error {
  using Error::Error;
};

/// A loader without a batch.
struct EmptyLoader : Error {
  using Error::Error;
};

/// A training step that is not possible: a batch without tensors, a criterion that does not return
/// a scalar, a loss that does not require a gradient.
struct InvalidStep : Error {
  using Error::Error;
};

/// A training batch whose loss is not finite at the weights that the training starts from. So the
/// data or the criterion is at fault, not a learning rate.
class BadBatch : public Error {
 public:
  /// `index`: the number of the batch in the order of the loader, from 0. It counts on over several
  /// passes.
  BadBatch(const std::string& message, std::int64_t index) : Error(message), index_(index) {}

  /// The number of the batch in the order of the loader, from 0.
  std::int64_t index() const noexcept { return index_; }

 private:
  std::int64_t index_;
};

/// A test on several ranks that ended because of another rank. That rank threw an exception, which
/// the message quotes, or it did not answer in time.
class RankFailed : public Error {
 public:
  /// `rank`: the rank that failed, if it is known.
  explicit RankFailed(const std::string& message, std::optional<std::int64_t> rank = std::nullopt)
      : Error(message), rank_(rank) {}

  /// The rank that failed. None if a connection broke, because either side may have failed.
  std::optional<std::int64_t> rank() const noexcept { return rank_; }

 private:
  std::optional<std::int64_t> rank_;
};

/// A curve on which a recipe finds no learning rate. The message says why and what to change.
struct NoSuggestion : Error {
  using Error::Error;
};

/// A picture that cannot be drawn or written.
struct PlotError : Error {
  using Error::Error;
};

/// A state that could not be saved before a range test, or could not be restored after it.
struct SnapshotError : Error {
  using Error::Error;
};

}  // namespace lrfinder
