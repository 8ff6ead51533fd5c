#include <catch2.hpp>
#include <limits>
#include <settings.hpp>

#include <lrfinder/training/training_settings.hpp>

using lrfinder::InvalidOption;
using lrfinder::TrainingOptions;
using lrfinder::detail::AnyLoader;

namespace {

const AnyLoader with_metrics{{}, /*has_metrics=*/true, nullptr};
const AnyLoader without_metrics{{}, /*has_metrics=*/false, nullptr};

torch::optim::SGD one_group() { return sgd_with_rates({1e-3}); }

}  // namespace

TEST_CASE("a training without options is on the CPU, unscaled, and keeps nothing") {
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

TEST_CASE("the options are checked by themselves, and with the criterion and the optimizer") {
  auto optimizer = one_group();
  CHECK_THROWS_WITH(settings_of(TrainingOptions().accumulation_steps(0), optimizer),
                    contains("TrainingOptions: accumulation_steps (0)"));
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
