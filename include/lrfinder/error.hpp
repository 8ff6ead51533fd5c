#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace lrfinder {

/// Base class of all exceptions of this library. Exceptions from user code (a loader, a model, a
/// criterion, a callback) are passed on unchanged.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An option that is out of range, or does not go together with another or with the optimizer.
/// Thrown before the model is touched.
class InvalidOption : public Error {
 public:
  using Error::Error;
};

/// A history whose columns do not fit together, or a file that is no saved history.
class InvalidHistory : public Error {
 public:
  using Error::Error;
};

/// A loader without a batch.
class EmptyLoader : public Error {
 public:
  using Error::Error;
};

/// A training step that is not possible: a batch without tensors, a criterion that does not return
/// a scalar, a loss that does not require a gradient.
class InvalidStep : public Error {
 public:
  using Error::Error;
};

/// A test on several ranks that ended because of another rank: it threw an exception, which the
/// message quotes, or it did not answer in time.
class RankFailed : public Error {
 public:
  /// `rank`: the rank that failed, where it is known.
  explicit RankFailed(const std::string& message, std::optional<std::int64_t> rank = std::nullopt)
      : Error(message), rank_(rank) {}

  /// The rank that threw; none where a connection broke, because either side may have failed.
  std::optional<std::int64_t> rank() const noexcept { return rank_; }

 private:
  std::optional<std::int64_t> rank_;
};

/// A curve on which a recipe finds no learning rate. The message says why and what to change.
class NoSuggestion : public Error {
 public:
  using Error::Error;
};

/// A picture that cannot be drawn or written.
class PlotError : public Error {
 public:
  using Error::Error;
};

/// A state that could not be saved before a range test, or not restored after it.
class SnapshotError : public Error {
 public:
  using Error::Error;
};

}  // namespace lrfinder
