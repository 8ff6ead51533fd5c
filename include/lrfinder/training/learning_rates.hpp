#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/curve/schedule.hpp>
#include <lrfinder/curve/settings.hpp>

namespace lrfinder::training {

/// The learning rate of every parameter group in one iteration.
inline std::vector<double> scheduled_rates(const RangeTestSettings& settings,
                                           std::int64_t iteration) {
  std::vector<double> rates(settings.start_lr.size());
  for (std::size_t group = 0; group < rates.size(); ++group) {
    rates[group] = scheduled_lr(settings.schedule, settings.start_lr[group], settings.end_lr[group],
                                iteration, settings.num_iter);
  }
  return rates;
}

/// Sets the learning rate of every parameter group.
inline void set_rates(torch::optim::Optimizer& optimizer, const std::vector<double>& rates) {
  for (std::size_t group = 0; group < rates.size(); ++group) {
    optimizer.param_groups()[group].options().set_lr(rates[group]);
  }
}

}  // namespace lrfinder::training
