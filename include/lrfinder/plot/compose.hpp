#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/recorder.hpp>
#include <lrfinder/plot/axis.hpp>
#include <lrfinder/plot/options.hpp>
#include <lrfinder/plot/picture.hpp>

namespace lrfinder::detail {

/// Makes a Picture of curves.
class Composer {
 public:
  Composer(const std::vector<NamedCurve>& curves, const PlotOptions& options)
      : curves_(curves), options_(options) {}

  Picture compose() {
    if (curves_.empty()) throw PlotError("plot: there are no curves; give at least one");
    check(options_);
    for (const NamedCurve& curve : curves_) check_curve(curve);
    picture_.title = options_.title();
    picture_.show_lr = options_.show_lr();
    picture_.metric_name = options_.metric();
    const auto& first = curves_.front().history.settings;
    picture_.loss_name = first.validation ? "validation loss" : "loss";
    log_lr_ = options_.log_lr().value_or(first.schedule == Schedule::exponential);
    for (const NamedCurve& curve : curves_) draw(curve);
    for (std::size_t i = 0; i < curves_.size(); ++i) suggest(i);
    if (picture_.single()) picture_.diverged_from = divergence(curves_.front().history);
    place_lr_axis();
    place_loss_axis();
    place_change_axis();
    if (!picture_.metric_name.empty()) place_metric_axis();
    for (const auto& [curve, recipe_index, suggestion] : suggestions_) {
      mark(curve, recipe_index, suggestion);
    }
    return std::move(picture_);
  }

 private:
  void check_curve(const NamedCurve& curve) const {
    const History& history = curve.history;
    const std::string name =
        curve.name.empty() ? "the history" : "the history of " + printable(curve.name);
    const std::size_t left = history.size() - std::min(options_.skip_start(), history.size());
    if (left <= options_.skip_end()) {
      throw PlotError("plot: " + name + " has " + std::to_string(history.size()) +
                      " iterations, and nothing is left to draw; run a range test first, or skip "
                      "less");
    }
    for (const Column* column : {&history.loss, &history.raw_loss, &curve.lower, &curve.upper}) {
      const bool may_be_absent = column != &history.loss;
      if (column->size() != history.size() && !(may_be_absent && column->empty())) {
        throw InvalidHistory("plot: the columns of " + name + " differ in length");
      }
    }
    if (!options_.metric().empty() && metric(history).size() != history.size()) {
      std::string known = history.grad_norm.empty() ? "" : " grad_norm";
      for (const auto& recorded : history.metrics) known += " " + printable(recorded.first);
      throw InvalidOption("PlotOptions: " + name + " has no metric " +
                          printable(options_.metric()) + "; it has" +
                          (known.empty() ? " none" : known));
    }
  }

  Column metric(const History& history) const {
    const auto found = history.metrics.find(options_.metric());
    if (found != history.metrics.end()) return found->second;
    return options_.metric() == "grad_norm" ? history.grad_norm : Column();
  }

  /// The part of a column that is drawn. Beyond 1e150, where squares overflow, nothing is.
  Column kept(const Column& column) const {
    constexpr double largest = 1e150;
    if (column.empty()) return {};
    Column part(column.begin() + static_cast<std::ptrdiff_t>(options_.skip_start()),
                column.end() - static_cast<std::ptrdiff_t>(options_.skip_end()));
    for (double& value : part) {
      if (!(std::fabs(value) <= largest)) value = std::numeric_limits<double>::quiet_NaN();
      if (std::fabs(value) < 1 / largest) value = 0;
    }
    return part;
  }

  /// The change of the loss per iteration, over a hundredth of the curve to both sides.
  static Column change_of(const Column& loss) {
    return index_gradient(loss, std::max<std::size_t>(1, loss.size() / 100));
  }

