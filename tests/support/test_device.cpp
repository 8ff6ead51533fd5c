#define CATCH_CONFIG_EXTERNAL_INTERFACES  // for Catch2 2

#include "test_device.hpp"

#include <catch2.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <utility>

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>
#include <torch/torch.h>

#ifdef LRFINDER_PRETEND_ACCELERATOR
#include <dlfcn.h>
#endif

namespace {

constexpr auto mode = c10::DispatchKey::TESTING_ONLY_GenericWrapper;
bool makes_any = false;  // on the device, in the running test

torch::Device chosen_device() {
  const char* const name = std::getenv("LRFINDER_TEST_DEVICE");
  if (!name || !*name) return torch::kCPU;
#ifdef LRFINDER_PRETEND_ACCELERATOR
  if (name == std::string("simulated")) {
    if (!dlopen(LRFINDER_PRETEND_ACCELERATOR, RTLD_NOW | RTLD_GLOBAL)) {
      std::cerr << dlerror() << '\n';
      std::exit(2);
    }
    is_simulated = true;
    return torch::Device(torch::kCUDA, 0);
  }
#endif
  // With its index, as tensors name it.
  const torch::Device device(name);
  return device.is_cpu() || device.has_index() ? device : torch::Device(device.type(), 0);
}

const torch::Device device = chosen_device();

// Whether the operator makes a tensor from nothing, and has not been told where.
bool makes_one_anywhere(const c10::FunctionSchema& schema, const torch::jit::Stack& stack) {
  if (schema.name() == "aten::randperm") return false;  // which LibTorch's samplers read
  const auto& arguments = schema.arguments();
  if (schema.returns().size() != 1 || arguments.size() > stack.size()) return false;
  bool anywhere = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const c10::IValue& value = stack[stack.size() - arguments.size() + i];
    if (value.isTensor() || value.isTensorList()) return false;
    if (arguments[i].name() == "device") anywhere = value.isNone();
    if (arguments[i].name() == "pin_memory" && value.isBool() && value.toBool()) return false;
    if (arguments[i].name() == "dtype" && value.isInt() &&
        value.toInt() == static_cast<std::int64_t>(at::kByte)) {
      return false;  // texts and archives
    }
    if (arguments[i].name() == "generator" && !value.isNone()) return false;
  }
  return anywhere;
}

// Whether the operator fills a tensor of the device with random numbers of no particular generator.
bool fills_randomly(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  const std::string& name = op.schema().name();
  if (name != "aten::uniform_" && name != "aten::normal_") return false;
  return !stack[stack.size() - op.schema().arguments().size()].toTensor().is_cpu() &&
         stack.back().isNone();
}

void make_on_device(const c10::OperatorHandle& op, c10::DispatchKeySet keys,
                    torch::jit::Stack* stack) {
  const auto redispatch = [&] {
    op.redispatchBoxed(keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, mode), stack);
  };
  const c10::impl::ExcludeDispatchKeyGuard once(mode);
  if (makes_one_anywhere(op.schema(), *stack)) {
    redispatch();
    stack->back() = stack->back().toTensor().to(device);
    makes_any = true;
  } else if (fills_randomly(op, *stack)) {
    auto& self = (*stack)[stack->size() - op.schema().arguments().size()];
    const torch::Tensor filled = self.toTensor();
    self = filled.cpu();
    op.callBoxed(stack);
    const torch::NoGradGuard without_gradients;
    filled.copy_(stack->back().toTensor());
    stack->back() = filled;
  } else {
    redispatch();
  }
}

TORCH_LIBRARY_IMPL(_, TESTING_ONLY_GenericWrapper, library) {
  if (!device.is_cpu()) {
    library.fallback(torch::CppFunction::makeFromBoxedFunction<&make_on_device>());
  }
}

// Tells test after test where it trains, and at the end how many have trained where.
class Devices : public Listener {
 public:
  using Listener::Listener;

  void testCaseStarting(const Catch::TestCaseInfo& info) override {
    reason_.clear();
    for (const auto& tag : info.tags) {
      const std::string name = name_of(tag);
      if (name == "own devices" || name == "host memory" || name == "cpu figures" ||
          ((name == "sparse" || name == "half") && is_simulated)) {
        reason_ = name;
      }
    }
    makes_any = false;
    device_of_test = reason_.empty() ? device : torch::kCPU;
    c10::impl::tls_set_dispatch_key_included(mode, !device_of_test.is_cpu());
  }
  void testCaseEnded(const Catch::TestCaseStats&) override {
    c10::impl::tls_set_dispatch_key_included(mode, false);
    device_of_test = torch::kCPU;
    if (reason_.empty()) reason_ = makes_any ? "there" : "makes no tensor";
    ++tests_[reason_];
  }
  void testRunEnded(const Catch::TestRunStats&) override {
    if (device.is_cpu()) return;
    std::cerr << "tests on " << device << (is_simulated ? ", simulated" : "") << ": "
              << std::exchange(tests_["there"], 0) << "; not there:";
    for (const auto& [reason, count] : tests_) {
      if (count > 0) std::cerr << ' ' << count << " [" << reason << ']';
    }
    std::cerr << '\n';
  }

 private:
  std::string reason_;
  std::map<std::string, int> tests_;  // how many of each reason
};
CATCH_REGISTER_LISTENER(Devices)  // NOLINT

}  // namespace
