#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/suggestion.hpp>

// The parts of a saved history: its columns and its settings, and their form as text.
namespace lrfinder::detail {

/// Replaces percent signs, control characters and the characters in `special` by %XX.
inline std::string escaped(std::string_view text, std::string_view special = "") {
  static constexpr char hex[] = "0123456789ABCDEF";
  std::string result;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    const bool is_special = special.find(letter) != std::string_view::npos;
    if (byte < 0x20 || byte == 0x7F || letter == '%' || is_special) {
      result += {'%', hex[byte >> 4], hex[byte & 15]};
    } else {
      result += letter;
    }
  }
  return result;
}

/// Reverses escaped(). Returns none if a percent sign does not begin %XX.
inline std::optional<std::string> unescaped(std::string_view text) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      result += text[i];
      continue;
    }
    const std::string_view code = text.substr(i + 1, 2);
    if (code.size() < 2 || code.find_first_not_of(hex) != code.npos) return std::nullopt;
    result += static_cast<char>(hex.find(code[0]) * 16 + hex.find(code[1]));
    i += 2;
  }
  return result;
}

/// Returns the pieces of a text between separators; one piece if there is no separator.
inline std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  for (std::size_t end = 0; end != text.npos; text.remove_prefix(end == text.npos ? 0 : end + 1)) {
    end = text.find(separator);
    pieces.push_back(text.substr(0, end));
  }
  return pieces;
}

inline constexpr std::string_view group_prefix = "group_lr_";
inline constexpr std::string_view metric_prefix = "metric_";

/// Returns the text after a prefix; none if the text does not begin with the prefix.
inline std::optional<std::string_view> after(std::string_view prefix, std::string_view text) {
  if (text.substr(0, prefix.size()) != prefix) return std::nullopt;
  return text.substr(prefix.size());
}

/// Calls `visit` with the name and the values of every column of a saved history. In names of
/// metrics, characters with a meaning in CSV are %XX.
template <class AnyHistory, class Visit>
void each_column(AnyHistory& history, Visit visit) {
  visit("lr", history.lr);
  visit("loss", history.loss);
  visit("raw_loss", history.raw_loss);
  visit("untrained_loss", history.untrained_loss);
  for (std::size_t group = 0; group < history.group_lr.size(); ++group) {
    visit(std::string(group_prefix) + std::to_string(group), history.group_lr[group]);
  }
  visit("grad_norm", history.grad_norm);
  for (auto& [name, values] : history.metrics) {
    visit(std::string(metric_prefix) + escaped(name, ",\"#"), values);
  }
}

// Convert a value to the text of a setting, and back. Reading returns false for a wrong text.

inline std::string to_setting(double value) { return to_text(value); }
inline std::string to_setting(std::int64_t value) { return std::to_string(value); }
inline std::string to_setting(bool value) { return value ? "true" : "false"; }
inline std::string to_setting(const std::string& value) { return escaped(value); }
inline std::string to_setting(StopReason value) { return to_string(value); }
inline std::string to_setting(RangeSchedule value) { return to_string(value); }

/// LR:UPDATES:LOSS, then `:diverged` if the trial diverged, `:unsteady` if it was unsteady, and
/// :NAME=VALUE for each metric.
inline std::string to_setting(const Trial& trial) {
  std::string text =
      to_text(trial.lr) + ':' + std::to_string(trial.updates) + ':' + to_text(trial.loss);
  if (trial.diverged) text += ":diverged";
  if (trial.unsteady) text += ":unsteady";
  for (const auto& [name, value] : trial.metrics) {
    text += ':' + escaped(name, " :=") + '=' + to_text(value);
  }
  return text;
}

/// The elements with blanks between them.
template <class Element>
std::string to_setting(const std::vector<Element>& elements) {
  std::string text;
  for (const Element& element : elements) text += (text.empty() ? "" : " ") + to_setting(element);
  return text;
}

template <class Number>
bool from_setting(std::string_view text, Number& value) {
  const auto number = number_from<Number>(text);
  if (number) value = *number;
  return number.has_value();
}

inline bool from_setting(std::string_view text, std::string& value) {
  const auto plain = unescaped(text);
  if (plain) value = *plain;
  return plain.has_value();
}

/// Reads a bool or an enumerator from its name. `last`: its last value.
template <class Value>
bool from_names(std::string_view text, Value& value, Value last) {
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    value = static_cast<Value>(i);
    if (text == to_setting(value)) return true;
  }
  return false;
}

