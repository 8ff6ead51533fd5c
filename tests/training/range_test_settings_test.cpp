#include <catch2.hpp>
#include <limits>
#include <settings.hpp>
#include <vector>

#include <lrfinder/training/range_test_settings.hpp>

using lrfinder::InvalidOption;
using lrfinder::RangeTestOptions;
using lrfinder::RangeTestSettings;
using lrfinder::TrainingOptions;
using torch::optim::SGD;
using torch::optim::SGDOptions;

namespace {

RangeTestSettings range_of(const RangeTestOptions& options, SGD& optimizer,
                           const TrainingOptions& training = {}) {
  return range_test_settings(options, optimizer, settings_of(training, optimizer));
}

// Of an optimizer whose groups have these rates.
RangeTestSettings range_of(const RangeTestOptions& options, const std::vector<double>& rates,
                           const TrainingOptions& training = {}) {
  SGD optimizer = sgd_with_rates(rates);
  return range_of(options, optimizer, training);
}

std::int64_t in_flight(const RangeTestOptions& options, torch::DeviceType device) {
  SGD optimizer = sgd_with_rates({1e-3});
  auto training = settings_of({}, optimizer);
  training.placement.device = torch::Device(device, device == torch::kCPU ? -1 : 0);
  return iterations_in_flight(options, training);
}

}  // namespace

TEST_CASE("without options a range test has the documented defaults") {
  const auto settings = range_of({}, std::vector<double>{1e-3});
  CHECK(settings.start_lr == std::vector<double>{1e-3});
  CHECK(settings.end_lr == std::vector<double>{10});
  CHECK(settings.num_iter == 100);
  CHECK(settings.schedule == lrfinder::RangeSchedule::exponential);
  CHECK(settings.smooth_f == 0.05);
  CHECK(settings.diverge_th == 5);
  CHECK(settings.accumulation_steps == 1);
  CHECK_FALSE(settings.validation);
}

TEST_CASE("the settings keep what the history tells of the training") {
  const auto training = TrainingOptions().accumulation_steps(3);
  CHECK(range_of({}, std::vector<double>{1e-3}, training).accumulation_steps == 3);
  CHECK(range_of({}, std::vector<double>{1e-3}).gradient_age == 0);
  const auto weight = torch::ones({1}, torch::requires_grad());
  SGD with_momentum({weight}, SGDOptions(1e-3).momentum(0.9));
  CHECK(range_of({}, with_momentum).gradient_age == Approx(9));
}

TEST_CASE("rates are spread over the groups with their ratio, or taken as given") {
  const std::vector<double> present{1e-2, 1e-4};
  SECTION("one value is that of the first group") {
    const auto settings = range_of(RangeTestOptions().start_lr(1e-6).end_lr(1), present);
    CHECK(settings.start_lr[0] == 1e-6);
    CHECK(settings.start_lr[1] == Approx(1e-8).margin(0));
    CHECK(settings.end_lr[0] == 1);
    CHECK(settings.end_lr[1] == Approx(1e-2));
  }
  SECTION("a value a group is that of the group, from a list or a vector") {
    const std::vector<double> ends{1, 2};
    const auto settings = range_of(RangeTestOptions().start_lr({1e-6, 1e-5}).end_lr(ends), present);
    CHECK(settings.start_lr == std::vector<double>{1e-6, 1e-5});
    CHECK(settings.end_lr == ends);
  }
}

TEST_CASE("a start for groups whose rates are all 0 is that of all") {
  const std::vector<double> present{0, 0};
  CHECK(range_of(RangeTestOptions().start_lr(1e-6), present).start_lr ==
        std::vector<double>{1e-6, 1e-6});
}

TEST_CASE("groups at 0 stay there, out of the search") {
  const std::vector<double> frozen{0, 1e-3, 0, 1e-4};
  const auto as_they_are = range_of({}, frozen);
  CHECK(as_they_are.start_lr == frozen);
  CHECK(as_they_are.end_lr == std::vector<double>{0, 10, 0, 1});
  CHECK(range_of(RangeTestOptions().start_lr(1e-6), frozen).start_lr[1] == 1e-6);
  CHECK(range_of(RangeTestOptions().start_lr({0, 1e-5, 0, 0}), frozen).end_lr ==
        std::vector<double>{0, 10, 0, 0});
  CHECK_THROWS_WITH(range_of(RangeTestOptions().end_lr({1, 1, 1, 1}), frozen),
                    contains("end_lr (1) must be greater than start_lr (0) of parameter group 0, "
                             "which stays at 0"));
}

