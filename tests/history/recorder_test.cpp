#include <catch2.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include <lrfinder/history/recorder.hpp>

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

TEST_CASE("the recorder smooths, keeps the raw loss and notices divergence") {
  // The figures of pytorch-lr-finder for these losses.
  const std::vector<double> raw{1, .5, .4, 4, 100};
  const std::vector<double> smoothed{1, .975, .94625, 1.0989375, 6.043990625};
  Recorder recorder(settings());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    CHECK(recorder.record({1e-3}, {raw[i], {}, {}}));
    CHECK(recorder.has_diverged() == (i + 1 == raw.size()));
    CHECK(recorder.current().index == static_cast<std::int64_t>(i));
    CHECK(recorder.current().loss == Approx(smoothed[i]));
  }
  CHECK(recorder.current().best_loss == Approx(.94625));
  const History history = recorder.finish(StopReason::diverged);
  CHECK(history.raw_loss == raw);
  CHECK(history.size() == raw.size());
  CHECK(history.stop_reason == StopReason::diverged);
  CHECK(history.wall_seconds >= 0);
}

TEST_CASE("a loss that is not finite is not recorded") {
  Recorder recorder(settings());
  CHECK(recorder.record({1e-3}, {1, {}, {}}));
  const double loss = GENERATE(std::nan(""), std::numeric_limits<double>::infinity());
  CHECK_FALSE(recorder.record({1e-2}, {loss, {}, {}}));
  CHECK(recorder.finish(StopReason::non_finite_loss).size() == 1);
}

TEST_CASE("gradient norms and metrics have columns where they are measured") {
  Recorder recorder(settings());
  recorder.record({1e-3}, {1, 0.5, {{"accuracy", 0.25}}});
  CHECK(recorder.current().grad_norm == 0.5);
  CHECK(recorder.current().metrics.at("accuracy") == 0.25);
  recorder.record({1e-2}, {1, 0.25, {{"accuracy", 0.75}}});
  const History history = recorder.finish(StopReason::completed);
  CHECK(history.grad_norm == std::vector<double>{0.5, 0.25});
  CHECK(history.metrics.at("accuracy") == std::vector<double>{0.25, 0.75});
}

TEST_CASE("several parameter groups have a column each, one has none") {
  auto two_groups = settings();
  two_groups.start_lr = {1e-3, 1e-4};
  Recorder recorder(two_groups);
  recorder.record({1e-3, 1e-4}, {1, {}, {}});
  recorder.record({1e-2, 1e-3}, {1, {}, {}});
  const History history = recorder.finish(StopReason::completed);
  CHECK(history.lr == std::vector<double>{1e-3, 1e-2});
  CHECK(history.group_lr == std::vector<std::vector<double>>{{1e-3, 1e-2}, {1e-4, 1e-3}});

  Recorder single(settings());
  single.record({1e-3}, {1, {}, {}});
  CHECK(single.finish(StopReason::completed).group_lr.empty());
}
