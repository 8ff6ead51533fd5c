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
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/recorder.hpp>
#include <lrfinder/plot/figure.hpp>
#include <lrfinder/plot/plot_options.hpp>
#include <lrfinder/plot/visible_ranges.hpp>
#include <lrfinder/suggest/numeric.hpp>

namespace lrfinder::detail {

/// A suggestion on a curve, with the indices of the curve and of the recipe.
struct Mark {
  std::size_t curve, recipe_index;
  Suggestion suggestion;
};

/// What a picture of curves shows: their columns, marks and axes.
struct DrawnCurves {
  /// The columns of a curve's table. gnuplot counts columns from 1.
  enum Field : std::size_t { lr, loss, raw_loss, change, metric };

  DrawnCurves(const std::vector<NamedCurve>& curves, const PlotOptions& its_options)
      : options(its_options), is_single(curves.size() == 1) {
    options.check();
    if (curves.empty()) throw PlotError("plot: there are no curves; give at least one");
    for (const NamedCurve& curve : curves) {
      add_table(curve);
      add_marks(curve);
    }
    const History& first = curves.front().history;
    is_paired = is_single && !first.untrained_loss.empty();
    if (is_paired) paired_loss = drawn_part(first.paired_loss());
    is_exponential = first.settings.schedule == RangeSchedule::exponential;
    if (!is_single) return;
    diverged_from = divergence(first);
    for (const Mark& mark : marks) {
      if (!mark.suggestion.trials.empty()) tried = mark.suggestion;
    }
    remarks += way_from_trials();
  }

  /// The updates of the longest trials that are drawn.
  std::int64_t longest_trial() const {
    std::int64_t longest = 0;
    for (const Trial& trial : tried.trials) longest = std::max(longest, trial.updates);
    return longest;
  }

  const Column& column(std::size_t curve, Field field) const {
    return tables[curve].columns[field].second;
  }

  /// The value of a column at the rate of a mark, on the line between two iterations.
  double value_at(const Mark& mark, Field field) const {
    const Column& rates = column(mark.curve, lr);
    const Column& values = column(mark.curve, field);
    const double rate = mark.suggestion.lr;
    for (std::size_t i = 1; i < rates.size(); ++i) {
      const double from = rates[i - 1], to = rates[i];
      if (!(from <= rate && rate < to) || (is_exponential && from <= 0)) continue;
      const double share = Axis{{from, to}, is_exponential}.position_of(rate);
      return share > 0 ? values[i - 1] + share * (values[i] - values[i - 1]) : values[i - 1];
    }
    return values[nearest_index(rates, rate)];
  }

  Axis lr_axis() const {
    const Range curve = ends_of(lr, is_exponential);
    Axis axis{curve, is_exponential};
    auto& [low, high] = axis.range;
    // What else is drawn at a rate has to be seen, too.
    const auto reach = [&](double rate) {
      const bool has_place = is_exponential ? rate > 1e-150 : rate >= 0;
      if (has_place && rate < 1e150) axis.range = united(axis.range, {rate, rate});
    };
    for (const Mark& mark : marks) reach(mark.suggestion.lr);
    for (const Trial& trial : tried.trials) reach(trial.lr);
    if (options.show_lr()) reach(*options.show_lr());
    const double margin = is_exponential ? std::pow(high / low, 0.03) : 0.03 * (high - low);
    if (low < curve.low) low = is_exponential ? low / margin : low - margin;
    if (high > curve.high) high = is_exponential ? high * margin : high + margin;
    if (low == high) axis.range = is_exponential ? Range{low / 3, high * 3} : widened(axis.range);
    // Makes the region of divergence wide enough to be seen.
    if (diverged_from && axis.position_of(*diverged_from) > 0.94) {
      high = is_exponential ? high * std::pow(high / low, 0.06) : high + 0.06 * (high - low);
    }
    return axis;
  }