inline bool from_setting(std::string_view text, bool& value) {
  return from_names(text, value, true);
}
inline bool from_setting(std::string_view text, StopReason& value) {
  return from_names(text, value, StopReason::failed);
}
inline bool from_setting(std::string_view text, RangeSchedule& value) {
  return from_names(text, value, RangeSchedule::linear);
}

inline bool from_setting(std::string_view text, Trial& trial) {
  const auto pieces = split(text, ':');
  if (pieces.size() < 3 || !from_setting(pieces[0], trial.lr) || !is_rate(trial.lr) ||
      !from_setting(pieces[1], trial.updates) || trial.updates < 0 ||
      !from_setting(pieces[2], trial.loss)) {
    return false;
  }
  std::size_t next = 3;
  const auto has_word = [&](std::string_view word) {
    const bool has = next < pieces.size() && pieces[next] == word;
    if (has) ++next;
    return has;
  };
  trial.diverged = has_word("diverged");
  trial.unsteady = has_word("unsteady");
  for (std::size_t i = next; i < pieces.size(); ++i) {
    const std::size_t equals = pieces[i].find('=');
    const auto name = unescaped(pieces[i].substr(0, equals));
    if (equals == std::string_view::npos || !name || trial.metrics.count(*name) > 0 ||
        !from_setting(pieces[i].substr(equals + 1), trial.metrics[*name])) {
      return false;
    }
  }
  return true;
}

template <class Element>
bool from_setting(std::string_view text, std::vector<Element>& elements) {
  elements.clear();
  if (text.empty()) return true;
  for (const std::string_view piece : split(text, ' ')) {
    if (!from_setting(piece, elements.emplace_back())) return false;
  }
  return true;
}

/// Calls `visit` for every setting of a saved history, with its name, its value, a description of
/// the allowed values, and a function that checks a value. A new setting is a new line here.
template <class AnyHistory, class Visit>
void each_setting(AnyHistory& history, Visit visit) {
  const auto any = [](const auto&) { return true; };
  const auto at_least = [](std::int64_t least) {
    return [least](std::int64_t value) { return value >= least; };
  };
  const auto are_rates = [](const std::vector<double>& values) {
    return std::all_of(values.begin(), values.end(), is_rate);
  };
  constexpr auto positive = "a finite number, not negative";
  constexpr auto count = "a whole number, not negative";
  constexpr auto rates = "learning rates with a blank between, each finite and not negative";
  constexpr auto text = "a text in which percent signs begin %XX";

  auto& test = history.settings;
  visit("stop_reason", history.stop_reason,
        "completed, diverged, non-finite loss, stopped by the caller or failed", any);
  visit("wall_seconds", history.wall_seconds, positive, is_rate);
  visit("start_lr", test.start_lr, rates, are_rates);
  visit("end_lr", test.end_lr, rates, are_rates);
  visit("num_iter", test.num_iter, count, at_least(0));
  visit("schedule", test.schedule, "exponential or linear", any);
  visit("smooth_f", test.smooth_f, "a number from 0 to below 1",
        [](double value) { return value >= 0 && value < 1; });
  visit("diverge_th", test.diverge_th, "a number, at least 1, or 0 for never",
        [](double value) { return value >= 1 || value == 0; });
  visit("accumulation_steps", test.accumulation_steps, "a whole number, at least 1", at_least(1));
  visit("gradient_age", test.gradient_age, positive, is_rate);
  visit("validation", test.validation, "true or false", any);
  visit("skipped_batches", test.skipped_batches, count, at_least(0));
  if (!history.found) return;
  auto& found = *history.found;
  visit("found_lr", found.lr, positive, is_rate);
  visit("found_low", found.low, positive, is_rate);
  visit("found_high", found.high, positive, is_rate);
  visit("found_loss", found.loss, "a number", any);
  visit("found_updates", found.updates, count, at_least(0));
  visit("found_steps", found.steps, count, at_least(0));
  visit("found_recipe", found.recipe, text, any);
  visit("found_caveat", found.caveat, text, any);
  visit("found_trials", found.trials,
        "LR:UPDATES:LOSS for each trial, with blanks between, then :diverged and :unsteady if it "
        "was so, and "
        ":NAME=VALUE for each metric",
        any);
}

}  // namespace lrfinder::detail
