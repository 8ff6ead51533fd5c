#pragma once

#include <exception>
#include <string>

#include <torch/torch.h>

namespace lrfinder::detail {

/// Notes what could not be given back, so that all else still is.
class RestoreErrors {
 public:
  /// Gives something back by `restore()`; where that throws, `what` is lost.
  template <class Restore>
  void unless(const std::string& what, Restore&& restore) {
    try {
      restore();
    } catch (const c10::Error& error) {
      add(what, error.what_without_backtrace());
    } catch (const std::exception& error) {
      add(what, error.what());
    } catch (...) {
      add(what, "an exception of another kind");
    }
  }

  /// What has been lost, and why; empty where nothing has.
  const std::string& description() const noexcept { return description_; }

 private:
  void add(const std::string& what, const std::string& reason) {
    if (reason != reason_) {
      description_ +=
          (description_.empty() ? "" : "; ") + reason + "; this could not be given back:";
      reason_ = reason;
    }
    description_ += ' ' + what;
  }

  std::string description_;
  std::string reason_;
};

}  // namespace lrfinder::detail