  Axis loss_axis() const {
    const bool logarithmic = options.log_loss();
    const auto scaled = [&](Column values) {
      for (double& value : values) value = logarithmic ? std::log10(value) : value;
      return values;
    };
    Range ends = range_of({});
    for (std::size_t i = 0; i < tables.size(); ++i) {
      // The noise of the batches would hide a paired curve.
      const Column noise = is_paired ? paired_loss : column(i, raw_loss);
      ends = united(ends, visible_losses(scaled(column(i, loss)), scaled(noise)));
    }
    for (const Trial& trial : tried.trials) {
      const double value = scaled({trial.loss}).front();
      if (!std::isfinite(value) || trial.diverged || value > ends.high) continue;
      ends.low = std::min(ends.low, value - 0.05 * (ends.high - ends.low));
    }
    if (logarithmic) ends = {std::pow(10, ends.low), std::pow(10, ends.high)};
    return {ends, logarithmic};
  }

  Range change_range() const {
    Range range = range_of({});
    const Range shown = loss_axis().range;
    for (std::size_t i = 0; i < tables.size(); ++i) {
      range = united(range, visible_changes(column(i, change), column(i, loss), shown));
    }
    return range;
  }

  /// The range from the smallest to the largest value of all curves.
  Range ends_of(Field field, bool only_positive = false) const {
    Range ends = range_of({});
    for (const Table& table : tables) {
      for (const double value : table.columns[field].second) {
        if (std::isfinite(value) && (value > 0 || !only_positive)) {
          ends = united(ends, {value, value});
        }
      }
    }
    return ends.low > ends.high ? Range{1, 1} : ends;
  }

  const PlotOptions& options;
  /// Whether there is only one curve. If so, the raw losses and the trials are drawn too.
  const bool is_single;
  bool is_exponential = true;
  std::vector<Table> tables;
  std::vector<Mark> marks;
  /// Why a mark is missing, or may be wrong. Each remark ends with a line break.
  std::string remarks;
  /// Whether there is only one curve, and its losses are paired. If so, the line shows the paired
  /// losses.
  bool is_paired = false;
  /// These losses before they are smoothed.
  Column paired_loss;
  /// The rate at which the region of divergence begins. Only on a single curve.
  std::optional<double> diverged_from;
  /// The suggestion whose trials are drawn. It has none if there are several curves.
  Suggestion tried;

 private:
  /// Why the rate of a search is not that of its best trial.
  std::string way_from_trials() const {
    const Trial* best = nullptr;
    for (const Trial& trial : tried.trials) {
      if (trial.diverged || trial.updates < longest_trial()) continue;
      if (!best || trial.loss < best->loss) best = &trial;
    }
    if (!best || tried.steps <= best->updates) return "";
    return concat(tried.recipe, ": the trials of ", best->updates, " updates are best at lr ",
                  rounded(best->lr), "; the rate is carried to ", tried.steps, " steps\n");
  }

  void add_table(const NamedCurve& curve) {
    const History& history = curve.history;
    const std::string name =
        curve.name.empty() ? "the history" : "the history of " + printable(curve.name);
    const std::size_t left = history.size() - std::min(options.skip_start(), history.size());
    if (left <= options.skip_end()) {
      throw PlotError(concat("plot: ", name, " has ", history.size(),
                             " iterations, and nothing is left to draw; run a range test first, or "
                             "skip less"));
    }
    require_column(history.lr, history.loss, "loss");
    if (!history.raw_loss.empty()) require_column(history.lr, history.raw_loss, "raw_loss");
    const bool has_pairs = !history.untrained_loss.empty();
    const Column shown_loss = has_pairs ? smoothed_paired_loss(history) : history.loss;
    // The change of the loss per iteration, over one percent of the iterations before and after.
    const Column loss_change =
        index_gradient(shown_loss, std::max<std::size_t>(1, history.size() / 100));
    const bool has_raw_loss = is_single && history.raw_loss != shown_loss;
    tables.push_back(
        {is_single ? "" : curve.name,
         {{"lr", drawn_part(history.lr)},
          {history.settings.validation ? "validation loss" : "loss", drawn_part(shown_loss)},
          {"raw loss", has_raw_loss ? drawn_part(history.raw_loss) : Column()},
          {"change", drawn_part(loss_change)},
          {options.metric(), drawn_part(metric_of(history, name))}}});
  }

