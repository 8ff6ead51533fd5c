#include <catch2.hpp>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <training.hpp>

#include <lrfinder/torch/autocast.hpp>

using lrfinder::InvalidOption;
using lrfinder::detail::Autocast;
using lrfinder::detail::autocast_mode;
using lrfinder::detail::has_autocast;
using lrfinder::detail::require_autocast;
using lrfinder::detail::set_autocast;
using lrfinder::detail::ThreadState;

namespace {

const torch::Device cpu(torch::kCPU);

// What a guard has to put back, as text, so that a failure shows it.
std::string autocast_of_this_thread(torch::DeviceType type = torch::kCPU) {
  std::ostringstream state;
  at::autocast::increment_nesting();
  const auto mode = autocast_mode(type);
  state << (mode.enabled ? "on, " : "off, ") << mode.dtype << ", nesting "
        << at::autocast::decrement_nesting() << ", cache "
        << at::autocast::is_autocast_cache_enabled();
  return state.str();
}

// A user's own autocast, written out as LibTorch's users have to.
class UsersAutocast {
 public:
  explicit UsersAutocast(torch::DeviceType type = torch::kCPU) : before_(autocast_mode(type)) {
    set_autocast({type, true, torch::kBFloat16});
    at::autocast::increment_nesting();
  }
  ~UsersAutocast() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    set_autocast(before_);
  }
  UsersAutocast(const UsersAutocast&) = delete;
  UsersAutocast& operator=(const UsersAutocast&) = delete;

 private:
  lrfinder::detail::AutocastMode before_;
};

}  // namespace

TEST_CASE("a layer computes in bfloat16 while autocast lives, and in float32 after it",
          "[own devices]") {
  torch::nn::Linear layer(4, 3);
  const auto input = torch::ones({2, 4});
  {
    const Autocast autocast(cpu, torch::kBFloat16);
    CHECK(layer(input).scalar_type() == torch::kBFloat16);
  }
  CHECK(layer(input).scalar_type() == torch::kFloat);
}

TEST_CASE("autocast changes nothing without a dtype") {
  torch::nn::Linear layer(4, 3);
  const auto input = torch::ones({2, 4});
  const Autocast autocast(cpu, {});
  CHECK(layer(input).scalar_type() == torch::kFloat);
}

TEST_CASE("gradients through autocast come in the type of the parameters") {
  torch::nn::Linear layer(4, 3);
  torch::Tensor loss;
  {
    const Autocast autocast(cpu, torch::kBFloat16);
    loss = layer(torch::ones({2, 4})).to(torch::kFloat).mean();
  }
  loss.backward();
  CHECK(layer->weight.grad().scalar_type() == torch::kFloat);
  CHECK(layer->weight.grad().abs().sum().item<float>() > 0);
}

TEST_CASE("the state of autocast comes back after an exception") {
  const std::string before = autocast_of_this_thread();
  const auto fail = [] {
    const Autocast autocast(cpu, torch::kBFloat16);
    throw std::runtime_error("mine");
  };
  CHECK_THROWS_WITH(fail(), "mine");
  CHECK(autocast_of_this_thread() == before);
}

TEST_CASE("a user's own autocast comes back", "[own devices]") {
  const std::string outside = autocast_of_this_thread();
  torch::nn::Linear layer(4, 3);
  const auto input = torch::ones({2, 4});
  {
    const UsersAutocast users;
    const std::string inside = autocast_of_this_thread();
    {
      const Autocast autocast(cpu, torch::kBFloat16);
      const Autocast nested(cpu, torch::kBFloat16);
      CHECK(layer(input).scalar_type() == torch::kBFloat16);
    }
    CHECK(autocast_of_this_thread() == inside);
    {
      const Autocast autocast(cpu, {});
      CHECK(layer(input).scalar_type() == torch::kBFloat16);
    }
    CHECK(autocast_of_this_thread() == inside);
  }
  CHECK(autocast_of_this_thread() == outside);
}

