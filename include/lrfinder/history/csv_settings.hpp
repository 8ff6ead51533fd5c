#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/history/history.hpp>

namespace lrfinder::detail {

/// What a saved history says in one leading comment line, `# name: value`.
struct SavedSetting {
  std::string_view name;
  /// The values that are taken, in words.
  const char* allowed;
  std::string (*text)(const History&);
  /// Takes the value over; false where it is not allowed.
  bool (*assign)(History&, std::string_view);
};

/// Writes a parsed value that lies within the bounds.
template <class Number>
bool assign_within(Number& target, std::string_view text, Number lowest, Number highest) {
  const auto value = number_from<Number>(text);
  if (!value || !(*value >= lowest && *value <= highest)) return false;
  target = *value;
  return true;
}

/// Writes the enumerator whose name is `text`.
template <class Enum, std::size_t count>
bool assign_named(Enum& target, std::string_view text, const std::array<Enum, count>& enumerators) {
  for (const Enum enumerator : enumerators) {
    if (text == to_string(enumerator)) return target = enumerator, true;
  }
  return false;
}

/// Learning rates, one for each parameter group, with a blank between.
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

/// Everything a saved history says besides its columns. A new setting is a new entry here.
inline const auto& saved_settings() {
  static constexpr double largest = std::numeric_limits<double>::max();
  static constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  static const std::array<SavedSetting, 11> settings = {{
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
         return assign_within(history.wall_seconds, text, 0.0, largest);
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
         return assign_within(history.settings.num_iter, text, std::int64_t{0}, most);
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
         return assign_within(history.settings.accumulation_steps, text, std::int64_t{1}, most);
       }},
      {"gradient_age", "a number of iterations, not negative",
       [](const History& history) { return to_text(history.settings.gradient_age); },
       [](History& history, std::string_view text) {
         return assign_within(history.settings.gradient_age, text, 0.0, largest);
       }},
      {"validation", "true or false",
       [](const History& history) {
         return std::string(history.settings.validation ? "true" : "false");
       },
       [](History& history, std::string_view text) {
         history.settings.validation = text == "true";
         return text == "true" || text == "false";
       }},
  }};
  return settings;
}

}  // namespace lrfinder::detail
