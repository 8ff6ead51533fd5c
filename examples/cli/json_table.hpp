#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#ifdef LRFINDER_JSON
#include <nlohmann/json.hpp>
#endif

#include <lrfinder/curve.hpp>

#ifdef LRFINDER_JSON
/// JSON with the words in quotes that Python writes for numbers that are not finite.
inline std::string with_quoted_words(const std::string& text) {
  std::string result;
  bool is_string = false;
  for (std::size_t i = 0, length = 1; i < text.size(); i += length) {
    length = text[i] == '\\' ? 2 : 1;
    for (const std::string_view word : {"NaN", "Infinity", "-Infinity"}) {
      if (!is_string && text.compare(i, word.size(), word) == 0) length = word.size();
    }
    if (text[i] == '"') is_string = !is_string;
    const std::string piece = text.substr(i, length);
    result += length > 2 ? '"' + piece + '"' : piece;
  }
  return result;
}

/// A value in a list. Of the rates of several parameter groups, the first.
inline std::string cell(const nlohmann::json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  return value.is_array() && !value.empty() ? value.front().dump() : value.dump();
}

/// Reads a JSON object of lists, as the histories of pytorch-lr-finder, Ignite and Lightning are.
inline lrfinder::ForeignTable json_table(const std::string& text) try {
  const auto json = nlohmann::json::parse(with_quoted_words(text));
  if (!json.is_object()) {
    throw lrfinder::InvalidHistory(
        R"(this JSON is not an object of lists, like {"lr": [0.1, 0.2], "loss": [2.5, 1.5]})");
  }
  lrfinder::ForeignTable table;
  for (const auto& [name, values] : json.items()) {
    if (!values.is_array()) continue;
    table.names.push_back(name);
    table.columns.emplace_back();
    for (const auto& value : values) table.columns.back().push_back(cell(value));
  }
  return table;
} catch (const nlohmann::json::exception& fault) {
  throw lrfinder::InvalidHistory("this JSON cannot be read: " +
                                 lrfinder::detail::printable(fault.what()));
}
#else
inline lrfinder::ForeignTable json_table(const std::string&) {
  throw lrfinder::InvalidHistory(
      "this is JSON, and lrfinder was built without nlohmann-json (Debian: nlohmann-json3-dev); "
      "build it again with that, or save the table as CSV");
}
#endif