TEST_CASE("every pass sees the present weights, inside a user's own autocast too",
          "[own devices]") {
  const auto dtype =
      GENERATE(std::optional<at::ScalarType>(), std::optional<at::ScalarType>(torch::kBFloat16));
  const auto weight = torch::ones({1, 1}, torch::requires_grad());
  const auto set_weight = [&](float value) {
    const torch::NoGradGuard no_grad;
    weight.fill_(value);
  };
  const auto output = [&] { return torch::linear(torch::ones({1, 1}), weight).item<float>(); };
  const UsersAutocast users;
  CHECK(output() == 1);
  set_weight(2);
  CHECK(output() == 1);  // LibTorch has cached the weight in bfloat16
  for (const float value : {3.0F, 4.0F}) {
    set_weight(value);
    const Autocast autocast(cpu, dtype);
    CHECK(output() == value);
  }
  set_weight(5);
  CHECK(output() == 5);
}

TEST_CASE("weights cached without gradients do not cut off the next backward pass") {
  const auto weight = torch::ones({1, 1}, torch::requires_grad());
  const auto output = [&] { return torch::linear(torch::ones({1, 1}), weight); };
  const UsersAutocast users;
  {
    const torch::NoGradGuard no_grad;
    output();  // older LibTorch now has a cached weight without its history
  }
  const Autocast autocast(cpu, {});
  CHECK(output().requires_grad());
}

TEST_CASE("whatever user code does to autocast, the saved state comes back") {
  const std::string before = autocast_of_this_thread();
  std::optional<ThreadState> saved(std::in_place, cpu);
  const int left_open = GENERATE(-1, 0, 2);
  set_autocast({torch::kCPU, true, torch::kBFloat16});
  at::autocast::set_autocast_cache_enabled(!at::autocast::is_autocast_cache_enabled());
  for (int i = 0; i < left_open; ++i) at::autocast::increment_nesting();
  for (int i = 0; i > left_open; --i) at::autocast::decrement_nesting();
  CHECK(autocast_of_this_thread() != before);
  saved.reset();
  CHECK(autocast_of_this_thread() == before);
}

TEST_CASE("autocast is the calling thread's own") {
  const Autocast autocast(cpu, torch::kBFloat16);
  bool enabled = true;
  std::thread([&] { enabled = autocast_mode(torch::kCPU).enabled; }).join();
  CHECK_FALSE(enabled);
}

TEST_CASE("a dtype that the device has no autocast for is refused") {
  CHECK_THROWS_AS(require_autocast(cpu, torch::kDouble), InvalidOption);
  CHECK_THROWS_WITH(require_autocast(cpu, torch::kDouble),
                    contains("autocast (Double)") && contains("cpu") && contains("kBFloat16"));
  CHECK_THROWS_WITH(require_autocast(torch::Device(torch::kMeta), torch::kHalf),
                    contains("leave it out"));
  if (!has_autocast(torch::kCPU, torch::kHalf)) {
    CHECK_THROWS_WITH(require_autocast(cpu, torch::kHalf), contains("autocast (Half)"));
  }
}

TEST_CASE("half serves on the CPU where LibTorch has it") {
  if (!has_autocast(torch::kCPU, torch::kHalf)) return;
  torch::nn::Linear layer(4, 3);
  const Autocast autocast(cpu, torch::kHalf);
  CHECK(layer(torch::ones({2, 4})).scalar_type() == torch::kHalf);
}

TEST_CASE("autocast on CUDA serves half and bfloat16, and leaves the CPU alone",
          "[cuda][own devices]") {
  if (!torch::cuda::is_available() || (is_simulated && !has_autocast(torch::kCPU, torch::kHalf))) {
    WARN("skipped: no CUDA device that has half precision");
    return;
  }
  const torch::Device cuda(torch::kCUDA);
  const std::string before = autocast_of_this_thread(torch::kCUDA);
  torch::nn::Linear layer(4, 3), on_cpu(4, 3);
  layer->to(cuda);
  const auto dtype = GENERATE(as<at::ScalarType>{}, torch::kHalf, torch::kBFloat16);
  {
    const Autocast autocast(cuda, dtype);
    CHECK(layer(torch::ones({2, 4}, cuda)).scalar_type() == dtype);
    CHECK(on_cpu(torch::ones({2, 4})).scalar_type() == torch::kFloat);
  }
  CHECK(layer(torch::ones({2, 4}, cuda)).scalar_type() == torch::kFloat);
  CHECK(autocast_of_this_thread(torch::kCUDA) == before);
}
