#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/csv_format.hpp>
#include <lrfinder/history/history.hpp>

namespace lrfinder::detail {

/// Reads a history from CSV text, line by line.
class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& source) : rest_(text), source_(source) {
    constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
    if (rest_.substr(0, byte_order_mark.size()) == byte_order_mark) {
      rest_.remove_prefix(byte_order_mark.size());
    }
  }

  History read() {
    while (next_line() && columns_.empty()) {
      line_.front() == '#' ? read_setting(line_.substr(1)) : read_header();
    }
    if (columns_.empty())
      fail("there is no header; it must name the columns, at least lr and loss");
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
  struct Column {
    std::string_view name;
    std::vector<double>* values;  // none for the number of the iteration
    bool holds_rates = false;
  };

  [[noreturn]] void fail(const std::string& reason) const {
    throw InvalidHistory(printable(source_) + ":" + std::to_string(line_number_) + ": " + reason);
  }

  /// A piece of the file for a message.
  static std::string quoted(std::string_view field) {
    constexpr std::size_t max_length = 40;
    const bool is_long = field.size() > max_length;
    return "\"" + printable(field.substr(0, max_length)) + (is_long ? "...\"" : "\"");
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

  /// Reads `name: value`. Other comments are ignored.
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
    if (!settings_seen_.insert(name).second) {
      fail("setting " + std::string(name) + " appears twice");
    }
    if (is_count) {
      iterations_ = number_from<std::size_t>(value);
      if (!iterations_) fail("iterations is " + quoted(value) + "; it must be a number");
    } else if (!setting->assign(history_, value)) {
      fail(std::string(name) + " is " + quoted(value) + "; it must be " + setting->allowed);
    }
  }

  void read_header() {
    const std::vector<std::string_view> names = split(line_);
    std::set<std::string_view> seen;
    std::size_t groups = 0;
    for (const std::string_view name : names) {
      if (!seen.insert(name).second) fail("column " + quoted(name) + " appears twice");
      groups += group_of_column(name) ? 1U : 0U;
    }
    // All groups are made first, because the columns point to them.
    history_.group_lr.resize(groups);
    for (const std::string_view name : names) columns_.push_back(column(name));
    for (const std::string_view required : {"lr", "loss"}) {
      if (seen.count(required) == 0) fail("there is no column " + std::string(required));
    }
  }

  Column column(std::string_view name) {
    if (name == "iteration") return {name, nullptr};
    if (name == "lr") return {name, &history_.lr, true};
    if (name == "loss") return {name, &history_.loss};
    if (name == "raw_loss") return {name, &history_.raw_loss};
    if (name == "grad_norm") return {name, &history_.grad_norm};
    const auto group = group_of_column(name);
    if (group && *group < history_.group_lr.size()) return {name, &history_.group_lr[*group], true};
    if (const auto metric = metric_of_column(name)) {
      const auto [place, is_new] = history_.metrics.try_emplace(*metric);
      if (!is_new) fail("metric " + quoted(*metric) + " appears twice");
      return {name, &place->second};
    }
    fail("column " + quoted(name) +
         " is not known; the columns are iteration, lr, loss, raw_loss, group_lr_0, group_lr_1 and "
         "so on, grad_norm, and metric_NAME for anything else");
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
        fail("value " + std::to_string(i + 1) + ", " + quoted(fields[i]) +
             ", is not a number; write it as 0.5, 1e-7, nan or inf");
      }
      add(columns_[i], *value);
    }
    ++rows_;
  }

  void add(const Column& column, double value) const {
    if (!column.values) {
      if (value == static_cast<double>(rows_)) return;
      fail("iteration is " + to_text(value) + "; here it must be " + std::to_string(rows_));
    }
    if (column.holds_rates && !(std::isfinite(value) && value >= 0)) {
      fail(std::string(column.name) + " is " + to_text(value) +
           "; it must be finite and not negative");
    }
    column.values->push_back(value);
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
  const std::string& source_;
  std::string_view line_;
  std::size_t line_number_ = 0;
  std::size_t rows_ = 0;
  std::optional<std::size_t> iterations_;
  std::set<std::string_view> settings_seen_;
  std::vector<Column> columns_;
  History history_;
};

}  // namespace lrfinder::detail
