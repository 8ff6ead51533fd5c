#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/detail/system.hpp>
#include <lrfinder/history/iteration.hpp>
#include <lrfinder/history/progress.hpp>
#include <lrfinder/race/options.hpp>
#include <lrfinder/torch/optimizer.hpp>

namespace lrfinder::detail {

/// Shows how far a race is, where the options ask for it.
class RaceProgress {
 public:
  /// `num_iter`: the most updates that the race will take. `shows`: whether this process does.
  RaceProgress(const RaceOptions& options, std::int64_t num_iter, bool shows) {
    shown_.num_iter = num_iter;
    shown_.index = -1;
    shown_.best_loss = std::numeric_limits<double>::infinity();
    if (options.progress() && shows) {
      progress_ = std::make_unique<Progress>(std::cerr, is_terminal(stderr));
    }
  }

  /// Shows an update.
  void operator()(double lr, double loss) {
    ++shown_.index;
    shown_.lr = lr;
    shown_.loss = loss;
    shown_.best_loss = std::fmin(shown_.best_loss, loss);
    if (progress_) (*progress_)(shown_);
  }

 private:
  Iteration shown_;
  std::unique_ptr<Progress> progress_;
};

/// Training at constant rates, one for each parameter group, from where everything stands.
class Trial {
 public:
  /// The references live as long as this.
  Trial(std::vector<double> rates, std::int64_t num_iter, torch::optim::Optimizer& optimizer,
        RaceProgress& progress)
      : rates_(std::move(rates)), num_iter_(num_iter), optimizer_(optimizer), progress_(progress) {}

  /// Takes all updates, or those up to the first loss that is not finite. `measure()` returns what
  /// was measured before the last update. Returns the mean over the last quarter of the updates;
  /// an infinite loss where one was not finite.
  template <class Step, class Measure>
  Measurement train(Step& step, Measure&& measure) {
    set_rates(optimizer_, rates_);
    const std::int64_t averaged = std::max<std::int64_t>(1, num_iter_ / 4);
    Measurement mean;
    while (done_ < num_iter_) {
      step();
      const Measurement measured = measure();
      ++done_;
      progress_(rates_.front(), measured.loss);
      if (!std::isfinite(measured.loss)) {
        mean.loss = std::numeric_limits<double>::infinity();
        return mean;
      }
      if (done_ <= num_iter_ - averaged) continue;
      const double share = 1 / static_cast<double>(averaged);
      mean.loss += share * measured.loss;
      for (const auto& [name, value] : measured.metrics) mean.metrics[name] += share * value;
    }
    return mean;
  }

  /// Number of updates taken.
  std::int64_t done() const noexcept { return done_; }

 private:
  std::vector<double> rates_;
  std::int64_t num_iter_;
  std::int64_t done_ = 0;
  torch::optim::Optimizer& optimizer_;
  RaceProgress& progress_;
};

}  // namespace lrfinder::detail
