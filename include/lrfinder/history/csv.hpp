#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/csv_columns.hpp>
#include <lrfinder/history/csv_settings.hpp>
#include <lrfinder/history/history.hpp>

namespace lrfinder {

/// A history as CSV text: first what the test was asked to do and why it ended, one comment line
/// each, then a header and one row an iteration. pandas reads it with
/// `pandas.read_csv(path, comment="#")`.
///
/// The columns are `iteration`, `lr`, `loss`, `raw_loss`; `group_lr_0`, `group_lr_1`, ... where
/// there are several parameter groups; `grad_norm` where it was recorded; and `metric_NAME` for
/// each metric. Numbers have as many digits as it takes to read the same number back.
///
/// Throws InvalidHistory when the columns differ in length.
inline std::string to_csv(const History& history) {
  std::vector<std::pair<std::string, const std::vector<double>*>> columns = {
      {"lr", &history.lr}, {"loss", &history.loss}, {"raw_loss", &history.raw_loss}};
  for (std::size_t group = 0; group < history.group_lr.size(); ++group) {
    columns.emplace_back(detail::group_column(group), &history.group_lr[group]);
  }
  if (!history.grad_norm.empty()) columns.emplace_back("grad_norm", &history.grad_norm);
  for (const auto& [name, values] : history.metrics) {
    columns.emplace_back(detail::metric_column(name), &values);
  }

  std::string text = "# lrfinder range test\n";
  text += "# iterations: " + std::to_string(history.size()) + "\n";
  for (const auto& setting : detail::saved_settings()) {
    text += "# " + std::string(setting.name) + ": " + setting.text(history) + "\n";
  }
  text += "iteration";
  for (const auto& [name, values] : columns) {
    if (values->size() != history.size()) {
      throw InvalidHistory("History: column " + name + " has " + std::to_string(values->size()) +
                           " values but lr has " + std::to_string(history.size()) +
                           "; give one for each iteration");
    }
    text += "," + name;
  }
  text += "\n";
  for (std::size_t i = 0; i < history.size(); ++i) {
    text += std::to_string(i);
    for (const auto& column : columns) text += "," + detail::to_text((*column.second)[i]);
    text += "\n";
  }
  return text;
}

namespace detail {

/// Reads a history from CSV text, line by line.
class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& source) : rest_(text), source_(source) {}

  History read() {
    while (next_line() && !header_seen()) {
      if (line_.front() == '#') {
        read_setting(line_.substr(1));
      } else {
        read_header();
      }
    }
    if (!header_seen()) fail("there is no header; it must name the columns, at least lr and loss");
    for (; !line_.empty(); next_line()) {
      if (line_.front() != '#') read_row();
    }
    if (iterations_ && *iterations_ != history_.size()) {
      fail("there are " + std::to_string(history_.size()) + " iterations but " +
           std::to_string(*iterations_) + " were saved; the file is not complete");
    }
    if (history_.raw_loss.empty()) history_.raw_loss = history_.loss;
    return std::move(history_);
  }

 private:
  /// What is done with the number in one column.
  using Column = std::function<void(double)>;

  bool header_seen() const { return !columns_.empty(); }

  [[noreturn]] void fail(const std::string& reason) const {
    throw InvalidHistory(source_ + ":" + std::to_string(line_number_) + ": " + reason);
  }

  /// Goes to the next line that is not blank; false, and an empty line, at the end.
  bool next_line() {
    line_ = {};
    while (line_.empty() && !rest_.empty()) {
      const std::size_t end = rest_.find('\n');
      ++line_number_;
      line_ = rest_.substr(0, end);
      rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
      if (end == std::string_view::npos && iterations_) fail("the last line is cut short");
      if (!line_.empty() && line_.back() == '\r') line_.remove_suffix(1);
    }
    return !line_.empty();
  }

  /// Takes `name: value` over. Other comments are passed by.
  void read_setting(std::string_view comment) {
    if (!comment.empty() && comment.front() == ' ') comment.remove_prefix(1);
    const std::size_t colon = comment.find(": ");
    const std::string_view name = comment.substr(0, colon);
    const std::string_view value =
        colon == std::string_view::npos ? std::string_view() : comment.substr(colon + 2);
    const bool is_count = name == "iterations";
    const auto& settings = saved_settings();
    const auto* const setting =
        std::find_if(settings.begin(), settings.end(),
                     [&](const SavedSetting& candidate) { return candidate.name == name; });
    if (!is_count && setting == settings.end()) return;
    if (std::find(settings_seen_.begin(), settings_seen_.end(), name) != settings_seen_.end()) {
      fail("setting " + std::string(name) + " appears twice");
    }
    settings_seen_.push_back(name);
    if (is_count) {
      iterations_ = number_from<std::size_t>(value);
      if (!iterations_) fail("iterations is " + quoted_field(value) + "; it must be a number");
    } else if (!setting->assign(history_, value)) {
      fail(std::string(name) + " is " + quoted_field(value) + "; it must be " + setting->allowed);
    }
  }

