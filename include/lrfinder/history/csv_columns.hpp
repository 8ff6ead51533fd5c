#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace lrfinder::detail {

inline constexpr std::string_view group_prefix = "group_lr_";
inline constexpr std::string_view metric_prefix = "metric_";

inline std::string group_column(std::size_t group) {
  return std::string(group_prefix) + std::to_string(group);
}

inline bool is_group_column(std::string_view name) {
  return name.substr(0, group_prefix.size()) == group_prefix;
}

/// A column for a metric of any name: what would mean something in CSV is written as %XX.
inline std::string metric_column(std::string_view metric) {
  static constexpr char hex[] = "0123456789ABCDEF";
  std::string column(metric_prefix);
  for (const char letter : metric) {
    const auto byte = static_cast<unsigned char>(letter);
    if (byte < 0x20 || byte == 0x7F ||
        std::string_view("%,\"#").find(letter) != std::string::npos) {
      column += {'%', hex[byte >> 4], hex[byte & 15]};
    } else {
      column += letter;
    }
  }
  return column;
}

/// The metric that a column is for; nothing where it is for none.
inline std::optional<std::string> metric_of_column(std::string_view column) {
  if (column.substr(0, metric_prefix.size()) != metric_prefix) return std::nullopt;
  const auto nibble = [](char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
  };
  std::string metric;
  for (std::size_t i = metric_prefix.size(); i < column.size(); ++i) {
    if (column[i] != '%') {
      metric += column[i];
      continue;
    }
    if (i + 2 >= column.size()) return std::nullopt;
    const int high = nibble(column[i + 1]);
    const int low = nibble(column[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    metric += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return metric;
}

/// A piece of a file as a message may show it: in quotes, not too long, without control characters.
inline std::string quoted_field(std::string_view field) {
  constexpr std::size_t longest = 40;
  std::string text = "\"" + std::string(field.substr(0, longest));
  for (char& letter : text) {
    if (static_cast<unsigned char>(letter) < 0x20) letter = '?';
  }
  return text + (field.size() > longest ? "...\"" : "\"");
}

}  // namespace lrfinder::detail
