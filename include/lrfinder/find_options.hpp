#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include <torch/torch.h>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/range_test_options.hpp>

namespace lrfinder {

class TrialRunner;

/// Options of a search with LRFinder::find().
///
///     FindOptions().plan(TrainingPlan().steps(10000).decay(Decay::cosine)).budget(20)
///
/// A plan alone is enough: `finder.find(*loader, plan)`. All options are checked before the model
/// is touched. InvalidOption reports a wrong one.
struct FindOptions {
  FindOptions() = default;
  /// Options with the plan of the training.
  FindOptions(TrainingPlan plan) : plan_(std::move(plan)) {}  // NOLINT

  /// The plan of the training that the rate is for. The plan must have steps(). Default: a constant
  /// rate, for 30 times the iterations of the range test.
  TORCH_ARG(TrainingPlan, plan) = {};
  /// How many optimizer updates the search may make, as a multiple of `num_iter` of the range test.
  /// At least 2. A larger budget makes the trials longer. Longer trials show more of the training.
  /// Default: 10, or as much as makes 5 % of the steps of the plan if that is more.
  TORCH_ARG(std::optional<double>, budget) = std::nullopt;
  /// The range test that shows where to look. Its restore() must be true. Default: 100 iterations
  /// from 1e-7 to 10.
  TORCH_ARG(RangeTestOptions, range_test) = {};
  /// The history of an earlier range test of this training. The search starts from this history and
  /// makes no range test. The iterations of the history count as spent, so that the result is the
  /// same as if the search had made the test. Default: none.
  TORCH_ARG(std::optional<History>, history) = std::nullopt;
  /// The processes that train the trials. With `parallel_trials()` of
  /// `<lrfinder/parallel_trials.hpp>` several processes train one trial each. Default: this
  /// process, one trial after the other.
  TORCH_ARG(std::shared_ptr<TrialRunner>, trial_runner) = nullptr;
  /// Whether a line on stderr shows the stage of the search and its progress. Default: false.
  TORCH_ARG(bool, progress) = false;

 public:
  /// Throws InvalidOption for the first value that is wrong by itself.
  void check() const {
    using detail::require_option;
    require_option(!budget_ || (*budget_ >= 2 && std::isfinite(*budget_)), "FindOptions: budget (",
                   budget_.value_or(0),
                   ") must be at least 2 and finite: one range test, and as much for trials");
    require_option(range_test_.restore(),
                   "FindOptions: range_test must restore, because trials follow it; leave "
                   "restore() out");
    require_option(!history_ || !history_->empty(),
                   "FindOptions: history is empty; give the history() of a range test, or leave it "
                   "out");
    if (history_) {
      const auto is_finite = [](double loss) { return std::isfinite(loss); };
      const auto& losses = history_->raw_loss;
      require_option(std::all_of(losses.begin(), losses.end(), is_finite),
                     "FindOptions: history has a loss that is not finite; leave it out");
      require_option(history_->lr.back() > 0, "FindOptions: the last rate of history (",
                     history_->lr.back(), ") must be positive");
      static_cast<void>(history_->paired_loss());  // checks its columns
      for (const auto& rates : history_->group_lr) {
        detail::require_column(history_->lr, rates, "group_lr");
      }
    }
    range_test_.check();
  }
};

}  // namespace lrfinder
