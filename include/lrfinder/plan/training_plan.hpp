#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>

#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/plan/shapes.hpp>
#include <lrfinder/suggest/steepest.hpp>

namespace lrfinder {

/// How the learning rate of a training goes, step by step, as a share of its peak.
///
///     auto plan = TrainingPlan().steps(10000).warmup(500).decay(Decay::cosine);
///     auto cycle = TrainingPlan::one_cycle(10000);
///     double lr = peak * plan.fraction(step);
///
/// A plan is a value. Setters chain; each throws InvalidOption for what makes no sense, and then
/// the plan stays as it was. The rates equal those of PyTorch's schedulers, step by step.
class TrainingPlan {
 public:
  /// A constant rate, until setters say otherwise. It has no rates before steps() is called.
  TrainingPlan() = default;

  /// One cycle, up to the peak and down to almost nothing (Smith & Topin 2017, arXiv:1708.07120),
  /// as PyTorch's OneCycleLR: a warm-up over 0.3 of the steps, from 1/25 of the peak, and a decay
  /// to 1/10,000 of where it began. Both go on a cosine; `decay(Decay::linear)` takes lines.
  /// Momentum goes inversely, from 0.95 to 0.85 and back.
  static TrainingPlan one_cycle(std::int64_t steps) {
    TrainingPlan plan;
    plan.shape_ = Shape::one_cycle;
    plan.decay_ = Decay::cosine;
    plan.start_fraction_ = 1.0 / 25;
    plan.final_fraction_ = plan.start_fraction_ / 1e4;
    plan.momentum_ = {0.85, 0.95};
    return plan.steps(steps).warmup(0.3);
  }

  /// Cycles between `base`, a share of the peak, and the peak (Smith 2015, arXiv:1506.01186), as
  /// PyTorch's CyclicLR: `step_size` steps up, and as many down. Smith recommends 2 to 10 epochs
  /// for `step_size`, and at least three cycles.
  static TrainingPlan cyclical(std::int64_t steps, double base, std::int64_t step_size) {
    TrainingPlan plan;
    plan.shape_ = Shape::cyclical;
    return plan.steps(steps).start_fraction(base).step_size(step_size);
  }

  /// Cycles between the rates that suggest::bounds() reads off a range test, of which peak() has
  /// the upper one: four cycles, unless step_size() says otherwise. steps() is to be called.
  ///
  /// Throws NoSuggestion where the curve has no bounds.
  static TrainingPlan cyclical(const History& history) {
    const LearningRateBounds bounds = suggest::bounds(history);
    TrainingPlan plan;
    plan.shape_ = Shape::cyclical;
    plan.peak_ = bounds.max_lr;
    return plan.start_fraction(bounds.base_lr / bounds.max_lr);
  }

  /// Number of optimizer updates, at least 1 and more than the warm-up has.
  TrainingPlan& steps(std::int64_t steps) {
    require(steps >= 1, "steps", steps, "at least 1");
    require(warmup_steps_ < steps, "steps", steps, "more than those of the warm-up");
    steps_ = steps;
    return *this;
  }
  /// Number of optimizer updates; 0 before it is set.
  std::int64_t steps() const noexcept { return steps_; }

  /// How the rate falls after the warm-up; in a one-cycle plan also how it rises, `cosine` or
  /// `linear`. Default: Decay::none.
  TrainingPlan& decay(Decay decay) {
    const bool smooth = decay == Decay::cosine || decay == Decay::linear;
    require(shape_ != Shape::one_cycle || smooth, "decay", "of a one-cycle plan",
            "cosine or linear");
    require(shape_ != Shape::cyclical, "decay", "of a cyclical plan", "left out; see cycle()");
    decay_ = decay;
    return *this;
  }
  /// How the rate falls.
  Decay decay() const noexcept { return decay_; }

  /// The rate at the end as a share of the peak, in [0, 1]; Decay::inverse_sqrt and Decay::step do
  /// not fall below it. Default: 0.
  TrainingPlan& final_fraction(double share) {
    require(share >= 0 && share <= 1, "final_fraction", share, "in [0, 1]");
    final_fraction_ = share;
    return *this;
  }
  /// The rate at the end as a share of the peak.
  double final_fraction() const noexcept { return final_fraction_; }

  /// The rate at the start of a warm-up, or at the bottom of a cycle, as a share of the peak, in
  /// [0, 1]. Default: 0.
  TrainingPlan& start_fraction(double share) {
    require(share >= 0 && share <= 1, "start_fraction", share, "in [0, 1]");
    start_fraction_ = share;
    return *this;
  }
  /// The rate at the start as a share of the peak.
  double start_fraction() const noexcept { return start_fraction_; }

