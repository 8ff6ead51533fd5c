#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <lrfinder/detail/files.hpp>
#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/csv_format.hpp>
#include <lrfinder/history/foreign.hpp>
#include <lrfinder/history/history.hpp>

namespace lrfinder {
namespace detail {

/// Reads a history from CSV text, line by line.
class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& source)
      : rest_(without_mark(text)), source_(source) {
    history_.found.emplace();
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
    if (is_saved() && iterations_ != history_.size()) {
      fail("there are ", history_.size(), " iterations but ", iterations_,
           " were saved; the file is not complete");
    }
    if (history_.raw_loss.empty()) history_.raw_loss = history_.loss;
    const auto found = settings_seen_.lower_bound("found_");
    if (found == settings_seen_.end() || !after("found_", *found)) {
      history_.found.reset();
    } else if (!history_.empty()) {
      history_.found->index = nearest_index(history_.lr, history_.found->lr);
    }
    return std::move(history_);
  }

 private:
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... reason) const {
    throw InvalidHistory(concat(printable(source_), ':', line_number_, ": ", reason...));
  }

  /// Whether to_csv() wrote the text. Such a text tells its number of iterations.
  bool is_saved() const { return settings_seen_.count("iterations") > 0; }

  /// Goes to the next line that is not blank. At the end, returns false and leaves an empty line.
  bool next_line() {
    line_ = {};
    while (line_.empty() && !rest_.empty()) {
      const std::size_t end = rest_.find('\n');
      ++line_number_;
      line_ = rest_.substr(0, end);
      rest_.remove_prefix(end == rest_.npos ? rest_.size() : end + 1);
      if (end == rest_.npos && is_saved()) fail("the last line is cut short");
      if (!line_.empty() && line_.back() == '\r') line_.remove_suffix(1);
    }
    return !line_.empty();
  }

  /// Reads `name: value`. Other comments are ignored.
  void read_setting(std::string_view comment) {
    if (!comment.empty() && comment.front() == ' ') comment.remove_prefix(1);
    const std::size_t colon = comment.find(": ");
    const std::string_view name = comment.substr(0, colon);
    const std::string_view value = colon == comment.npos ? "" : comment.substr(colon + 2);
    const auto assign = [&](std::string_view setting, auto& target, const char* allowed,
                            const auto& is_allowed) {
      if (setting != name) return;
      if (!settings_seen_.insert(setting).second) fail("setting ", name, " appears twice");
      if (!from_setting(value, target) || !is_allowed(target)) {
        fail(name, " is ", in_quotes(value), "; it must be ", allowed);
      }
    };
    assign("iterations", iterations_, "a number", [](const auto&) { return true; });
    each_setting(history_, assign);
  }

  void read_header() {
    const auto names = split(line_, ',');
    std::set<std::string_view> seen;
    for (const std::string_view name : names) {
      if (!seen.insert(name).second) fail("column ", in_quotes(name), " appears twice");
      if (after(group_prefix, name)) history_.group_lr.emplace_back();
    }
    // Pointers to the columns are taken only after all groups exist, because columns must not move.
    std::map<std::string, std::vector<double>*, std::less<>> known{{"iteration", nullptr}};
    each_column(history_, [&](const std::string& name, auto& values) { known[name] = &values; });
    for (const std::string_view name : names) {
      const auto text = after(metric_prefix, name);
      if (const auto metric = text ? unescaped(*text) : std::nullopt) {
        const auto [place, is_new] = history_.metrics.try_emplace(*metric);
        if (!is_new) fail("metric ", in_quotes(*metric), " appears twice");
        known.emplace(name, &place->second);
      }
      const auto column = known.find(name);
      if (column == known.end()) {
        fail("column ", in_quotes(name),
             " is not known; the columns are iteration, lr, loss, raw_loss, untrained_loss, "
             "group_lr_0, group_lr_1 and so on, grad_norm, and metric_NAME for anything else");
      }
      columns_.emplace_back(name, column->second);
    }
    for (const std::string_view required : {"lr", "loss"}) {
      if (seen.count(required) == 0) fail("there is no column ", required);
    }
  }

  void read_row() {
    const auto fields = split(line_, ',');
    if (fields.size() != columns_.size()) {
      fail("there are ", fields.size(), " values for ", columns_.size(), " columns");
    }
    for (std::size_t i = 0; i < fields.size(); ++i) {
      const auto& [name, values] = columns_[i];
      const auto value = number_from<double>(fields[i]);
      if (!value) {
        fail("value ", i + 1, ", ", in_quotes(fields[i]),
             ", is not a number; write it as 0.5, 1e-7, nan or inf");
      }
      if (!values && *value != static_cast<double>(rows_)) {
        fail("iteration is ", to_text(*value), "; here it must be ", rows_);
      }
      if (!is_rate(*value) && (name == "lr" || after(group_prefix, name))) {
        fail(name, " is ", to_text(*value), "; it must be finite and not negative");
      }
      if (values) values->push_back(*value);
    }
    ++rows_;
  }

  std::string_view rest_;
  const std::string& source_;
  std::string_view line_;
  std::size_t line_number_ = 0;
  std::size_t rows_ = 0;
  std::size_t iterations_ = 0;  // number that was saved
  std::set<std::string_view> settings_seen_;
  /// Names and values; the column `iteration` has null.
  std::vector<std::pair<std::string_view, std::vector<double>*>> columns_;
  History history_;
};

}  // namespace detail