  /// The paired losses, smoothed like the losses of the history.
  static Column smoothed_paired_loss(const History& history) {
    Column loss = history.paired_loss();
    const double weight = history.settings.smooth_f > 0 ? history.settings.smooth_f : 1;
    for (std::size_t i = 1; weight < 1 && i < loss.size(); ++i) {
      loss[i] = weight * loss[i] + (1 - weight) * loss[i - 1];
    }
    return loss;
  }

  Column metric_of(const History& history, const std::string& name) const {
    if (options.metric().empty()) return {};
    auto columns = history.metrics;
    columns.emplace("grad_norm", history.grad_norm);
    std::string known;
    for (const auto& [metric_name, values] : columns) {
      if (values.size() != history.size()) continue;
      if (metric_name == options.metric()) return values;
      known += " " + printable(metric_name);
    }
    throw InvalidOption("PlotOptions: " + name + " has no metric " + printable(options.metric()) +
                        "; it has" + (known.empty() ? " none" : known));
  }

  /// The part of a column that is drawn, without values beyond 1e150, whose squares overflow.
  Column drawn_part(const Column& column) const {
    constexpr double largest = 1e150;
    if (column.empty()) return {};
    Column part(column.begin() + static_cast<std::ptrdiff_t>(options.skip_start()),
                column.end() - static_cast<std::ptrdiff_t>(options.skip_end()));
    for (double& value : part) {
      if (!(std::fabs(value) <= largest)) value = std::numeric_limits<double>::quiet_NaN();
      if (std::fabs(value) < 1 / largest) value = 0;
    }
    return part;
  }

  /// Adds the suggestions of the recipes on a curve. The table of the curve is the last one.
  void add_marks(const NamedCurve& curve) {
    const std::string prefix = is_single || curve.name.empty() ? "" : curve.name + ": ";
    const auto add_remark = [&](const std::string& text) {
      const std::string line = "\n" + prefix + text + "\n";
      if (("\n" + remarks).find(line) == std::string::npos) remarks += line.substr(1);
    };
    const std::vector<Recipe> recipes = options.recipes();
    for (std::size_t i = 0; i < recipes.size(); ++i) {
      try {
        Suggestion suggestion = recipes[i](curve.history);
        if (!suggestion.caveat.empty()) add_remark(suggestion.caveat);
        if (suggestion.recipe.empty()) suggestion.recipe = "suggestion";
        marks.push_back({tables.size() - 1, i, std::move(suggestion)});
      } catch (const NoSuggestion& reason) {
        add_remark(reason.what());
      }
    }
  }

  /// The learning rate at which a curve diverged, by the divergence threshold of its test. If no
  /// test recorded the threshold, the default applies.
  static std::optional<double> divergence(const History& history) {
    RangeTestSettings rule = history.settings;
    if (rule.num_iter == 0) rule.diverge_th = 5;
    const bool has_pairs = !history.untrained_loss.empty();
    if (!has_pairs) rule.smooth_f = 0;  // the losses below are smoothed
    DivergenceRule divergence(rule);
    for (std::size_t i = 0; i < history.size(); ++i) {
      const double loss = has_pairs ? history.raw_loss[i] : history.loss[i];
      if (std::isnan(loss)) continue;
      const double untrained = has_pairs ? history.untrained_loss[i] : 0;
      if (divergence.add(loss, untrained) || std::isinf(loss)) return history.lr[i];
    }
    if (history.stop_reason == StopReason::non_finite_loss) return history.lr.back();
    return std::nullopt;
  }
};

}  // namespace lrfinder::detail
