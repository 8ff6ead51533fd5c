#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/plan/decay.hpp>
#include <lrfinder/suggest/steepest.hpp>

namespace lrfinder {

/// The course of the learning rate in a training: a factor of its peak for each step.
///
///     auto plan = TrainingPlan().steps(10000).warmup(500).decay(Decay::cosine);
///     auto cycle = TrainingPlan::one_cycle(10000);
///     double lr = peak * plan.factor(step);
///
/// A plan is a value. Its setters can be chained. If a setter throws InvalidOption, the plan stays
/// as it was. The rates equal those of PyTorch's schedulers, step by step.
class TrainingPlan {
 public:
  /// A constant rate. steps() must be called before factor().
  TrainingPlan() = default;

  /// One cycle (Smith & Topin 2017, arXiv:1708.07120), like PyTorch's OneCycleLR: a warm-up over
  /// 0.3 of the steps, from 1/25 of the peak, and a decay to 1/10,000 of the first rate. Both
  /// follow a cosine, or a line after `decay(Decay::linear)`. Momentum falls from 0.95 to 0.85, and
  /// rises again.
  static TrainingPlan one_cycle(std::int64_t steps) {
    TrainingPlan plan(Shape::one_cycle);
    plan.decay_ = Decay::cosine;
    plan.start_factor_ = 1.0 / 25;
    plan.end_factor_ = plan.start_factor_ / 1e4;
    return plan.steps(steps).warmup(0.3).cycle_momentum(0.85, 0.95);
  }

  /// Cycles between a base rate and the peak (Smith 2015, arXiv:1506.01186), like PyTorch's
  /// CyclicLR. `base`: the base rate as a factor of the peak. `step_size`: the steps up, and as
  /// many down. Smith recommends 2 to 10 epochs for `step_size`, and at least three cycles.
  static TrainingPlan cyclical(std::int64_t steps, double base, std::int64_t step_size) {
    return TrainingPlan(Shape::cyclical).steps(steps).start_factor(base).step_size(step_size);
  }

  /// Four cycles between the rates that suggest::bounds() reads off a range test. peak() is the
  /// upper rate. step_size() changes the number of cycles. steps() must be called.
  ///
  /// Throws NoSuggestion if the curve has no bounds.
  static TrainingPlan cyclical(const History& history) {
    const LearningRateBounds bounds = suggest::bounds(history);
    TrainingPlan plan(Shape::cyclical);
    plan.peak_ = bounds.max_lr;
    return plan.start_factor(bounds.base_lr / bounds.max_lr);
  }

  /// Number of optimizer updates. At least 1, and more than the steps of the warm-up.
  TrainingPlan& steps(std::int64_t steps) {
    require(steps >= 1, "steps", steps, "at least 1");
    require(warmup_ < static_cast<double>(steps), "steps", steps, "more than those of the warm-up");
    steps_ = steps;
    return *this;
  }
  /// Number of optimizer updates; 0 if it is not set yet.
  std::int64_t steps() const noexcept { return steps_; }

  /// How the rate falls after the warm-up. Default: Decay::none. In a one-cycle plan also how the
  /// rate rises: Decay::cosine (the default) or Decay::linear.
  TrainingPlan& decay(Decay decay) {
    const auto number = static_cast<std::size_t>(decay);
    require(number < std::size(detail::decay_names), "decay", number,
            "one of the enumerators of Decay");
    const bool one_cycle_takes_it = decay == Decay::cosine || decay == Decay::linear;
    require(shape_ != Shape::one_cycle || one_cycle_takes_it, "decay", "of a one-cycle plan",
            "cosine or linear");
    require(shape_ != Shape::cyclical, "decay", "of a cyclical plan", "left out; see cycle()");
    decay_ = decay;
    own_decay_.reset();
    return *this;
  }
  /// A decay of your own: the factor as a function of the share of the way. The share is 0 at the
  /// end of the warm-up, and 1 one step after the last update.
  ///
  ///     plan.decay([](double share) { return (1 - share) * (1 - share); }, "quadratic");
  ///
  /// The factor must be finite and not negative. end_factor() does not apply to this decay. `name`:
  /// for to_string() and messages.
  TrainingPlan& decay(std::function<double(double share)> factor, std::string name = "own") {
    require(factor != nullptr, "decay", "an empty function", "a function of the share");
    require(shape_ == Shape::decay, "decay", "a function", "left out of plans with cycles");
    detail::OwnDecay own{std::move(factor), std::move(name)};
    static_cast<void>(own.text());  // checks some of its factors
    own_decay_ = std::move(own);
    return *this;
  }
  /// The name of the decay, for example "cosine", or the name of your own decay.
  std::string decay() const {
    return own_decay_ ? own_decay_->name : detail::decay_names[static_cast<std::size_t>(decay_)];
  }