/// Writes a history as CSV text. Comment lines `# name: value` come first: the settings of the
/// test, why it ended, and what a search has found. Then come a header and a row for each
/// iteration. pandas reads the text with `pandas.read_csv(path, comment="#")`.
///
/// The columns are `iteration`, `lr`, `loss` and `raw_loss`; `untrained_loss` if it was measured;
/// `group_lr_0`, `group_lr_1`, ... if there are several parameter groups; `grad_norm` if it was
/// recorded; `metric_NAME` for each metric. Numbers have enough digits to be read back exactly.
/// Control characters and percent signs are written as `%XX`. In names of metrics, so are
/// characters with a meaning in CSV.
///
/// Throws InvalidHistory if the columns differ in length.
inline std::string to_csv(const History& history) {
  std::string text = detail::concat("# lrfinder range test\n# iterations: ", history.size(), '\n');
  detail::each_setting(history, [&](const char* name, const auto& value, const auto&...) {
    const std::string as_text = detail::to_setting(value);
    if (!as_text.empty()) text += detail::concat("# ", name, ": ", as_text, '\n');
  });
  text += "iteration";
  std::vector<const std::vector<double>*> columns;
  detail::each_column(history, [&](const std::string& name, const auto& values) {
    if (values.empty() && (name == "grad_norm" || name == "untrained_loss")) return;
    detail::require_column(history.lr, values, detail::printable(name));
    text += ',' + name;
    columns.push_back(&values);
  });
  text += '\n';
  for (std::size_t i = 0; i < history.size(); ++i) {
    text += std::to_string(i);
    for (const auto* column : columns) text += ',' + detail::to_text((*column)[i]);
    text += '\n';
  }
  return text;
}

/// Reads a history from CSV text in the format of to_csv(). A table from elsewhere needs only the
/// columns `lr` and `loss`. Its settings are the defaults, and its raw loss is the loss.
///
/// `source`: the name of the text in messages, for example its path. Throws InvalidHistory with the
/// source, the line and the reason if the text is wrong. O(n log k) for n values in k columns.
inline History from_csv(std::string_view text, const std::string& source = "history") {
  return detail::CsvReader(text, source).read();
}

inline void History::save(const std::string& path) const {
  const std::string csv = to_csv(*this);
  from_csv(csv, "History::save: what would be saved could not be loaded");
  try {
    detail::replace_file(path, csv);
  } catch (const std::system_error& fault) {
    throw Error(detail::concat("History::save: cannot write ", detail::printable(path), ": ",
                               fault.code().message()));
  }
}

inline History History::load(const std::string& path) { return load(path, {}); }

inline History History::load(const std::string& path, const ForeignFormat& format) {
  try {
    const std::string text = detail::read_file(path);
    return detail::is_own(text, format) ? from_csv(text, path)
                                        : detail::ForeignReader(text, format, path).read();
  } catch (const std::system_error& fault) {
    throw InvalidHistory(detail::concat("History::load: cannot read ", detail::printable(path),
                                        ": ", fault.code().message()));
  }
}

}  // namespace lrfinder