  /// The rate first rises over so many steps, less than all: on a line, in a one-cycle plan as its
  /// decay() falls. Default: 0.
  template <class Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
  TrainingPlan& warmup(Integer steps) {
    const auto count = static_cast<std::int64_t>(steps);
    require(count >= 0, "warmup", count, "at least 0 steps");
    require(steps_ == 0 || count < steps_, "warmup", count, "less than all steps");
    require_warmup_fits(count > 0);
    warmup_steps_ = count;
    warmup_share_.reset();
    return *this;
  }
  /// The same as a share of all steps, in [0, 1).
  TrainingPlan& warmup(double share) {
    require(share >= 0 && share < 1, "warmup", share, "a share in [0, 1), or a number of steps");
    require_warmup_fits(share > 0);
    warmup_steps_ = 0;
    warmup_share_ = share;
    return *this;
  }
  /// Number of steps of the warm-up; that of a share need not be whole.
  double warmup() const noexcept {
    return warmup_share_ ? *warmup_share_ * static_cast<double>(steps_)
                         : static_cast<double>(warmup_steps_);
  }

  /// Steps from one fall to the next of Decay::step, or of half a cycle; at least 1. Default: a
  /// third of the steps after the warm-up; in a cyclical plan an eighth of all steps.
  TrainingPlan& step_size(std::int64_t steps) {
    require(steps >= 1, "step_size", steps, "at least 1");
    step_size_ = steps;
    return *this;
  }
  /// Steps from one fall to the next, or of half a cycle.
  std::int64_t step_size() const noexcept {
    const auto steps = static_cast<double>(steps_);
    const double share = shape_ == Shape::cyclical ? steps / 8 : (steps - warmup()) / 3;
    return step_size_.value_or(std::max<std::int64_t>(1, std::llround(share)));
  }

  /// What the rate is multiplied by at each fall of Decay::step, or at each step of
  /// Cycle::exp_range; in (0, 1]. Default: 0.1, as in PyTorch's StepLR.
  TrainingPlan& gamma(double factor) {
    require(factor > 0 && factor <= 1, "gamma", factor, "in (0, 1]");
    gamma_ = factor;
    return *this;
  }
  /// The factor of a fall, or of a step.
  double gamma() const noexcept { return gamma_; }

  /// How the cycles of a cyclical plan shrink. Default: Cycle::triangular.
  TrainingPlan& cycle(Cycle cycle) {
    require(shape_ == Shape::cyclical, "cycle", "of this plan", "left out; see cyclical()");
    cycle_ = cycle;
    return *this;
  }
  /// How cycles shrink.
  Cycle cycle() const noexcept { return cycle_; }

  /// Momentum (SGD's momentum, Adam's first beta) goes from `high` at the lowest rate to `low` at
  /// the peak; 0 <= low <= high < 1. Default: 0.85 and 0.95 in a one-cycle plan; in others it
  /// stays.
  TrainingPlan& cycle_momentum(double low, double high) {
    require(0 <= low && low <= high && high < 1, "cycle_momentum", low,
            "in [0, high], high below 1");
    require(shape_ != Shape::decay, "cycle_momentum", "of this plan", "left out: it has no cycle");
    momentum_ = {low, high};
    return *this;
  }
  /// Momentum stays as it is.
  TrainingPlan& keep_momentum() {
    momentum_.reset();
    return *this;
  }
  /// Whether momentum goes with the rate.
  bool cycles_momentum() const noexcept { return momentum_.has_value(); }

  /// The peak that the plan was made for, where it knows one: cyclical(history) does.
  std::optional<double> peak() const noexcept { return peak_; }

  /// The rate at a step as a share of the peak. `step`: from 0, the first update. Steps past the
  /// end keep the last rate.
  ///
  /// Throws InvalidOption for a negative step, before steps() is called and, as PyTorch's
  /// OneCycleLR, for a step past the end of a one-cycle plan.
  double fraction(std::int64_t step) const {
    const double at = position(step);
    if (shape_ == Shape::one_cycle)
      return one_cycle_between(at, start_fraction_, 1, final_fraction_);
    if (shape_ == Shape::cyclical)
      return start_fraction_ + (1 - start_fraction_) * cycle_height(at);
    if (at < warmup()) return start_fraction_ + (1 - start_fraction_) * at / warmup();
    return decayed(at - warmup(), static_cast<double>(steps_) - warmup());
  }

