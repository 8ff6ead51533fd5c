#pragma once

#include <cstddef>
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
#include <lrfinder/history/csv_reader.hpp>
#include <lrfinder/history/history.hpp>

namespace lrfinder {

/// A history as CSV text: comment lines with the settings of the test and why it ended, then a
/// header, then one row for each iteration. pandas reads it with
/// `pandas.read_csv(path, comment="#")`.
///
/// The columns are `iteration`, `lr`, `loss` and `raw_loss`; `group_lr_0`, `group_lr_1`, ... where
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
    const std::string value = setting.text(history);
    if (!setting.is_optional || !value.empty())
      text += "# " + std::string(setting.name) + ": " + value + "\n";
  }
  text += "iteration";
  for (const auto& [name, values] : columns) {
    detail::require_column(history, *values, detail::printable(name));
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

/// The history in CSV text, as to_csv writes it. A table from elsewhere needs the columns `lr` and
/// `loss`; other missing columns and settings have their defaults, and the loss is the raw loss
/// too. A UTF-8 byte-order mark is allowed.
///
/// `source`: the name of the text in messages, for example its path. Throws InvalidHistory with the
/// source, the line and the reason where anything is wrong. O(n log k) for n values in k columns.
inline History from_csv(std::string_view text, const std::string& source = "history") {
  return detail::CsvReader(text, source).read();
}

inline void History::save(const std::string& path) const {
  const std::string csv = to_csv(*this);
  try {
    from_csv(csv, path);
  } catch (const InvalidHistory& fault) {
    throw InvalidHistory(std::string("History::save: what would be saved could not be loaded: ") +
                         fault.what());
  }
  try {
    detail::replace_file(path, csv);
  } catch (const std::system_error& fault) {
    throw Error("History::save: cannot write " + detail::printable(path) + ": " +
                fault.code().message());
  }
}

inline History History::load(const std::string& path) {
  std::string csv;
  try {
    csv = detail::read_file(path);
  } catch (const std::system_error& fault) {
    throw InvalidHistory("History::load: cannot read " + detail::printable(path) + ": " +
                         fault.code().message());
  }
  return from_csv(csv, path);
}

}  // namespace lrfinder
