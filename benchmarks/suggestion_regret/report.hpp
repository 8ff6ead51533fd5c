#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iomanip>
#include <limits>
#include <ostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/recorder.hpp>
#include <lrfinder/history/suggestion.hpp>
#include <lrfinder/suggest/numeric.hpp>
#include <lrfinder/suggest/recipes.hpp>

#include "regret.hpp"

/// @file
/// What is found out about a task, row by row, and the table made of it.

/// A row of the CSV file.
struct Row {
  std::size_t task;
  /// "task" (name: what it is; value: its loss before training), "curve" (lr, value: loss),
  /// "outcome" (lr, value: loss after training) or "suggestion" (lr, value: regret).
  std::string record;
  /// The recipe of a suggestion.
  std::string name;
  double lr = 0;
  double value = 0;
  /// The caveat of a suggestion, or why there is none.
  std::string note{};
};

inline const char* row_header() { return "task,record,name,lr,value,note"; }

inline std::ostream& operator<<(std::ostream& out, const Row& row) {
  std::string note = row.note;
  std::replace(note.begin(), note.end(), ',', ';');
  std::ostringstream line;
  line << std::setprecision(9) << row.task << ',' << row.record << ',' << row.name << ',' << row.lr
       << ',' << row.value << ',' << note;
  return out << line.str() << '\n';
}

/// Reads back what was printed, without the end of the line.
inline Row row_from(const std::string& line) {
  std::istringstream fields(line);
  std::string task, record, name, lr, value, note;
  for (auto* field : {&task, &record, &name, &lr, &value}) std::getline(fields, *field, ',');
  std::getline(fields, note);
  return {std::stoul(task), record, name, std::stod(lr), std::stod(value), note};
}

/// Adds the row of a suggestion that `suggest()` makes. One that has no answer (a learning rate of
/// 0 in the row) counts as no training: a regret of 1.
template <class Suggest>
void add_suggestion(std::vector<Row>& rows, std::size_t task, const std::string& name,
                    const Outcomes& outcomes, Suggest&& suggest) {
  try {
    const lrfinder::Suggestion suggestion = suggest();
    rows.push_back({task, "suggestion", name, suggestion.lr, outcomes.regret(suggestion.lr),
                    suggestion.caveat});
  } catch (const lrfinder::NoSuggestion& reason) {
    rows.push_back({task, "suggestion", name, 0, 1, reason.what()});
  }
}

/// The history from iteration `begin` up to, not including, `end`.
inline lrfinder::History slice(lrfinder::History history, std::size_t begin, std::size_t end) {
  for (auto* column : {&history.lr, &history.loss, &history.raw_loss, &history.untrained_loss}) {
    if (column->empty()) continue;
    *column = {column->begin() + static_cast<std::ptrdiff_t>(begin),
               column->begin() + static_cast<std::ptrdiff_t>(std::max(begin, end))};
  }
  return history;
}

/// The history as Lightning records it: smoothed with bias correction (Kingma & Ba 2015, section
/// 3), and ended where the smoothed loss is four times the best.
inline lrfinder::History recorded_as_in_lightning(lrfinder::History history) {
  constexpr double weight = 0.02;
  double average = 0, missing = 1;  // the weight that is still on no loss
  double best = std::numeric_limits<double>::infinity();
  std::size_t end = 0;
  for (; end < history.size(); ++end) {
    average = weight * history.raw_loss[end] + (1 - weight) * average;
    missing *= 1 - weight;
    history.loss[end] = average / (1 - missing);
    best = std::fmin(best, history.loss[end]);
    if (lrfinder::has_diverged(history.loss[end], best, 4)) break;
  }
  return slice(std::move(history), 0, end);
}

/// What fastai records is the same, and what it hands to its recipes lacks the first tenth and the
/// last five iterations.
inline lrfinder::History recorded_as_in_fastai(const lrfinder::History& history) {
  const lrfinder::History recorded = recorded_as_in_lightning(history);
  const auto tenth = static_cast<std::size_t>(history.settings.num_iter / 10);
  const std::size_t begin = std::min(tenth, recorded.size());
  return slice(recorded, begin, recorded.size() - std::min<std::size_t>(5, recorded.size()));
}

/// Adds a curve, the outcomes, and what every recipe makes of the curve.
inline void add_recipes(std::vector<Row>& rows, std::size_t task, const lrfinder::History& history,
                        const Outcomes& outcomes) {
  for (std::size_t i = 0; i < history.size(); ++i) {
    rows.push_back({task, "curve", "", history.lr[i], history.raw_loss[i]});
  }
  for (std::size_t i = 0; i < outcomes.lr.size(); ++i) {
    rows.push_back({task, "outcome", "", outcomes.lr[i], outcomes.final_loss[i]});
  }
  const auto as_recorded = lrfinder::suggest::all(history);
  const auto as_in_lightning = lrfinder::suggest::all(recorded_as_in_lightning(history));
  const auto as_in_fastai = lrfinder::suggest::all(recorded_as_in_fastai(history));
  for (std::size_t i = 0; i < as_recorded.size(); ++i) {
    const std::string& recipe = as_recorded[i].recipe;
    const bool fastai =
        recipe == "valley" || recipe == "slide" || recipe == "minimum" || recipe == "steep";
    const auto& row = (fastai                  ? as_in_fastai
                       : recipe == "lightning" ? as_in_lightning
                                               : as_recorded)[i];
    add_suggestion(rows, task, recipe, outcomes, [&] {
      return row.suggestion ? *row.suggestion : throw lrfinder::NoSuggestion(row.reason);
    });
  }
}

/// Prints the regrets of each recipe: median, 90th percentile, worst, share within 0.05.
inline void print_table(std::ostream& out, const std::vector<Row>& rows) {
  struct Line {
    std::string name;
    std::vector<double> regrets{};
    std::size_t none = 0;
  };
  std::vector<Line> lines;
  const auto add = [&](const std::string& name, const Row& row) {
    auto line = std::find_if(lines.begin(), lines.end(),
                             [&](const Line& known) { return known.name == name; });
    if (line == lines.end()) line = lines.insert(lines.end(), {name});
    line->regrets.push_back(row.value);
    if (row.lr == 0) ++line->none;
  };
  for (const Row& row : rows) {
    if (row.record != "suggestion") continue;
    add(row.name, row);
    if (row.name == "steepest" && row.note.empty()) add("steepest (without caveat)", row);
  }
  out << "| recipe | tasks | median | 90th percentile | worst | within 0.05 | no answer |\n"
         "| --- | --- | --- | --- | --- | --- | --- |\n";
  for (const auto& [name, regrets, none] : lines) {
    const auto good =
        std::count_if(regrets.begin(), regrets.end(), [](double r) { return r <= 0.05; });
    std::ostringstream line;
    line << std::fixed << std::setprecision(3) << "| " << name << " | " << regrets.size();
    for (double share : {0.5, 0.9, 1.0})
      line << " | " << lrfinder::detail::quantile(regrets, share);
    line << std::setprecision(2) << " | "
         << static_cast<double>(good) / static_cast<double>(regrets.size()) << " | " << none
         << " |\n";
    out << line.str();
  }
}