  void draw(const NamedCurve& curve) {
    const History& history = curve.history;
    const bool smoothed = history.raw_loss != history.loss;
    picture_.curves.push_back({curve.name, kept(history.lr), kept(history.loss),
                               smoothed ? kept(history.raw_loss) : Column(),
                               kept(change_of(history.loss)), kept(curve.lower), kept(curve.upper),
                               kept(metric(history))});
  }

  /// The learning rate at which a curve diverged: by the threshold of its test, or by the default
  /// one where no test recorded it.
  static std::optional<double> divergence(const History& history) {
    const bool tested = history.settings.num_iter > 0;
    Divergence diverged(tested && history.settings.diverge_th > 0 ? history.settings.diverge_th
                        : tested ? std::numeric_limits<double>::infinity()
                                 : 5);
    for (std::size_t i = 0; i < history.size(); ++i) {
      if (diverged(history.loss[i]) || std::isinf(history.loss[i])) return history.lr[i];
    }
    if (history.stop_reason == StopReason::non_finite_loss) return history.lr.back();
    return std::nullopt;
  }

  static std::pair<double, double> ends(const std::vector<double>& values, bool positive_only) {
    std::pair<double, double> range{std::numeric_limits<double>::infinity(),
                                    -std::numeric_limits<double>::infinity()};
    for (const double value : values) {
      if (!std::isfinite(value) || (positive_only && value <= 0)) continue;
      range = {std::min(range.first, value), std::max(range.second, value)};
    }
    return range;
  }

  /// Whether the region of divergence is too narrow to be seen.
  bool wants_room(double low, double high) const {
    return picture_.diverged_from &&
           Axis{{low, high}, log_lr_, {}}.fraction(*picture_.diverged_from) > 0.94;
  }

  void place_lr_axis() {
    Column all;
    for (const auto& curve : picture_.curves)
      all.insert(all.end(), curve.lr.begin(), curve.lr.end());
    auto [low, high] = ends(all, log_lr_);
    if (low > high) low = high = 1;
    if (log_lr_) {
      if (low == high) low /= 3, high *= 3;
      if (wants_room(low, high)) high *= std::pow(high / low, 0.06);
    } else {
      if (low == high) low -= 0.5 * std::fabs(low) + 1e-12, high += 0.5 * std::fabs(high) + 1e-12;
      if (wants_room(low, high)) high += 0.06 * (high - low);
    }
    if (options_.lr_range()) low = options_.lr_range()->first, high = options_.lr_range()->second;
    if (log_lr_ && low <= 0) {
      throw InvalidOption("PlotOptions: lr_range begins at " + to_text(low) +
                          "; on a logarithmic axis it must begin above 0");
    }
    picture_.lr = log_lr_ ? log_axis({low, high}, 9) : linear_axis({low, high}, 7);
  }

  void place_loss_axis() {
    const bool logarithmic = options_.log_loss();
    const auto scaled = [&](Column column) {
      for (double& value : column) value = logarithmic ? std::log10(value) : value;
      return column;
    };
    std::optional<Range> range;
    const auto include = [&](Range other) {
      range =
          range ? Range{std::min(range->low, other.low), std::max(range->high, other.high)} : other;
    };
    for (const auto& curve : picture_.curves) {
      include(range_of_descent(scaled(curve.loss),
                               scaled(picture_.single() ? curve.raw_loss : curve.upper)));
    }
    for (const OfCurve& of_curve : suggestions_) {
      if (!picture_.single()) break;
      for (const Trial& trial : of_curve.suggestion.trials) {
        const double loss = logarithmic ? std::log10(trial.loss) : trial.loss;
        if (!std::isfinite(loss) || trial.diverged || loss > range->high) continue;
        const double margin = 0.05 * (range->high - range->low);
        range->low = std::min(range->low, loss - margin);
      }
    }
    if (logarithmic) range = Range{std::pow(10, range->low), std::pow(10, range->high)};
    if (options_.loss_range())
      range = Range{options_.loss_range()->first, options_.loss_range()->second};
    if (logarithmic && range->low <= 0) {
      throw InvalidOption("PlotOptions: loss_range begins at " + to_text(range->low) +
                          "; on a logarithmic axis it must begin above 0");
    }
    picture_.loss = logarithmic ? log_axis(*range, 7) : linear_axis(*range, 6);
  }

