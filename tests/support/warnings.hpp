#pragma once

#include <string>
#include <vector>

#include <c10/util/Exception.h>
#include <torch/version.h>

/// Keeps the warnings of LibTorch, in place of printing them, while it lives.
class Warnings : public c10::WarningHandler {
 public:
#if TORCH_VERSION_MAJOR >= 2
  void process(const c10::Warning& warning) override { texts.push_back(warning.msg()); }
#else
  void process(const c10::SourceLocation&, const std::string& text, bool) override {
    texts.push_back(text);
  }
#endif

  std::vector<std::string> texts;

 private:
#if TORCH_VERSION_MAJOR >= 2
  c10::WarningUtils::WarningHandlerGuard guard_{this};
#else
  c10::Warning::WarningHandlerGuard guard_{this};
#endif
};
