#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/torch/optimizer.hpp>

namespace lrfinder {

/// Trains by a plan: sets the learning rate of every update, and the momentum if it is cycled.
///
///     lrfinder::PlanLR scheduler(optimizer, plan, finder.suggestion());
///     for (auto& batch : *loader) { ...; optimizer.step(); scheduler.step(); }
///
/// It is used like LibTorch's own schedulers: step() comes after each update. The constructor sets
/// the rates of the first update. Parameter groups keep the ratio of their rates, so groups at rate
/// 0 stay there. After the last step of the plan the rate stays. A one-cycle plan throws instead,
/// like PyTorch's OneCycleLR. The momentum is the option `momentum` of SGD and RMSprop, the first
/// beta of Adam and AdamW, or the momentum of MomentumOptions.
class PlanLR : public torch::optim::LRScheduler {
 public:
  /// `optimizer`: must outlive the scheduler. `peak`: the highest rate of the first parameter group
  /// whose rate is not 0, a number or a Suggestion.
  ///
  /// Throws InvalidOption, before anything is set, if the peak or a present rate is negative or not
  /// finite, if the peak or all present rates are 0, if the optimizer has no parameter groups, if
  /// the plan has no steps, or if the plan cycles a momentum that the optimizer does not have.
  PlanLR(torch::optim::Optimizer& optimizer, TrainingPlan plan, double peak)
      : LRScheduler(optimizer), optimizer_(&optimizer), plan_(std::move(plan)) {
    require_rate("the peak", peak, "; pass the highest learning rate, or a Suggestion");
    const auto& groups = optimizer.param_groups();
    require(!groups.empty(), "the optimizer has no parameter groups");
    double first = 0;  // the first rate that is not 0
    for (const auto& group : groups) {
      const double rate = group.options().get_lr();
      if (first == 0) first = rate;
      if (rate != 0) {
        require_rate("the learning rate of a parameter group", rate,
                     ", because groups keep the ratio of their rates");
      }
      peaks_.push_back(rate == 0 ? 0 : peak * (rate / first));
    }
    require_rate("the learning rate of the first parameter group", first,
                 ", because groups keep the ratio of their rates");
    if (plan_.cycles_momentum()) detail::require_momentum(optimizer, "PlanLR");
    detail::set_rates(optimizer, rates_at(0, peaks_));
    detail::set_momentum(optimizer, plan_.momentum(0));
  }

  /// Takes the peak from the plan. Only a plan of TrainingPlan::cyclical(history) has one.
  ///
  /// Throws InvalidOption if the plan has no peak, and what the other constructor throws.
  PlanLR(torch::optim::Optimizer& optimizer, const TrainingPlan& plan)
      : PlanLR(optimizer, plan, peak_of(plan)) {}

  /// The plan that the scheduler follows.
  const TrainingPlan& plan() const noexcept { return plan_; }

  /// The number of calls of step(). The next update is this step of the plan, counted from 0.
  std::int64_t step_count() const noexcept { return step_count_; }

  /// Writes the plan as text, the step count, and the peaks of all groups.
  void save(torch::serialize::OutputArchive& archive) const {
    archive.write("plan", c10::IValue(describe(plan_)));
    archive.write("step", c10::IValue(step_count()));
    archive.write("peaks", c10::IValue(peaks_));
  }

  /// Continues from a saved scheduler, with the rates and the momentum of its step.
  ///
  /// Throws InvalidOption, before anything is set, if the archive is damaged, or was saved with
  /// another plan or another number of parameter groups.
  void load(torch::serialize::InputArchive& archive) {
    c10::IValue plan, step, peaks;
    const bool holds_all = archive.try_read("plan", plan) && plan.isString() &&
                           archive.try_read("step", step) && step.isInt() &&
                           archive.try_read("peaks", peaks) && peaks.isDoubleList();
    const std::int64_t count = holds_all ? step.toInt() : -1;
    require(count >= 0 && count <= std::numeric_limits<decltype(step_count_)>::max(),
            "the archive is damaged, or not that of a PlanLR");
    require(plan.toStringRef() == describe(plan_), "the archive is of another plan, \"",
            plan.toStringRef(), "\"; this one is \"", describe(plan_), '"');
    std::vector<double> loaded = peaks.toDoubleVector();
    for (std::size_t i = 0; i < loaded.size(); ++i) {
      const bool stays_at_0 = loaded[i] == 0 && i < peaks_.size() && peaks_[i] == 0;
      if (!stays_at_0) require_rate("a peak of the archive", loaded[i], "");
    }
    detail::set_rates(*optimizer_, rates_at(count, loaded));
    detail::set_momentum(*optimizer_, plan_.momentum(count));
    peaks_ = std::move(loaded);
    step_count_ = static_cast<decltype(step_count_)>(count);
  }

 protected:
  /// Returns the rates of the next step, which LRScheduler::step() then sets. LRScheduler::step()
  /// calls no other function, so get_lrs() also sets the momentum.
  std::vector<double> get_lrs() override {
    const std::int64_t next = step_count() + 1;
    std::vector<double> rates = rates_at(next, peaks_);
    detail::set_momentum(*optimizer_, plan_.momentum(next));
    return rates;
  }

 private:
  static double peak_of(const TrainingPlan& plan) {
    require(plan.peak().has_value(),
            "the plan has no peak; pass the highest learning rate, or a Suggestion, as the third "
            "argument: PlanLR(optimizer, plan, finder.find(*loader, plan))");
    return *plan.peak();
  }

  std::vector<double> rates_at(std::int64_t step, std::vector<double> peaks) const {
    const std::size_t groups = optimizer_->param_groups().size();
    require(groups == peaks.size(), "the optimizer has ", groups,
            " parameter groups, but the rates are of ", peaks.size(),
            "; make a new PlanLR after adding or removing groups");
    const double factor = plan_.factor(step);
    for (double& peak : peaks) peak *= factor;
    return peaks;
  }

  static void require_rate(const char* what, double rate, const char* why) {
    require(rate > 0 && std::isfinite(rate), what, " (", rate, ") must be positive and finite",
            why);
  }

  template <class... Parts>
  static void require(bool holds, const Parts&... message) {
    if (!holds) throw InvalidOption(detail::concat("PlanLR: ", message...));
  }

  torch::optim::Optimizer* optimizer_;
  TrainingPlan plan_;
  std::vector<double> peaks_;  // one for each parameter group
};

/// For torch::save().
inline torch::serialize::OutputArchive& operator<<(torch::serialize::OutputArchive& archive,
                                                   const PlanLR& scheduler) {
  scheduler.save(archive);
  return archive;
}
/// For torch::load().
inline torch::serialize::InputArchive& operator>>(torch::serialize::InputArchive& archive,
                                                  PlanLR& scheduler) {
  scheduler.load(archive);
  return archive;
}

}  // namespace lrfinder
