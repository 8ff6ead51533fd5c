#pragma once

#include <stdexcept>

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