TEST_CASE("a later group keeps its rate if its end is its start") {
  const std::vector<double> present{1e-3, 1e-2};
  const auto kept = range_of(RangeTestOptions().start_lr({1e-6, 1e-2}).end_lr({1, 1e-2}), present);
  CHECK(kept.start_lr[1] == kept.end_lr[1]);
  CHECK_THROWS_WITH(range_of(RangeTestOptions().end_lr({1e-3, 1}), present),
                    contains("parameter group 0, the first that is searched"));
}

TEST_CASE("rates that the type of the parameters cannot hold are refused") {
  const auto wide = RangeTestOptions().start_lr(1e-200).end_lr(1e200);
  CHECK_THROWS_WITH(range_of(RangeTestOptions().end_lr(1e308), {1e-3}),
                    contains("the rates from 0.001 to 1e+308") && contains("single precision") &&
                        contains("between 1e-30 and 1e+30"));
  CHECK_THROWS_AS(range_of(wide, {1e-3}), InvalidOption);
  SGD in_double({torch::ones({1}, torch::kDouble).requires_grad_(true)}, SGDOptions(1e-3));
  CHECK_NOTHROW(range_of(wide, in_double));
  CHECK_THROWS_WITH(range_of(RangeTestOptions().end_lr(1e308), in_double),
                    contains("double precision"));
}

TEST_CASE("a threshold of infinity means never, as 0 does") {
  const double never = GENERATE(0.0, std::numeric_limits<double>::infinity());
  CHECK(range_of(RangeTestOptions().diverge_th(never), {1e-3}).diverge_th == 0);
}

TEST_CASE("rates that make no sense are refused with what was given and what is allowed") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  struct Case {
    RangeTestOptions options;
    const char* message;
  };
  const RangeTestOptions good;
  const auto wrong = GENERATE_COPY(values<Case>({
      {RangeTestOptions(good).num_iter(1), "num_iter (1) must be at least 2"},
      {RangeTestOptions(good).start_lr(0), "start_lr (0) of parameter group 0 must be positive"},
      {RangeTestOptions(good).start_lr(-1e-3), "start_lr (-0.001) of parameter group 0"},
      {RangeTestOptions(good).start_lr(nan), "start_lr (nan) of parameter group 0"},
      {RangeTestOptions(good).start_lr(infinity), "start_lr (inf) of parameter group 0"},
      {RangeTestOptions(good).end_lr(1e-8).start_lr(1e-7),
       "end_lr (1e-08) must be greater than start_lr (1e-07) of parameter group 0"},
      {RangeTestOptions(good).end_lr({1, 1e-9}),
       "end_lr (1e-09) must be greater than start_lr (0.0001) of parameter group 1"},
      {RangeTestOptions(good).end_lr(infinity), "end_lr (inf) of parameter group 0 must be finite"},
      {RangeTestOptions(good).end_lr(nan), "end_lr (nan) of parameter group 0 must be finite"},
      {RangeTestOptions(good).end_lr({1, 2, 3}), "end_lr has 3 values but the optimizer has 2"},
      {RangeTestOptions(good).start_lr({1e-5, 1e-5, 1e-5}), "start_lr has 3 values"},
      {RangeTestOptions(good).end_lr(std::vector<double>{}), "end_lr has 0 values"},
  }));
  CHECK_THROWS_AS(range_of(wrong.options, std::vector<double>{1e-3, 1e-4}), InvalidOption);
  CHECK_THROWS_WITH(range_of(wrong.options, std::vector<double>{1e-3, 1e-4}),
                    contains("RangeTestOptions: ") && contains(wrong.message));
}

TEST_CASE("groups without any rate need a start") {
  CHECK_THROWS_WITH(range_of({}, std::vector<double>{0, 0}),
                    contains("start_lr (0) of parameter group 0 must be positive"));
}

TEST_CASE("the host waits for every iteration that somebody looks at") {
  CHECK(in_flight(RangeTestOptions(), torch::kCPU) == 1);
  CHECK(in_flight(RangeTestOptions(), torch::kCUDA) == 16);
  CHECK(in_flight(RangeTestOptions().on_iteration([](const lrfinder::Iteration&) {}),
                  torch::kCUDA) == 1);
  CHECK(in_flight(RangeTestOptions().restore(false), torch::kCUDA) == 1);
  CHECK(in_flight(RangeTestOptions().restore(false).iterations_in_flight(3), torch::kCPU) == 3);
}
