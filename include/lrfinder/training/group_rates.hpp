#pragma once

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>

/// @file
/// The learning rates of all parameter groups, one for each group.

namespace lrfinder::detail {

/// The present rate of every group.
///
/// Throws InvalidOption if the optimizer has nothing to update, or its options lack get_lr().
inline std::vector<double> present_rates(const torch::optim::Optimizer& optimizer) {
  std::vector<double> rates;
  std::size_t parameters = 0;
  for (const auto& group : optimizer.param_groups()) {
    parameters += group.params().size();
    try {
      rates.push_back(group.options().get_lr());
    } catch (const c10::Error&) {
      throw InvalidOption(concat("LRFinder: the options of parameter group ", rates.size(),
                                 " of the optimizer do not tell their learning rate; override "
                                 "get_lr() and set_lr() in them"));
    }
  }
  require_option(parameters > 0,
                 "LRFinder: the optimizer has no parameters; construct it with those of the model, "
                 "for example torch::optim::SGD(model->parameters(), 0.01)");
  return rates;
}

/// Returns one rate for each group: `given` if it has one value for each. If it has only one value,
/// that is for the first group whose rate in `reference` is not 0. The other groups get the ratios
/// of `reference`, so those at 0 stay there. Rates that are all 0 count as equal. `name`: the name
/// of the given values, for messages.
///
/// Throws InvalidOption for another number of values, or if a ratio is not finite.
inline std::vector<double> spread_over_groups(const std::vector<double>& given,
                                              const std::vector<double>& reference,
                                              const std::string& name) {
  if (given.size() == reference.size()) return given;
  require_option(given.size() == 1, name, " has ", given.size(), " values but the optimizer has ",
                 reference.size(), " parameter groups; give one value, or one for each group");
  const double first = first_rate(reference);
  std::vector<double> spread;
  for (const double rate : reference) {
    const double ratio = rate == first ? 1 : rate / first;
    require_option(std::isfinite(ratio), name, " has one value, but the rate ", rate, " of group ",
                   spread.size(), " has no ratio to the first rate, ", first,
                   "; give one value for each group");
    spread.push_back(given.front() * ratio);
  }
  return spread;
}

/// Returns the rates of all groups for the rate `lr` of a history. The ratios are those of the
/// iteration whose rate is nearest to `lr`. A group that kept its rate keeps it. If the history
/// lacks the rates of all groups, the ratios are those of `present`.
inline std::vector<double> group_rates(const History& history, double lr,
                                       const std::vector<double>& present) {
  if (history.group_lr.size() != present.size()) {
    return spread_over_groups({lr}, present, "LRFinder: the history");
  }
  const std::size_t nearest = nearest_index(history.lr, lr);
  const bool is_test = history.size() > 1 && history.lr.front() != history.lr.back();
  std::vector<double> rates;
  for (const std::vector<double>& column : history.group_lr) {
    const bool keeps_rate = is_test && column.front() == column.back();
    const double ratio = column.at(nearest) / history.lr.at(nearest);
    rates.push_back(keeps_rate ? column.front() : lr * ratio);
  }
  return rates;
}

}  // namespace lrfinder::detail