  void read_header() {
    std::vector<std::string_view> names = split(line_);
    for (auto name = names.begin(); name != names.end(); ++name) {
      if (std::find(names.begin(), name, *name) != name) {
        fail("column " + quoted_field(*name) + " appears twice");
      }
    }
    // Every group needs its place before the columns keep a reference to it.
    const auto is_group = [](std::string_view name) { return is_group_column(name); };
    history_.group_lr.resize(
        static_cast<std::size_t>(std::count_if(names.begin(), names.end(), is_group)));
    for (const std::string_view name : names) columns_.push_back(column(name));
    for (const std::string_view required : {"lr", "loss"}) {
      if (std::find(names.begin(), names.end(), required) == names.end()) {
        fail("there is no column " + std::string(required));
      }
    }
  }

  Column column(std::string_view name) {
    if (name == "iteration") return [this](double value) { check_iteration(value); };
    if (name == "lr") return rates(history_.lr, "lr");
    if (name == "loss") return values(history_.loss);
    if (name == "raw_loss") return values(history_.raw_loss);
    if (name == "grad_norm") return values(history_.grad_norm);
    for (std::size_t group = 0; group < history_.group_lr.size(); ++group) {
      if (name == group_column(group)) return rates(history_.group_lr[group], group_column(group));
    }
    if (const auto metric = metric_of_column(name)) {
      const auto [place, is_new] = history_.metrics.try_emplace(*metric);
      if (!is_new) fail("metric " + quoted_field(*metric) + " appears twice");
      return values(place->second);
    }
    fail("column " + quoted_field(name) +
         " is not known; the columns are iteration, lr, loss, raw_loss, group_lr_0, group_lr_1 and "
         "so on, grad_norm, and metric_NAME for anything else");
  }

  static Column values(std::vector<double>& target) {
    return [&target](double value) { target.push_back(value); };
  }

  Column rates(std::vector<double>& target, const std::string& name) {
    return [this, &target, name](double value) {
      if (!std::isfinite(value) || value < 0) {
        fail(name + " is " + to_text(value) + "; it must be finite and not negative");
      }
      target.push_back(value);
    };
  }

  void check_iteration(double value) const {
    if (value != static_cast<double>(rows_)) {
      fail("iteration is " + to_text(value) + "; here it must be " + std::to_string(rows_));
    }
  }

  void read_row() {
    const std::vector<std::string_view> fields = split(line_);
    if (fields.size() != columns_.size()) {
      fail("there are " + std::to_string(fields.size()) + " values for " +
           std::to_string(columns_.size()) + " columns");
    }
    for (std::size_t i = 0; i < fields.size(); ++i) {
      const auto value = number_from<double>(fields[i]);
      if (!value) {
        fail("value " + std::to_string(i + 1) + ", " + quoted_field(fields[i]) +
             ", is not a number; write it as 0.5, 1e-7, nan or inf");
      }
      columns_[i](*value);
    }
    ++rows_;
  }

  static std::vector<std::string_view> split(std::string_view line) {
    std::vector<std::string_view> fields;
    for (std::size_t comma = line.find(','); comma != std::string_view::npos;
         comma = line.find(',')) {
      fields.push_back(line.substr(0, comma));
      line.remove_prefix(comma + 1);
    }
    fields.push_back(line);
    return fields;
  }

  std::string_view rest_;
  std::string source_;
  std::string_view line_;
  std::size_t line_number_ = 0;
  std::size_t rows_ = 0;
  std::optional<std::size_t> iterations_;
  std::vector<std::string_view> settings_seen_;
  std::vector<Column> columns_;
  History history_;
};

}  // namespace detail

/// The history that CSV text holds, as to_csv writes it. A table from elsewhere will do if it has
/// the columns `lr` and `loss`; what is missing besides takes its default, and the loss serves as
/// the raw loss too.
///
/// `source`: what the text is called in messages, for example its path. Throws InvalidHistory with
/// the source, the line and the reason where anything is wrong.
inline History from_csv(std::string_view text, const std::string& source = "history") {
  return detail::CsvReader(text, source).read();
}

}  // namespace lrfinder
