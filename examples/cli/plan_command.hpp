#pragma once

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <map>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include <lrfinder/curve.hpp>

/// The subcommand `lrfinder plan`: draws the learning rate of a training plan over its steps.
class PlanCommand {
 public:
  explicit PlanCommand(CLI::App& app)
      : command_(*app.add_subcommand("plan", "Draw the learning rate of a training plan")) {
    std::map<std::string, lrfinder::Decay> decays;
    for (const char* const name : lrfinder::detail::decay_names) {
      decays.emplace(name, static_cast<lrfinder::Decay>(decays.size()));
    }
    command_.add_option("--steps", steps_, "Number of optimizer updates")->required();
    auto* const one_cycle =
        command_.add_flag("--one-cycle", one_cycle_, "One cycle, as OneCycleLR");
    auto* const base = command_.add_option(
        "--cyclical", base_, "Cycles between this factor of the peak and the peak, as CyclicLR");
    one_cycle->excludes(base);
    command_.add_option("--decay", decay_, "How the rate falls from the peak")
        ->transform(CLI::CheckedTransformer(decays));
    command_.add_option("--warmup", warmup_, "Steps, or a share of all steps below 1");
    command_.add_option("--end-factor", end_factor_, "Rate at the end, as a factor of the peak");
    command_.add_option("--step-size", step_size_, "Steps of half a cycle, or from fall to fall");
    command_.add_option("--gamma", gamma_, "Factor of a fall (default: 0.1)");
    command_.add_option("--peak", peak_, "The highest learning rate");
    command_.add_option("--title", title_, "Heading of the picture");
    command_.add_option(
        "-o,--output", output_,
        "File to write: .svg, .png, .pdf, .html, .txt or .gp (default: the terminal)");
  }

  bool parsed() const { return command_.parsed(); }

  /// Throws InvalidOption for wrong options, PlotError if the plan cannot be drawn.
  void run() const {
    const auto options = lrfinder::PlotOptions().title(title_);
    if (output_.empty()) {
      plot(plan(), std::cout, options, peak_);
    } else {
      plot(plan(), output_, options, peak_);
    }
  }

 private:
  lrfinder::TrainingPlan plan() const {
    auto plan =
        one_cycle_ ? lrfinder::TrainingPlan::one_cycle(steps_)
        : base_    ? lrfinder::TrainingPlan::cyclical(
                         steps_, *base_, step_size_.value_or(std::max<std::int64_t>(1, steps_ / 8)))
                : lrfinder::TrainingPlan().steps(steps_);
    if (decay_) plan.decay(*decay_);
    if (end_factor_) plan.end_factor(*end_factor_);
    if (step_size_) plan.step_size(*step_size_);
    if (gamma_) plan.gamma(*gamma_);
    if (warmup_) {
      *warmup_ < 1 ? plan.warmup(*warmup_) : plan.warmup(static_cast<std::int64_t>(*warmup_));
    }
    return plan;
  }

  CLI::App& command_;
  std::int64_t steps_ = 0;
  bool one_cycle_ = false;
  std::optional<double> base_, warmup_, end_factor_, gamma_, peak_;
  std::optional<std::int64_t> step_size_;
  std::optional<lrfinder::Decay> decay_;
  std::string title_, output_;
};
