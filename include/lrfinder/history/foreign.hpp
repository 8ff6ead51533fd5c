#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
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
#include <lrfinder/history/smoothing.hpp>

/// @file
/// Curves that other tools have saved, as tables of any separator or, with the help of the caller,
/// as JSON.

namespace lrfinder {

/// A table as text.
struct ForeignTable {
  std::vector<std::string> names;                 ///< names of the columns
  std::vector<std::vector<std::string>> columns;  ///< their values; an empty one is missing
  std::vector<std::size_t> lines;  ///< line of each row in the file; empty: rows have no lines
};

/// What a file of another tool does not tell about the curve in it. For History::load().
struct ForeignFormat {
  /// How the losses were smoothed. It is undone: `History::loss` has the losses of the file,
  /// `History::raw_loss` those that were measured. smoothing_of() knows the tools. Default: they
  /// were not smoothed.
  Smoothing smoothing{};
  /// Name of the column of the learning rates. Default: a usual one, like `learning_rate`.
  std::string lr{};
  /// Name of the column of the losses. Default: a usual one, like `train_loss`.
  std::string loss{};
  /// Makes a table of JSON, by a library of yours: each list of an object becomes a column. Throws
  /// InvalidHistory if it cannot. Default: JSON is refused.
  std::function<ForeignTable(const std::string& text)> json{};
};

}  // namespace lrfinder

namespace lrfinder::detail {

/// A text without the byte-order mark.
inline std::string_view without_mark(std::string_view text) {
  return after("\xEF\xBB\xBF", text).value_or(text);
}

/// A text without the blanks around it.
inline std::string_view trimmed(std::string_view text) {
  constexpr auto blanks = " \t\r\n";
  const std::size_t begin = std::min(text.find_first_not_of(blanks), text.size());
  return text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

/// Whether from_csv() is to read a text: to_csv() has written it, or it has our columns only, and
/// more than a plain curve.
inline bool is_own(std::string_view text, const ForeignFormat& format) {
  text = without_mark(text);
  if (after("# lrfinder range test", text)) return true;
  if (format.smoothing.factor < 1 || !format.lr.empty() || !format.loss.empty()) return false;
  std::string_view header;
  while (!text.empty() && (header.empty() || header.front() == '#')) {
    header = trimmed(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  }
  std::set<std::string> own{"iteration"};
  History history;
  each_column(history, [&](const std::string& name, auto&) { own.insert(name); });
  const auto fields = split(header, ',');
  const std::set<std::string> names(fields.begin(), fields.end());
  const bool are_known = std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return own.count(name) > 0 || after(group_prefix, name) || after(metric_prefix, name);
  });
  return are_known && names.count("lr") > 0 && names.count("loss") > 0 &&
         names.size() > 2 + names.count("iteration");
}

/// Reads the curve in a text of another tool.
class ForeignReader {
 public:
  ForeignReader(const std::string& text, const ForeignFormat& format, const std::string& source)
      : rest_(without_mark(text)), format_(format), source_(source) {}

  History read() {
    const auto first = trimmed(rest_.substr(0, rest_.find_first_not_of(" \t\r\n") + 1));
    if (first == "{" || first == "[") {
      if (!format_.json)
        fail("this is JSON; the command lrfinder reads it, or save the table as CSV");
      try {
        table_ = format_.json(std::string(rest_));
      } catch (const InvalidHistory& fault) {
        fail(fault.what());
      }
      choose_columns();
    } else {
      read_table();
    }
    return curve();
  }

 private:
  struct Point {
    double lr, loss;
    std::size_t row;
  };

  /// Throws InvalidHistory with the line, if there is one.
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... reason) const {
    const std::string line = line_number_ > 0 ? concat(':', line_number_) : "";
    throw InvalidHistory(concat(printable(source_), line, ": ", reason...));
  }

  /// Throws InvalidHistory with the line of a row or, without lines, the row.
  template <class... Parts>
  [[noreturn]] void fail_in(std::size_t row, const Parts&... reason) {
    if (table_.lines.empty()) fail("row ", row + 1, ": ", reason...);
    line_number_ = table_.lines[row];
    fail(reason...);
  }

  /// The names of the columns for a message.
  std::string listed() const {
    std::string text;
    for (const std::string& name : table_.names)
      text += (text.empty() ? "" : ", ") + in_quotes(name);
    return shortened(text, 300);
  }