  void place_change_axis() {
    ChangeView all{{0, 0}, 0};
    for (const auto& curve : picture_.curves) {
      const ChangeView view = view_of_change(curve.change, finite_argmin(curve.loss));
      all = {{std::min(all.range.low, view.range.low), std::max(all.range.high, view.range.high)},
             std::max(all.threshold, view.threshold)};
    }
    const SymmetricLog scale{all.threshold};
    picture_.change_scale = scale;
    picture_.change =
        symmetric_log_axis(scale, {1.12 * scale(all.range.low), 1.12 * scale(all.range.high)});
  }

  void place_metric_axis() {
    Column all;
    for (const auto& curve : picture_.curves) {
      all.insert(all.end(), curve.metric.begin(), curve.metric.end());
    }
    auto [low, high] = ends(all, false);
    if (low > high) low = 0, high = 1;
    const double margin = low == high ? 0.05 * std::fabs(low) + 1e-12 : 0.06 * (high - low);
    picture_.metric = linear_axis({low - margin, high + margin}, 4);
  }

  /// Asks the recipes for their suggestions on a curve.
  void suggest(std::size_t index) {
    const History& history = curves_[index].history;
    const std::string prefix =
        picture_.single() || curves_[index].name.empty() ? "" : curves_[index].name + ": ";
    const std::vector<Recipe> recipes = options_.recipes();
    for (std::size_t i = 0; i < recipes.size(); ++i) {
      try {
        Suggestion suggestion = recipes[i](history);
        if (!suggestion.caveat.empty()) remark(prefix + suggestion.caveat);
        suggestions_.push_back({index, i, std::move(suggestion)});
      } catch (const NoSuggestion& reason) {
        remark(prefix + reason.what());
      }
    }
  }

  void mark(std::size_t curve, std::size_t recipe_index, const Suggestion& suggestion) {
    const DrawnCurve& drawn = picture_.curves[curve];
    picture_.marks.push_back({curve, suggestion.recipe.empty() ? "suggestion" : suggestion.recipe,
                              recipe_index, suggestion.lr,
                              value_at(suggestion.lr, drawn.lr, drawn.loss),
                              value_at(suggestion.lr, drawn.lr, drawn.change)});
    if (picture_.single() && !suggestion.trials.empty()) draw_trials(suggestion);
  }

  void draw_trials(const Suggestion& suggestion) {
    DrawnTrials trials;
    trials.low = suggestion.low;
    trials.high = suggestion.high;
    const std::int64_t longest = longest_trial(suggestion);
    for (const Trial& trial : suggestion.trials) {
      const double top = picture_.loss.range.high;
      const bool fits = !trial.diverged && trial.loss <= top;
      const bool is_long = trial.num_iter == longest;
      (is_long ? trials.long_lr : trials.short_lr).push_back(trial.lr);
      (is_long ? trials.long_loss : trials.short_loss).push_back(fits ? trial.loss : top);
    }
    picture_.trials = std::move(trials);
  }

  /// The updates of the longest trial that did not end early.
  static std::int64_t longest_trial(const Suggestion& suggestion) {
    std::int64_t longest = 0;
    for (const Trial& trial : suggestion.trials) longest = std::max(longest, trial.num_iter);
    return longest;
  }

  void remark(const std::string& text) {
    auto& remarks = picture_.remarks;
    if (std::find(remarks.begin(), remarks.end(), text) == remarks.end()) remarks.push_back(text);
  }

  const std::vector<NamedCurve>& curves_;
  const PlotOptions& options_;
  bool log_lr_ = true;
  struct OfCurve {
    std::size_t curve, recipe_index;
    Suggestion suggestion;
  };

  std::vector<OfCurve> suggestions_;
  Picture picture_;
};

}  // namespace lrfinder::detail
