#pragma once

#include <cstddef>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/suggest/recipes.hpp>
#include <lrfinder/suggest/steepest.hpp>
#include <lrfinder/suggest/suggestion.hpp>

namespace lrfinder {

/// What one recipe makes of a curve.
struct SuggestionRow {
  /// Name of the recipe.
  std::string recipe;
  /// Empty where the recipe has no answer.
  std::optional<Suggestion> suggestion;
  /// Why the recipe has no answer; empty where it has one.
  std::string reason;
};

using SuggestionTable = std::vector<SuggestionRow>;

namespace suggest {

/// What every recipe makes of a curve, suggest::steepest first, each with its defaults. Never
/// throws NoSuggestion: where a recipe has no answer, its row says why. O(n log n).
inline SuggestionTable all(const History& history) {
  struct Named {
    const char* name;
    Suggestion (*recipe)(const History&);
  };
  static constexpr Named recipes[] = {
      {"steepest", steepest},
      {"gradient_argmin", [](const History& h) { return gradient_argmin(h); }},
      {"lightning", [](const History& h) { return lightning(h); }},
      {"ignite", ignite},
      {"valley", valley},
      {"slide", slide},
      {"minimum", minimum},
      {"steep", steep},
  };
  SuggestionTable table;
  for (const auto& [name, recipe] : recipes) {
    try {
      table.push_back({name, recipe(history), ""});
    } catch (const NoSuggestion& no_suggestion) {
      table.push_back({name, std::nullopt, no_suggestion.what()});
    }
  }
  return table;
}

}  // namespace suggest

/// Prints a line for each recipe: its name, its learning rate, and its caveat or the reason it has
/// none.
inline std::ostream& operator<<(std::ostream& out, const SuggestionTable& table) {
  for (const auto& row : table) {
    std::ostringstream line;
    line << row.recipe << std::string(17 - row.recipe.size(), ' ');
    line.precision(3);
    if (row.suggestion) {
      line << row.suggestion->lr;
      if (!row.suggestion->caveat.empty()) line << "  (" << row.suggestion->caveat << ')';
    } else {
      line << "none  (" << row.reason << ')';
    }
    out << line.str() << '\n';
  }
  return out;
}

}  // namespace lrfinder
