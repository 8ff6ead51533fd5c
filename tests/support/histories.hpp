#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include <lrfinder/history/history.hpp>
#include <lrfinder/history/recorder.hpp>

// Curves as range tests leave them, made by formula.
namespace histories {

struct Shape {
  double start_lr = 1e-7;
  double end_lr = 10;
  int num_iter = 100;
  lrfinder::RangeSchedule schedule = lrfinder::RangeSchedule::exponential;
  double start_loss = 2.3;   ///< the plateau at the left
  double descent = 1.9;      ///< how far the loss falls
  double falls_at = 1e-2;    ///< learning rate in the middle of the descent
  double diverges_at = 1.5;  ///< learning rate from which the loss grows
  double noise = 0.03;       ///< standard deviation of the raw loss
  double diverge_th = 5;
  std::uint32_t seed = 1;
};

/// The history that the library's own recorder writes for a loss of this shape.
inline lrfinder::History recorded(const Shape& shape) {
  std::mt19937 bits(shape.seed);
  const auto uniform = [&bits] { return (static_cast<double>(bits()) + 0.5) / 4294967296.0; };
  lrfinder::RangeTestSettings settings;
  settings.start_lr = {shape.start_lr};
  settings.end_lr = {shape.end_lr};
  settings.num_iter = shape.num_iter;
  settings.schedule = shape.schedule;
  settings.smooth_f = 0.2;
  settings.diverge_th = shape.diverge_th;
  lrfinder::Recorder recorder(settings);
  for (int i = 0; i < shape.num_iter; ++i) {
    const double lr =
        lrfinder::scheduled_lr(shape.schedule, shape.start_lr, shape.end_lr, i, shape.num_iter);
    const double normal =
        std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586 * uniform());
    const double fallen = shape.descent / (1 + std::pow(shape.falls_at / lr, 1.3));
    const double diverged = std::expm1(std::fmin(40, 2.5 * lr / shape.diverges_at)) * 0.05;
    const double loss = shape.start_loss - fallen + diverged + shape.noise * normal;
    if (!recorder.record({lr}, {loss, {}, {}})) {
      return recorder.finish(lrfinder::StopReason::non_finite_loss);
    }
    if (recorder.has_diverged()) return recorder.finish(lrfinder::StopReason::diverged);
  }
  return recorder.finish(lrfinder::StopReason::completed);
}

/// What a search has found.
inline lrfinder::Suggestion found(double lr, double low, double high,
                                  std::vector<lrfinder::Trial> trials) {
  lrfinder::Suggestion suggestion;
  suggestion.lr = lr;
  suggestion.low = low;
  suggestion.high = high;
  suggestion.recipe = "find";
  suggestion.trials = std::move(trials);
  return suggestion;
}

}  // namespace histories