  /// The factor at the end, in [0, 1]. Decay::inverse_sqrt and Decay::step do not fall below it.
  /// Default: 0; 1/250,000 in a one-cycle plan.
  TrainingPlan& end_factor(double factor) {
    require(factor >= 0 && factor <= 1, "end_factor", factor, "in [0, 1]");
    end_factor_ = factor;
    return *this;
  }
  /// The factor at the end.
  double end_factor() const noexcept { return end_factor_; }

  /// The factor at the start of a warm-up, or at the bottom of a cycle, in [0, 1]. Default: 0; 1/25
  /// in a one-cycle plan.
  TrainingPlan& start_factor(double factor) {
    require(factor >= 0 && factor <= 1, "start_factor", factor, "in [0, 1]");
    start_factor_ = factor;
    return *this;
  }
  /// The factor at the start of a warm-up, or at the bottom of a cycle.
  double start_factor() const noexcept { return start_factor_; }

  /// Length of the warm-up: a whole number of steps, less than all, or a share in [0, 1). The rate
  /// rises linearly; in a one-cycle plan as decay() says. Default: 0; in a one-cycle plan 0.3.
  template <class Number>
  TrainingPlan& warmup(Number steps_or_share) {
    const auto given = static_cast<double>(steps_or_share);
    require(given >= 0, "warmup", given, "at least 0 steps");
    require(given < 1 || std::is_integral_v<Number>, "warmup", given,
            "a share in [0, 1), or a whole number of steps");
    require(given < 1 || steps_ == 0 || given < static_cast<double>(steps_), "warmup", given,
            "less than all steps");
    require(given == 0 || shape_ != Shape::cyclical, "warmup", "of a cyclical plan", "left out");
    warmup_ = given;
    return *this;
  }
  /// Number of steps of the warm-up. It may be fractional if a share was given.
  double warmup() const noexcept {
    return warmup_ < 1 ? warmup_ * static_cast<double>(steps_) : warmup_;
  }

  /// Steps from one fall to the next with Decay::step, or steps of half a cycle; at least 1.
  /// Default: a third of the steps after the warm-up; in a cyclical plan an eighth of all steps.
  TrainingPlan& step_size(std::int64_t steps) {
    require(steps >= 1, "step_size", steps, "at least 1");
    step_size_ = steps;
    return *this;
  }
  /// Steps from one fall to the next, or steps of half a cycle.
  std::int64_t step_size() const noexcept {
    const auto steps = static_cast<double>(steps_);
    const double share = shape_ == Shape::cyclical ? steps / 8 : (steps - warmup()) / 3;
    return step_size_.value_or(std::max<std::int64_t>(1, std::llround(share)));
  }

  /// Factor at each fall of Decay::step or step of Cycle::exp_range, in (0, 1]. Default: 0.1.
  TrainingPlan& gamma(double factor) {
    require(factor > 0 && factor <= 1, "gamma", factor, "in (0, 1]");
    gamma_ = factor;
    return *this;
  }
  /// Factor of the rate at each fall, or at each step.
  double gamma() const noexcept { return gamma_; }

  /// How the cycles of a cyclical plan shrink. Default: Cycle::triangular.
  TrainingPlan& cycle(Cycle cycle) {
    require(shape_ == Shape::cyclical, "cycle", "of this plan", "left out; see cyclical()");
    cycle_ = cycle;
    return *this;
  }
  /// How the cycles shrink.
  Cycle cycle() const noexcept { return cycle_; }

  /// Lets the momentum go from `high` at the lowest rate to `low` at the peak. 0 <= low <= high <
  /// 1. Default: 0.85 and 0.95 in a one-cycle plan; in other plans the momentum stays as it is.
  TrainingPlan& cycle_momentum(double low, double high) {
    require(0 <= low && low <= high && high < 1, "cycle_momentum", low,
            "in [0, high], high below 1");
    require(shape_ != Shape::decay, "cycle_momentum", "of this plan", "left out: it has no cycle");
    momentum_ = {low, high};
    return *this;
  }
  /// Lets the momentum stay as it is.
  TrainingPlan& keep_momentum() {
    momentum_.reset();
    return *this;
  }
  /// Whether the plan cycles the momentum.
  bool cycles_momentum() const noexcept { return momentum_.has_value(); }

  /// The peak that the plan was made for. Only plans made by cyclical(history) have one.
  std::optional<double> peak() const noexcept { return peak_; }

  /// The rate at a step, as a factor of the peak. `step`: 0 is the first update. Steps past the end
  /// keep the last rate.
  ///
  /// Throws InvalidOption if the step is negative, if steps() was not called or, like PyTorch's
  /// OneCycleLR, if the step is past the end of a one-cycle plan.
  double factor(std::int64_t step) const {
    const double at = position(step);
    if (shape_ != Shape::decay) return cycled(at, start_factor_, 1, end_factor_);
    if (at < warmup()) return start_factor_ + (1 - start_factor_) * at / warmup();
    const double after = at - warmup(), all = static_cast<double>(steps_) - warmup();
    if (own_decay_) return own_decay_->factor(after / all);
    const auto step_size = static_cast<double>(this->step_size());
    return detail::decay_factor(decay_, {after, all, warmup(), step_size, end_factor_, gamma_});
  }

