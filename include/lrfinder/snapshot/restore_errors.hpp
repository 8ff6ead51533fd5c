#pragma once

#include <exception>
#include <string>
#include <string_view>

#include <torch/torch.h>

namespace lrfinder::detail {

/// What an exception says, without the stack that LibTorch adds to its own.
inline std::string message_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

/// Collects what could not be restored, so that all else still is.
class RestoreErrors {
 public:
  /// Sets memory aside for the description: a restore may be due to there being none left.
  RestoreErrors() { description_.reserve(4000); }

  /// Runs `restore()`; where it throws, `what` could not be restored.
  template <class Restore>
  void unless(std::string_view what, Restore&& restore) noexcept {
    try {
      restore();
    } catch (...) {
      add(what, std::current_exception());
    }
  }

  /// Whether anything could not be restored.
  bool any() const noexcept { return any_; }

  /// What could not be restored, and why.
  const std::string& description() const noexcept { return description_; }

 private:
  void add(std::string_view what, const std::exception_ptr& exception) noexcept {
    any_ = true;
    try {
      const std::string reason = message_of(exception);
      if (description_.empty() || reason != reason_) {
        if (!description_.empty()) description_ += "; ";
        description_.append(reason).append("; this could not be restored:");
        reason_ = reason;
      }
      description_.append(" ").append(what);
    } catch (...) {  // no memory for words: any() tells
    }
  }

  bool any_ = false;
  std::string description_;
  std::string reason_;
};

}  // namespace lrfinder::detail
