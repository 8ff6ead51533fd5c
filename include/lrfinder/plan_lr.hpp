#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/error.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/torch/optimizer.hpp>

namespace lrfinder {

/// Trains by a plan: sets the learning rate of every update, and the momentum where the plan cycles
/// it.
///
///     lrfinder::PlanLR scheduler(optimizer, plan, finder.suggestion());
///     for (auto& batch : *loader) { ...; optimizer.step(); scheduler.step(); }
///
/// A scheduler as LibTorch's own: step() comes after each update. The rates of the first update are
/// set when it is made, as in PyTorch. Parameter groups keep the ratio of the rates that they had
/// then. After the last step of the plan the rate stays; a one-cycle plan throws, as PyTorch's
/// OneCycleLR.
class PlanLR : public torch::optim::LRScheduler {
 public:
  /// `optimizer`: has to outlive this. `peak`: the highest rate of its first parameter group, a
  /// number or a Suggestion.
  ///
  /// Throws InvalidOption, before anything is set, when the peak or a present rate is not positive
  /// and finite, when the plan has no steps, or when it cycles a momentum that the optimizer does
  /// not have (see TrainingPlan::keep_momentum).
  PlanLR(torch::optim::Optimizer& optimizer, TrainingPlan plan, double peak)
      : LRScheduler(optimizer), optimizer_(&optimizer), plan_(std::move(plan)) {
    if (!(peak > 0) || !std::isfinite(peak)) refuse("the peak", peak, "be positive and finite");
    std::vector<double> present;
    for (const auto& group : optimizer.param_groups()) present.push_back(group.options().get_lr());
    if (present.empty()) throw InvalidOption("PlanLR: the optimizer has no parameter groups");
    for (const double rate : present) {
      if (!(rate > 0) || !std::isfinite(rate)) {
        refuse("the learning rate of a parameter group", rate,
               "be positive and finite, because groups keep the ratio of their rates");
      }
      peaks_.push_back(peak * (rate / present.front()));
    }
    detail::set_rates(optimizer, lrs_at(0));
  }

  /// A plan that knows its peak, as TrainingPlan::cyclical(history) does.
  PlanLR(torch::optim::Optimizer& optimizer, const TrainingPlan& plan)
      : PlanLR(optimizer, plan, plan.peak().value_or(0)) {}

  /// The plan that it follows.
  const TrainingPlan& plan() const noexcept { return plan_; }

  /// Number of times that step() has been called: the step of the plan that the next update is.
  std::int64_t step_count() const noexcept { return step_count_; }

  /// Writes where it is in the plan, and the peaks of all groups.
  void save(torch::serialize::OutputArchive& archive) const {
    archive.write("plan", c10::IValue(to_string(plan_)));
    archive.write("step", c10::IValue(step_count()));
    archive.write("peaks", torch::tensor(peaks_, torch::kDouble));
  }

  /// Goes on where save() was called, with the rates and the momentum of that step.
  ///
  /// Throws InvalidOption, before anything is set, when the archive is of another plan or of
  /// another number of parameter groups.
  void load(torch::serialize::InputArchive& archive) {
    c10::IValue plan, step;
    torch::Tensor peaks;
    archive.read("plan", plan);
    archive.read("step", step);
    archive.read("peaks", peaks);
    if (plan.toStringRef() != to_string(plan_)) {
      throw InvalidOption("PlanLR: the archive is of the plan \"" + plan.toStringRef() +
                          "\", not of \"" + to_string(plan_) + '"');
    }
    const auto* const first = peaks.data_ptr<double>();
    std::vector<double> loaded(first, first + peaks.numel());
    require_groups(loaded.size());
    std::swap(peaks_, loaded);
    step_count_ = static_cast<unsigned>(step.toInt());
    detail::set_rates(*optimizer_, lrs_at(step_count()));
  }

 protected:
  /// The rates of the next step, which LRScheduler::step() sets.
  std::vector<double> get_lrs() override { return lrs_at(step_count() + 1); }

 private:
  std::vector<double> lrs_at(std::int64_t step) {
    require_groups(peaks_.size());
    std::vector<double> lrs;
    for (const double peak : peaks_) lrs.push_back(peak * plan_.fraction(step));
    if (const auto momentum = plan_.momentum(step)) {
      for (auto& group : optimizer_->param_groups()) {
        if (!detail::set_momentum(group.options(), *momentum)) {
          throw InvalidOption(
              "PlanLR: the plan cycles the momentum, which this optimizer does not have; call "
              "keep_momentum() on the plan");
        }
      }
    }
    return lrs;
  }

  void require_groups(std::size_t count) const {
    if (optimizer_->param_groups().size() == count) return;
    std::ostringstream message;
    message << "PlanLR: the optimizer has " << optimizer_->param_groups().size()
            << " parameter groups, but the rates are of " << count
            << "; make a new PlanLR after adding or removing groups";
    throw InvalidOption(message.str());
  }

  [[noreturn]] static void refuse(const char* what, double given, const char* rule) {
    std::ostringstream message;
    message << "PlanLR: " << what << " (" << given << ") must " << rule;
    throw InvalidOption(message.str());
  }

  torch::optim::Optimizer* optimizer_;
  TrainingPlan plan_;
  std::vector<double> peaks_;  // of each parameter group
};

/// Saves a scheduler, as LibTorch saves its optimizers.
inline torch::serialize::OutputArchive& operator<<(torch::serialize::OutputArchive& archive,
                                                   const PlanLR& scheduler) {
  scheduler.save(archive);
  return archive;
}
/// Loads a scheduler, as LibTorch loads its optimizers.
inline torch::serialize::InputArchive& operator>>(torch::serialize::InputArchive& archive,
                                                  PlanLR& scheduler) {
  scheduler.load(archive);
  return archive;
}

}  // namespace lrfinder
