#include <catch2.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include <lrfinder/curve/recorder.hpp>

using namespace lrfinder;

namespace {

RangeTestSettings settings() {
  RangeTestSettings settings;
  settings.start_lr = {1e-3};
  settings.end_lr = {1};
  settings.num_iter = 10;
  settings.smooth_f = 0.05;
  settings.diverge_th = 5;
  return settings;
}

}  // namespace

TEST_CASE("the recorder smooths, keeps the raw loss and stops at divergence") {
  // The figures of pytorch-lr-finder for these losses.
  const std::vector<double> raw{1, .5, .4, 4, 100};
  const std::vector<double> smoothed{1, .975, .94625, 1.0989375, 6.043990625};
  Recorder recorder(settings());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const bool goes_on = recorder.record({1e-3}, raw[i]);
    CHECK(goes_on == (i + 1 < raw.size()));
    CHECK(recorder.current().index == static_cast<std::int64_t>(i));
    CHECK(recorder.current().loss == Approx(smoothed[i]));
  }
  CHECK(recorder.current().best_loss == Approx(.94625));
  const History history = recorder.finish();
  CHECK(history.raw_loss == raw);
  CHECK(history.size() == raw.size());
  CHECK(history.stop_reason == StopReason::diverged);
  CHECK(history.wall_seconds >= 0);
}

TEST_CASE("a loss that is not finite ends the test and is not recorded") {
  Recorder recorder(settings());
  CHECK(recorder.record({1e-3}, 1));
  CHECK_FALSE(
      recorder.record({1e-2}, GENERATE(std::nan(""), std::numeric_limits<double>::infinity())));
  const History history = recorder.finish();
  CHECK(history.size() == 1);
  CHECK(history.stop_reason == StopReason::non_finite_loss);
}

TEST_CASE("a test counts as failed until it says why it ended") {
  Recorder recorder(settings());
  recorder.record({1e-3}, 1);
  SECTION("it never says") { CHECK(recorder.finish().stop_reason == StopReason::failed); }
  SECTION("it says") {
    recorder.end(StopReason::completed);
    CHECK(recorder.finish().stop_reason == StopReason::completed);
  }
}

TEST_CASE("several parameter groups have a column each, one has none") {
  auto two_groups = settings();
  two_groups.start_lr = {1e-3, 1e-4};
  Recorder recorder(two_groups);
  recorder.record({1e-3, 1e-4}, 1);
  recorder.record({1e-2, 1e-3}, 1);
  const History history = recorder.finish();
  CHECK(history.lr == std::vector<double>{1e-3, 1e-2});
  CHECK(history.group_lr == std::vector<std::vector<double>>{{1e-3, 1e-2}, {1e-4, 1e-3}});

  Recorder single(settings());
  single.record({1e-3}, 1);
  CHECK(single.finish().group_lr.empty());
}
