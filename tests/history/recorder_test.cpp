#include <catch2.hpp>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include <lrfinder/history/recorder.hpp>

using namespace lrfinder;

namespace {

/// Which of the next allocations fails: 1 is the next one, 0 none.
std::size_t failing_allocation = 0;

}  // namespace

// A program that replaces one form replaces all that the standard library uses.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (failing_allocation > 0 && --failing_allocation == 0) return nullptr;
  return std::malloc(size == 0 ? 1 : size);
}
void* operator new(std::size_t size) {
  if (void* const memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

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

TEST_CASE("a positive loss has diverged beyond diverge_th times the best") {
  CHECK_FALSE(has_diverged(5, 1, 5));
  CHECK(has_diverged(5.001, 1, 5));
}

TEST_CASE("a negative loss diverges upwards by as much as a positive one") {
  CHECK_FALSE(has_diverged(-1, -1, 5));
  CHECK_FALSE(has_diverged(2.9, -1, 5));
  CHECK(has_diverged(3.1, -1, 5));
}

TEST_CASE("without a threshold no loss diverges") {
  const double never = GENERATE(0.0, std::numeric_limits<double>::infinity());
  CHECK_FALSE(has_diverged(1e300, 1e-300, never));
  CHECK_FALSE(has_diverged(1e300, 0, never));
}

TEST_CASE("a change within the spread of the batches is no divergence") {
  CHECK(has_diverged(0.1, 0.01, 5));
  CHECK_FALSE(has_diverged(0.1, 0.01, 5, /*spread=*/0.1));
  CHECK(has_diverged(0.5, 0.01, 5, /*spread=*/0.1));
}

TEST_CASE("a lucky batch does not make the losses after it diverge") {
  Recorder recorder(settings());
  const std::vector<double> untrained{0, 2, 1, 0, 3, 2, 1};
  for (std::size_t i = 0; i < untrained.size(); ++i) {
    CHECK(recorder.record({1e-3}, {untrained[i], {}, {}, untrained[i]}));
    CHECK_FALSE(recorder.has_diverged());
  }
  CHECK(recorder.finish(StopReason::completed).untrained_loss == untrained);
}

TEST_CASE("paired losses diverge as losses without noise do") {
  const std::vector<double> noise{0.3, -0.2, 0.1, -0.4, 0.2}, quiet{1, .5, .4, 4, 100};
  Recorder recorder(settings());
  for (std::size_t i = 0; i < quiet.size(); ++i) {
    recorder.record({1e-3}, {quiet[i] + noise[i], {}, {}, 1 + noise[i]});
    CHECK(recorder.has_diverged() == (i + 1 == quiet.size()));
  }
}

TEST_CASE("untrained losses that differ from the first raw loss are not recorded") {
  Recorder recorder(settings());
  recorder.record({1e-3}, {1, {}, {}, 1.1});
  CHECK_FALSE(recorder.is_paired());
  recorder.record({1e-3}, {1, {}, {}, 1});
  const History history = recorder.finish(StopReason::completed);
  CHECK(history.size() == 2);
  CHECK(history.untrained_loss.empty());
}

TEST_CASE(
    "an untrained loss that is not finite is not recorded, and tells that the data is at fault") {
  Recorder recorder(settings());
  CHECK(recorder.record({1e-3}, {1, {}, {}, 1}));
  CHECK_FALSE(recorder.record({1e-3}, {1, {}, {}, std::nan("")}));
  CHECK(std::isnan(recorder.untrained_loss_at_end().value()));
  CHECK(recorder.size() == 1);
}

TEST_CASE("a loss is compared with the smallest so far") {
  auto unsmoothed = settings();
  unsmoothed.smooth_f = 0;
  Recorder recorder(unsmoothed);
  for (const double loss : {2.0, 1.0, 5.0}) {
    recorder.record({1e-3}, {loss, {}, {}});
    CHECK(recorder.current().loss == loss);
    CHECK_FALSE(recorder.has_diverged());
  }
  recorder.record({1e-3}, {5.001, {}, {}});
  CHECK(recorder.current().best_loss == 1);
  CHECK(recorder.has_diverged());
}

TEST_CASE("the recorder smooths, keeps the raw loss and detects divergence") {
  // The values of pytorch-lr-finder for these losses.
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

TEST_CASE("a recorder takes no memory for iterations that have not happened") {
  auto endless = settings();
  endless.num_iter = std::numeric_limits<std::int64_t>::max();
  Recorder recorder(endless);
  CHECK(recorder.record({1e-3}, {1, {}, {}}));
  CHECK(recorder.current().num_iter == endless.num_iter);
  CHECK(recorder.finish(StopReason::stopped_by_caller).lr.capacity() < 1000);
}

TEST_CASE("columns stay equally long whichever allocation of a recording fails") {
  auto two_groups = settings();
  two_groups.start_lr = {1e-3, 1e-4};
  const std::vector<double> group_lr{1e-2, 1e-3};
  bool failed = true;
  for (std::size_t nth = 1; failed; ++nth) {
    Recorder recorder(two_groups);
    const std::size_t rows = 4;  // fill the vectors, so that the next row allocates in all of them
    for (std::size_t i = 0; i < rows; ++i)
      recorder.record(group_lr, {1, 0.5, {{"accuracy", 0.25}}});
    Measurement measured{1, 0.5, {{"accuracy", 0.25}}};
    failing_allocation = nth;
    try {
      recorder.record(group_lr, std::move(measured));
      failed = false;
    } catch (const std::bad_alloc&) {
    }
    failing_allocation = 0;
    CAPTURE(nth);
    const History history = recorder.finish(StopReason::failed);
    const std::size_t size = failed ? rows : rows + 1;
    CHECK(history.lr.size() == size);
    CHECK(history.loss.size() == size);
    CHECK(history.raw_loss.size() == size);
    CHECK(history.group_lr[0].size() == size);
    CHECK(history.group_lr[1].size() == size);
    CHECK(history.grad_norm.size() == size);
    CHECK(history.metrics.at("accuracy").size() == size);
    CHECK((failed || nth > 6));  // one allocation for each column
  }
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