  /// The momentum at a step; none where the plan leaves it alone. Throws as fraction().
  std::optional<double> momentum(std::int64_t step) const {
    const double at = position(step);
    if (!momentum_) return std::nullopt;
    const auto [low, high] = *momentum_;
    if (shape_ == Shape::one_cycle) return one_cycle_between(at, high, low, high);
    return high - (high - low) * cycle_height(at);
  }

  /// The mean rate over the last fifth of the steps, as a share of the peak: 1 for a constant rate,
  /// near 0 for one that decays to 0. Throws as fraction().
  double final_share() const {
    constexpr int samples = 20;
    double sum = 0;
    for (int i = 0; i < samples; ++i) {
      const double at = static_cast<double>(steps_) * (0.8 + 0.2 * (i + 0.5) / samples);
      sum += fraction(static_cast<std::int64_t>(at));
    }
    return sum / samples;
  }

  /// The plan in a few words: "cosine decay over 10000 steps, warm-up over 500".
  friend std::string to_string(const TrainingPlan& plan) {
    static constexpr const char* decays[] = {"constant rate", "linear decay", "cosine decay",
                                             "inverse square root decay", "step decay"};
    std::ostringstream words;
    words << (plan.shape_ == Shape::one_cycle  ? "one cycle"
              : plan.shape_ == Shape::cyclical ? "cycles"
                                               : decays[static_cast<int>(plan.decay_)])
          << " over " << plan.steps_ << " steps";
    if (plan.warmup() > 0) words << ", warm-up over " << std::llround(plan.warmup());
    return words.str();
  }

 private:
  enum class Shape { decay, one_cycle, cyclical };

  template <class Value>
  static void require(bool holds, const char* name, const Value& given, const char* allowed) {
    if (holds) return;
    std::ostringstream message;
    message << "TrainingPlan: " << name << " (" << given << ") must be " << allowed;
    throw InvalidOption(message.str());
  }

  void require_warmup_fits(bool any) const {
    require(!any || shape_ != Shape::cyclical, "warmup", "of a cyclical plan", "left out");
  }

  // The step as a number, at most that of the end.
  double position(std::int64_t step) const {
    require(steps_ > 0, "steps", steps_, "set by steps() first");
    require(step >= 0, "step", step, "at least 0");
    require(shape_ != Shape::one_cycle || step <= steps_, "step", step,
            "at most the steps of a one-cycle plan");
    return static_cast<double>(std::min(step, steps_));
  }

  double one_cycle_between(double at, double low, double peak, double end) const {
    const detail::OneCyclePosition position(at, warmup(), static_cast<double>(steps_));
    const double from = position.rises ? low : peak, to = position.rises ? peak : end;
    if (decay_ == Decay::linear) return (to - from) * position.share + from;
    return to + (from - to) * detail::cosine_fall(position.share);
  }

  double cycle_height(double at) const {
    const detail::CyclePosition position(at, static_cast<double>(step_size()));
    if (cycle_ == Cycle::triangular2) return position.height / std::pow(2, position.number - 1);
    if (cycle_ == Cycle::exp_range) return position.height * std::pow(gamma_, at);
    return position.height;
  }

  // The rate so many steps after the warm-up, of `all` that there are.
  double decayed(double after, double all) const {
    switch (decay_) {
      case Decay::none:
        return 1;
      case Decay::linear:
        return 1 + (final_fraction_ - 1) * after / all;
      case Decay::cosine:
        return final_fraction_ + (1 - final_fraction_) * detail::cosine_fall(after / all);
      case Decay::inverse_sqrt: {
        const double scale = std::max(warmup(), 1.0);
        return std::max(final_fraction_, std::sqrt(scale / (scale + after)));
      }
      case Decay::step: {
        const double falls = std::floor(after / static_cast<double>(step_size()));
        return std::max(final_fraction_, std::pow(gamma_, falls));
      }
    }
    return 1;
  }

  Shape shape_ = Shape::decay;
  std::int64_t steps_ = 0;
  Decay decay_ = Decay::none;
  double start_fraction_ = 0;
  double final_fraction_ = 0;
  std::int64_t warmup_steps_ = 0;
  std::optional<double> warmup_share_;
  std::optional<std::int64_t> step_size_;
  double gamma_ = 0.1;
  Cycle cycle_ = Cycle::triangular;
  std::optional<std::pair<double, double>> momentum_;
  std::optional<double> peak_;
};

}  // namespace lrfinder
