#include <catch2.hpp>
#include <fstream>
#include <limits>
#include <settings.hpp>
#include <string>
#include <sys/resource.h>

#include <lrfinder/training/training_settings.hpp>

using lrfinder::InvalidOption;
using lrfinder::TrainingOptions;
using lrfinder::detail::AnyLoader;

namespace {

const AnyLoader with_metrics{{}, /*has_metrics=*/true, nullptr};
const AnyLoader without_metrics{{}, /*has_metrics=*/false, nullptr};

torch::optim::SGD one_group() { return sgd_with_rates({1e-3}); }

}  // namespace

TEST_CASE("a training without options is on the CPU, unscaled, and keeps nothing",
          "[own devices]") {
  auto optimizer = one_group();
  const auto settings = settings_of({}, optimizer);
  CHECK(settings.placement.device.is_cpu());
  CHECK_FALSE(settings.placement.moves);
  CHECK_FALSE(settings.validates);
  CHECK_FALSE(settings.options.gradient_scaler().enabled());
  CHECK(settings.max_training_bytes == 0);
  CHECK(settings.max_validation_bytes == 0);
  CHECK(settings.max_val_batches() == std::numeric_limits<std::int64_t>::max());
}

TEST_CASE("batches are kept only for a loader that is read again") {
  auto optimizer = one_group();
  const auto options = TrainingOptions().cache_training(30).cache_validation(20);
  CHECK(settings_of(options, optimizer).max_training_bytes == 0);
  const auto all = settings_of(options, optimizer, with_metrics, &with_metrics, /*repeats=*/true);
  CHECK(all.max_training_bytes == 30);
  CHECK(all.max_validation_bytes == 20);
}

TEST_CASE("processes that train side by side share the free memory") {
  auto optimizer = one_group();
  const auto bytes = [&](std::int64_t processes) {
    return settings_of({}, optimizer, with_metrics, nullptr, /*repeats=*/true, processes)
        .max_training_bytes;
  };
  CHECK(bytes(1) > 0);
  CHECK(bytes(1000) < bytes(1) / 100);
}

TEST_CASE("no more memory counts as free than the limit of the address space leaves") {
  ::rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_AS, &before) == 0);
  constexpr std::int64_t left = 1 << 28;
  std::ifstream status("/proc/self/status");
  std::int64_t size = 0;  // in KiB
  for (std::string word; word != "VmSize:" && status >> word;) {
  }
  status >> size;
  ::rlimit limited = before;
  limited.rlim_cur = static_cast<rlim_t>(1024 * size + left);
  REQUIRE(lrfinder::detail::free_memory(torch::kCPU) > left);
  REQUIRE(::setrlimit(RLIMIT_AS, &limited) == 0);
  const std::int64_t free = lrfinder::detail::free_memory(torch::kCPU);
  REQUIRE(::setrlimit(RLIMIT_AS, &before) == 0);
  CHECK(free <= left);
  CHECK(free > left / 2);
}

TEST_CASE("the options are checked by themselves, and with the criterion and the optimizer") {
  auto optimizer = one_group();
  CHECK_THROWS_WITH(settings_of(TrainingOptions().accumulation_steps(0), optimizer),
                    contains("TrainingOptions: accumulation_steps (0)"));
  CHECK_THROWS_WITH(settings_of(TrainingOptions().clip_grad_norm(1e308), optimizer),
                    contains("clip_grad_norm (1e+308) must be positive, and infinite or at most"));
  CHECK_THROWS_WITH(settings_of(TrainingOptions().clip_grad_value(1e308), optimizer),
                    contains("clip_grad_value (1e+308)"));
  CHECK_NOTHROW(settings_of(
      TrainingOptions().clip_grad_norm(std::numeric_limits<double>::infinity()), optimizer));
  const auto accuracy = TrainingOptions().metric("accuracy", lrfinder::accuracy);
  CHECK_NOTHROW(settings_of(accuracy, optimizer, with_metrics));
  CHECK_THROWS_AS(settings_of(accuracy, optimizer, without_metrics), InvalidOption);
  CHECK_THROWS_WITH(settings_of(accuracy, optimizer, with_metrics, &without_metrics),
                    contains("metric() needs a criterion of the form (output, target)"));
  CHECK_THROWS_WITH(settings_of(TrainingOptions().autocast(torch::kDouble), optimizer),
                    contains("autocast (Double)"));
  CHECK_THROWS_WITH(settings_of(TrainingOptions().gradient_scaler(
                                    lrfinder::GradientScalerOptions().growth_factor(1)),
                                optimizer),
                    contains("growth_factor"));
}
