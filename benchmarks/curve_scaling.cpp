// How the time of every recipe grows with the length of the curve.

#include <cmath>
#include <vector>

#include <benchmark/benchmark.h>

#include <lrfinder/curve.hpp>

namespace {

using namespace lrfinder;

/// A plateau, a descent and a divergence over eight decades, with a ripple for noise.
History curve(std::int64_t num_iter) {
  std::vector<double> lr, loss;
  for (std::int64_t i = 0; i < num_iter; ++i) {
    lr.push_back(scheduled_lr(RangeSchedule::exponential, 1e-7, 10, i, num_iter));
    const double fall = 1.8 / (1 + std::exp(-5 * std::log10(lr.back() / 1e-2)));
    loss.push_back(2.3 - fall + 4 * lr.back() * lr.back() +
                   0.05 * std::sin(static_cast<double>(i) * static_cast<double>(i)));
  }
  return {lr, loss};
}

template <class Read>
void read_curve(benchmark::State& state, Read read) {
  const History history = curve(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(read(history));
  state.SetComplexityN(state.range(0));
}

void sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->RangeMultiplier(10)->Range(1'000, 1'000'000)->Unit(benchmark::kMillisecond);
  benchmark->Complexity(benchmark::oNLogN);
}

BENCHMARK_CAPTURE(read_curve, steepest, suggest::steepest)->Apply(sizes);
BENCHMARK_CAPTURE(read_curve, gradient_argmin, [](const History& history) {
  return suggest::gradient_argmin(history);
})->Apply(sizes);
BENCHMARK_CAPTURE(read_curve, lightning, [](const History& history) {
  return suggest::lightning(history);
})->Apply(sizes);
BENCHMARK_CAPTURE(read_curve, ignite, suggest::ignite)->Apply(sizes);
BENCHMARK_CAPTURE(read_curve, valley, suggest::valley)->Apply(sizes);
BENCHMARK_CAPTURE(read_curve, slide, suggest::slide)->Apply(sizes);
BENCHMARK_CAPTURE(read_curve, minimum, suggest::minimum)->Apply(sizes);
BENCHMARK_CAPTURE(read_curve, steep, suggest::steep)->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