  /// The momentum at a step; none if the plan does not change it. Throws the same as factor().
  std::optional<double> momentum(std::int64_t step) const {
    const double at = position(step);
    if (!momentum_) return std::nullopt;
    return cycled(at, momentum_->second, momentum_->first, momentum_->second);
  }

  /// The mean factor over the last fifth of the steps: 1 for a constant rate, near 0 for a decay to
  /// 0. Throws the same as factor().
  double mean_late_factor() const {
    constexpr int samples = 20;
    double sum = 0;
    for (int i = 0; i < samples; ++i) {
      const double at = static_cast<double>(steps_) * (0.8 + 0.2 * (i + 0.5) / samples);
      sum += factor(static_cast<std::int64_t>(at));
    }
    return sum / samples;
  }

  /// The plan in a few words: "cosine decay over 10000 steps, warm-up over 500".
  friend std::string to_string(const TrainingPlan& plan) {
    std::string words = plan.decay() + " decay";
    if (!plan.own_decay_ && plan.decay_ == Decay::none) words = "constant rate";
    if (plan.shape_ == Shape::one_cycle) words = "one cycle";
    if (plan.shape_ == Shape::cyclical) words = "cycles";
    words += " over " + std::to_string(plan.steps_) + " steps";
    if (plan.warmup() > 0) words += ", warm-up over " + std::to_string(std::llround(plan.warmup()));
    return words;
  }

  /// All fields of the plan in one line, for comparisons. A decay of your own is described by its
  /// name and its factors at 17 shares from 0 to 1, with 6 digits.
  friend std::string describe(const TrainingPlan& plan) {
    using detail::to_text;
    std::string text = detail::concat(
        to_string(plan), "; decay ", plan.own_decay_ ? plan.own_decay_->text() : plan.decay(),
        "; warmup ", to_text(plan.warmup_), "; start_factor ", to_text(plan.start_factor_),
        "; end_factor ", to_text(plan.end_factor_), "; gamma ", to_text(plan.gamma_), "; cycle ",
        static_cast<int>(plan.cycle_));
    if (plan.step_size_) text += "; step_size " + std::to_string(*plan.step_size_);
    if (plan.momentum_) {
      text +=
          "; momentum " + to_text(plan.momentum_->first) + " to " + to_text(plan.momentum_->second);
    }
    if (plan.peak_) text += "; peak " + to_text(*plan.peak_);
    return text;
  }

  /// Two plans are equal if describe() gives the same text.
  friend bool operator==(const TrainingPlan& a, const TrainingPlan& b) {
    return describe(a) == describe(b);
  }
  /// Two plans are equal if describe() gives the same text.
  friend bool operator!=(const TrainingPlan& a, const TrainingPlan& b) { return !(a == b); }

 private:
  enum class Shape { decay, one_cycle, cyclical };

  explicit TrainingPlan(Shape shape) : shape_(shape) {}

  template <class Value>
  static void require(bool holds, const char* name, const Value& given, const char* allowed) {
    if (holds) return;
    throw InvalidOption(detail::concat("TrainingPlan: ", name, " (", given, ") must be ", allowed));
  }

  // Returns the step as a floating-point number, at most the end.
  double position(std::int64_t step) const {
    require(steps_ > 0, "steps", steps_, "set by steps() first");
    require(step >= 0, "step", step, "at least 0");
    require(shape_ != Shape::one_cycle || step <= steps_, "step", step,
            "at most the steps of a one-cycle plan");
    return static_cast<double>(std::min(step, steps_));
  }

  // A value at a step. A cyclical plan goes back from `peak` to `low`, a one-cycle plan to `end`.
  double cycled(double at, double low, double peak, double end) const {
    if (shape_ == Shape::cyclical) {
      const auto half = static_cast<double>(step_size());
      return low + (peak - low) * detail::cycle_height(at, half, cycle_, gamma_);
    }
    const double top = warmup() - 1;
    if (at <= top) return between(low, peak, top > 0 ? at / top : 1);
    return between(peak, end, (at - top) / (static_cast<double>(steps_) - warmup()));
  }
  double between(double from, double to, double share) const {
    if (decay_ == Decay::linear) return (to - from) * share + from;
    return to + (from - to) * detail::cosine_fall(share);
  }

  Shape shape_ = Shape::decay;
  std::int64_t steps_ = 0;
  Decay decay_ = Decay::none;
  std::optional<detail::OwnDecay> own_decay_;  // replaces decay_
  double start_factor_ = 0;
  double end_factor_ = 0;
  double warmup_ = 0;  // below 1: a share of the steps
  std::optional<std::int64_t> step_size_;
  double gamma_ = 0.1;
  Cycle cycle_ = Cycle::triangular;
  std::optional<std::pair<double, double>> momentum_;  // at the peak, at the lowest rate
  std::optional<double> peak_;
};

}  // namespace lrfinder
