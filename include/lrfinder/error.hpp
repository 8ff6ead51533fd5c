#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace lrfinder {

/// Base of every exception this library throws on its own account. Exceptions from user code (a
/// loader, a model, a criterion, a callback) pass through as they were thrown.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An option, or a combination of an option and an optimizer, that makes no sense. Thrown before
/// the model is touched.
class InvalidOption : public Error {
 public:
  using Error::Error;
};

/// Columns that do not make up a history, or a saved history that cannot be read.
class InvalidHistory : public Error {
 public:
  using Error::Error;
};

/// A loader that yields no batch.
class EmptyLoader : public Error {
 public:
  using Error::Error;
};

/// A training step that cannot be taken: a batch without tensors, a criterion that returns no
/// scalar, a loss that needs no gradient.
class InvalidStep : public Error {
 public:
  using Error::Error;
};

/// A test by several ranks that another rank has ended: by an exception, which the message quotes,
/// or by not taking part any more, because it died or came too late.
class RankFailed : public Error {
 public:
  /// The error with this message; `rank`: who threw, where that is known.
  explicit RankFailed(const std::string& message, std::optional<std::int64_t> rank = std::nullopt)
      : Error(message), rank_(rank) {}

  /// The rank that threw; none where the connection broke, which does not tell whose fault it was.
  std::optional<std::int64_t> rank() const noexcept { return rank_; }

 private:
  std::optional<std::int64_t> rank_;
};

/// A curve from which a recipe cannot read a learning rate. The message says why and what to
/// change.
class NoSuggestion : public Error {
 public:
  using Error::Error;
};

/// A picture that could not be drawn or written.
class PlotError : public Error {
 public:
  using Error::Error;
};

/// A state that could not be saved before, or brought back after, a range test.
class SnapshotError : public Error {
 public:
  using Error::Error;
};

}  // namespace lrfinder
