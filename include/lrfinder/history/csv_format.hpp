#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/trial.hpp>

// What a saved history consists of: the names of its columns, and its settings as text.
namespace lrfinder::detail {

inline constexpr std::string_view group_prefix = "group_lr_";
inline constexpr std::string_view metric_prefix = "metric_";

/// The column with the learning rates of a parameter group.
inline std::string group_column(std::size_t group) {
  return std::string(group_prefix) + std::to_string(group);
}

/// The parameter group of a column; none for other columns.
inline std::optional<std::size_t> group_of_column(std::string_view column) {
  if (column.substr(0, group_prefix.size()) != group_prefix) return std::nullopt;
  const auto group = number_from<std::size_t>(column.substr(group_prefix.size()));
  return group && group_column(*group) == column ? group : std::nullopt;
}

/// The column of a metric. Characters with a meaning in CSV, and control characters, become %XX.
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

/// The metric of a column; none for other columns and for a malformed %XX.
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

/// One setting of a history, saved as a comment line `# name: value` above the table.
struct SavedSetting {
  std::string_view name;
  /// The allowed values, for messages.
  const char* allowed;
  std::string (*text)(const History&);
  /// Sets the value; false where it is not allowed.
  bool (*assign)(History&, std::string_view);
  /// Whether it is saved only where its text is not empty.
  bool is_optional = false;
};

/// Sets a number that lies within the bounds, both included.
template <class Number>
bool assign_within(Number& target, std::string_view text, Number lowest, Number highest) {
  const auto value = number_from<Number>(text);
  if (!value || !(*value >= lowest && *value <= highest)) return false;
  target = *value;
  return true;
}

/// Sets the enumerator whose name is `text`.
template <class Enum, std::size_t count>
bool assign_named(Enum& target, std::string_view text, const std::array<Enum, count>& enumerators) {
  for (const Enum enumerator : enumerators) {
    if (text == to_string(enumerator)) return target = enumerator, true;
  }
  return false;
}

/// Learning rates, one for each parameter group, separated by blanks.
inline std::string rates_to_text(const std::vector<double>& rates) {
  std::string text;
  for (const double rate : rates) text += (text.empty() ? "" : " ") + to_text(rate);
  return text;
}

inline bool assign_rates(std::vector<double>& target, std::string_view text) {
  target.clear();
  while (!text.empty()) {
    const std::size_t blank = text.find(' ');
    double rate = 0;
    if (!assign_within(rate, text.substr(0, blank), 0.0, std::numeric_limits<double>::max())) {
      return false;
    }
    target.push_back(rate);
    text.remove_prefix(blank == std::string_view::npos ? text.size() : blank + 1);
  }
  return true;
}

/// What trials have found: the rate and its interval, then LR:UPDATES:LOSS for each trial, and
/// `:diverged` where one diverged. Empty where there is nothing.
inline std::string found_to_text(const std::optional<FoundRate>& found) {
  if (!found) return {};
  std::string text = rates_to_text({found->lr, found->low, found->high});
  for (const Trial& trial : found->trials) {
    text += ' ' + to_text(trial.lr) + ':' + std::to_string(trial.num_iter) + ':' +
            to_text(trial.loss) + (trial.diverged ? ":diverged" : "");
  }
  return text;
}

/// The piece of a text up to a separator; both are taken off its front.
inline std::string_view take_up_to(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  const std::string_view piece = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return piece;
}

inline bool assign_found(std::optional<FoundRate>& target, std::string_view text) {
  constexpr double max_double = std::numeric_limits<double>::max();
  FoundRate found;
  for (double* rate : {&found.lr, &found.low, &found.high}) {
    if (!assign_within(*rate, take_up_to(text, ' '), 0.0, max_double)) return false;
  }
  while (!text.empty()) {
    std::string_view piece = take_up_to(text, ' ');
    Trial trial;
    if (!assign_within(trial.lr, take_up_to(piece, ':'), 0.0, max_double)) return false;
    if (!assign_within(trial.num_iter, take_up_to(piece, ':'), std::int64_t{0},
                       std::numeric_limits<std::int64_t>::max())) {
      return false;
    }
    const auto loss = number_from<double>(take_up_to(piece, ':'));
    if (!loss || !(piece.empty() || piece == "diverged")) return false;
    trial.loss = *loss;
    trial.diverged = !piece.empty();
    found.trials.push_back(std::move(trial));
  }
  target = std::move(found);
  return true;
}

/// All settings of a saved history. A new setting is a new entry here.
inline const auto& saved_settings() {
  static constexpr double max_double = std::numeric_limits<double>::max();
  static constexpr std::int64_t max_count = std::numeric_limits<std::int64_t>::max();
  static const std::array<SavedSetting, 12> settings = {{
      {"stop_reason", "completed, diverged, non-finite loss, stopped by the caller or failed",
       [](const History& history) { return std::string(to_string(history.stop_reason)); },
       [](History& history, std::string_view text) {
         return assign_named(
             history.stop_reason, text,
             std::array{StopReason::completed, StopReason::diverged, StopReason::non_finite_loss,
                        StopReason::stopped_by_caller, StopReason::failed});
       }},
      {"wall_seconds", "a number of seconds, not negative",
       [](const History& history) { return to_text(history.wall_seconds); },
       [](History& history, std::string_view text) {
         return assign_within(history.wall_seconds, text, 0.0, max_double);
       }},
      {"start_lr", "learning rates with a blank between, each finite and not negative",
       [](const History& history) { return rates_to_text(history.settings.start_lr); },
       [](History& history, std::string_view text) {
         return assign_rates(history.settings.start_lr, text);
       }},
      {"end_lr", "learning rates with a blank between, each finite and not negative",
       [](const History& history) { return rates_to_text(history.settings.end_lr); },
       [](History& history, std::string_view text) {
         return assign_rates(history.settings.end_lr, text);
       }},
      {"num_iter", "a whole number, not negative",
       [](const History& history) { return std::to_string(history.settings.num_iter); },
       [](History& history, std::string_view text) {
         return assign_within(history.settings.num_iter, text, std::int64_t{0}, max_count);
       }},
      {"schedule", "exponential or linear",
       [](const History& history) { return std::string(to_string(history.settings.schedule)); },
       [](History& history, std::string_view text) {
         return assign_named(history.settings.schedule, text,
                             std::array{Schedule::exponential, Schedule::linear});
       }},
      {"smooth_f", "a number from 0 to below 1",
       [](const History& history) { return to_text(history.settings.smooth_f); },
       [](History& history, std::string_view text) {
         return assign_within(history.settings.smooth_f, text, 0.0, std::nextafter(1.0, 0.0));
       }},
      {"diverge_th", "a number, not negative, or inf",
       [](const History& history) { return to_text(history.settings.diverge_th); },
       [](History& history, std::string_view text) {
         return assign_within(history.settings.diverge_th, text, 0.0,
                              std::numeric_limits<double>::infinity());
       }},
      {"accumulation_steps", "a whole number, at least 1",
       [](const History& history) { return std::to_string(history.settings.accumulation_steps); },
       [](History& history, std::string_view text) {
         return assign_within(history.settings.accumulation_steps, text, std::int64_t{1},
                              max_count);
       }},
      {"gradient_age", "a number of iterations, not negative",
       [](const History& history) { return to_text(history.settings.gradient_age); },
       [](History& history, std::string_view text) {
         return assign_within(history.settings.gradient_age, text, 0.0, max_double);
       }},
      {"validation", "true or false",
       [](const History& history) {
         return std::string(history.settings.validation ? "true" : "false");
       },
       [](History& history, std::string_view text) {
         history.settings.validation = text == "true";
         return text == "true" || text == "false";
       }},
      {"found", "a rate, its interval, and LR:UPDATES:LOSS for each trial, with blanks between",
       [](const History& history) { return found_to_text(history.found); },
       [](History& history, std::string_view text) { return assign_found(history.found, text); },
       /*is_optional=*/true},
  }};
  return settings;
}

}  // namespace lrfinder::detail
