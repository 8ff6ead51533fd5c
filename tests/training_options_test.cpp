#include <catch2.hpp>
#include <limits>

#include <lrfinder/training_options.hpp>

using lrfinder::InvalidOption;
using lrfinder::TrainingOptions;

TEST_CASE("options of a training are made from a device") {
  const auto device_of = [](const TrainingOptions& options) { return options.device(); };
  CHECK(device_of(torch::kCPU) == torch::Device(torch::kCPU));
  CHECK(device_of(torch::Device("cuda:1")) == torch::Device(torch::kCUDA, 1));
  CHECK(device_of({}) == std::nullopt);
}

TEST_CASE("options of a training that make no sense are refused") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  struct Case {
    TrainingOptions options;
    const char* message;
  };
  const TrainingOptions good;
  const auto wrong = GENERATE_COPY(values<Case>({
      {TrainingOptions(good).accumulation_steps(0), "accumulation_steps (0) must be at least 1"},
      {TrainingOptions(good).clip_grad_norm(0), "clip_grad_norm (0) must be positive"},
      {TrainingOptions(good).clip_grad_norm(nan), "clip_grad_norm (nan) must be positive"},
      {TrainingOptions(good).clip_grad_value(-1), "clip_grad_value (-1) must be positive"},
      {TrainingOptions(good).val_batches(0), "val_batches (0) must be at least 1"},
      {TrainingOptions(good).cache_validation(-1), "cache_validation (-1) must be at least 0"},
      {TrainingOptions(good).cache_training(-1), "cache_training (-1) must be at least 0"},
      {TrainingOptions(good).metric("", lrfinder::accuracy), "metric () must be a name"},
      {TrainingOptions(good).metric("mine", nullptr), "metric (mine) must be a name"},
      {TrainingOptions(good).metric("mine", lrfinder::accuracy).metric("mine", lrfinder::accuracy),
       "metric (mine) must be given once"},
  }));
  CHECK_THROWS_AS(wrong.options.check(), InvalidOption);
  CHECK_THROWS_WITH(wrong.options.check(),
                    contains("TrainingOptions: ") && contains(wrong.message));
  CHECK_NOTHROW(good.check());
}

TEST_CASE("accuracy is the share of samples whose class has the largest output") {
  const auto output = torch::tensor({{1.0, 2.0}, {3.0, 0.0}, {0.0, 1.0}, {5.0, 4.0}});
  CHECK(lrfinder::accuracy(output, torch::tensor({1, 0, 0, 0})).item<double>() == 0.75);
}