  /// The fields of a line, without quotes and the blanks around them.
  std::vector<std::string> fields(std::string_view line, char separator) const {
    std::vector<std::string> fields(1);
    bool is_quoted = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '"' && !(is_quoted && line.substr(i + 1, 1) == "\"")) {
        is_quoted = !is_quoted;
      } else if (line[i] == separator && !is_quoted) {
        fields.emplace_back();
      } else {
        fields.back() += line[i];
        if (line[i] == '"') ++i;
      }
    }
    if (is_quoted) fail("a quote is not closed");
    for (std::string& field : fields) field = trimmed(field);
    return fields;
  }

  void read_table() {
    char separator = ',';
    while (!rest_.empty()) {
      const std::size_t end = std::min(rest_.find('\n'), rest_.size() - 1);
      const std::string_view line = rest_.substr(0, end + 1);
      rest_.remove_prefix(end + 1);
      ++line_number_;
      if (trimmed(line).empty() || line.front() == '#') continue;
      const bool is_header = table_.names.empty();
      for (const char other : {'\t', ';', '|'}) {
        if (is_header && fields(line, other).size() > fields(line, separator).size()) {
          separator = other;
        }
      }
      auto values = fields(line, separator);
      if (is_header) {
        table_.columns.resize(values.size());
        table_.names = std::move(values);
        choose_columns();
        continue;
      }
      if (values.size() != table_.names.size()) {
        fail("there are ", values.size(), " values for ", table_.names.size(), " columns");
      }
      for (std::size_t i = 0; i < values.size(); ++i) {
        table_.columns[i].push_back(std::move(values[i]));
      }
      table_.lines.push_back(line_number_);
    }
    if (table_.names.empty()) fail("there is no header; it must name the columns");
  }

  /// A name of a column in the usual form: "Train/Loss", "run 3 - train_loss" (Weights & Biases)
  /// become "train_loss".
  static std::string usual_form(std::string_view name) {
    const std::size_t dash = name.rfind(" - ");
    std::string form(dash == name.npos ? name : name.substr(dash + 3));
    for (char& letter : form) {
      if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
      if (letter == ' ' || letter == '/' || letter == '-' || letter == '.') letter = '_';
    }
    return form;
  }

  /// Index of the column with this name or, without a name, of the first usual one.
  std::size_t column(const std::string& name, const char* what, const char* option,
                     const std::vector<std::string>& usual) const {
    std::vector<std::string> names = table_.names;
    if (name.empty()) std::transform(names.begin(), names.end(), names.begin(), usual_form);
    for (const std::string& wanted : name.empty() ? usual : std::vector<std::string>{name}) {
      const auto count = std::count(names.begin(), names.end(), wanted);
      if (count > 1) {
        fail("there are ", count, " columns of the ", what, " among ", listed(), "; keep one",
             name.empty() ? concat(", or name it with ", option) : "");
      }
      if (count == 1) {
        return static_cast<std::size_t>(std::find(names.begin(), names.end(), wanted) -
                                        names.begin());
      }
    }
    if (!name.empty()) fail("there is no column ", in_quotes(name), "; there is ", listed());
    if (table_.names == std::vector<std::string>{"Wall time", "Step", "Value"}) {
      fail(
          "TensorBoard has saved one scalar. Save the rates and the losses, and join them: "
          "pandas.read_csv(\"lr.csv\").merge(pandas.read_csv(\"loss.csv\"), on=\"Step\", "
          "suffixes=(\"_lr\", \"_loss\")).to_csv(PATH); then --lr Value_lr --loss Value_loss");
    }
    fail("no column has a usual name of the ", what, "; there is ", listed(), "; name one with ",
         option);
  }

  void choose_columns() {
    lr_ = column(format_.lr, "learning rate", "--lr NAME (ForeignFormat::lr)",
                 {"lr", "learning_rate", "lrs", "learning_rates", "learningrate"});
    loss_ = column(format_.loss, "loss", "--loss NAME (ForeignFormat::loss)",
                   {"raw_loss", "loss", "train_loss", "training_loss", "losses", "smooth_loss",
                    "smoothed_loss", "train_loss_step"});
  }

  /// The number in a cell; NaN if it is empty. A comma may be its decimal point.
  double number(std::size_t column, std::size_t row) {
    const std::string& cell = table_.columns[column][row];
    std::string text(after("+", cell).value_or(cell));
    const std::size_t comma = text.find(',');
    if (comma != text.npos && text.find('.') == text.npos) text[comma] = '.';
    const auto value = number_from<double>(text.empty() ? "nan" : text);
    if (value) return *value;
    fail_in(row, "value ", column + 1, ", ", in_quotes(cell),
            ", is not a number; write it as 0.5, 1e-7, nan or inf");
  }

  History curve() {
    const auto& rates = table_.columns[lr_];
    const auto& losses = table_.columns[loss_];
    if (rates.size() != losses.size()) {
      fail("there are ", rates.size(), " learning rates but ", losses.size(), " losses");
    }
    std::vector<Point> points;
    for (std::size_t row = 0; row < rates.size(); ++row) {
      if (rates[row].empty() && losses[row].empty()) continue;  // of other values
      if (rates[row].empty()) fail_in(row, "there is a loss, but no learning rate in the same row");
      points.push_back({number(lr_, row), number(loss_, row), row});
      if (!is_rate(points.back().lr)) {
        fail_in(row, "the learning rate is ", to_text(points.back().lr),
                "; it must be finite and not negative");
      }
    }
    std::stable_sort(points.begin(), points.end(),
                     [](const Point& a, const Point& b) { return a.lr < b.lr; });
    require_likely(points);
    History history;
    for (const Point& point : points) {
      history.lr.push_back(point.lr);
      history.loss.push_back(point.loss);
    }
    history.raw_loss = without_smoothing(history.loss, format_.smoothing);
    return history;
  }

  /// Throws InvalidHistory if the last rate is far above the others, which do not lie far apart.
  void require_likely(const std::vector<Point>& points) {
    double last_step = 0, largest_step = 1;  // between neighbours, as factors
    for (std::size_t i = 1; i < points.size(); ++i) {
      largest_step = std::max(largest_step, last_step);
      last_step = points[i - 1].lr > 0 ? points[i].lr / points[i - 1].lr : 0;
    }
    if (points.size() < 3 || last_step < 1000 || last_step < 10 * largest_step) return;
    fail_in(points.back().row, "the learning rate is ", to_text(points.back().lr), ", ",
            rounded(last_step), " times the next lower one; correct the row or leave it out");
  }

  std::string_view rest_;
  const ForeignFormat& format_;
  const std::string& source_;
  std::size_t line_number_ = 0;  // 0: not in a line
  ForeignTable table_;
  std::size_t lr_ = 0, loss_ = 0;  // indices of the columns
};

}  // namespace lrfinder::detail
