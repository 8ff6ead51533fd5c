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

/// The result of one recipe on a curve.
struct SuggestionRow {
  /// Name of the recipe.
  std::string recipe;
  /// The suggestion; none where the recipe threw NoSuggestion.
  std::optional<Suggestion> suggestion;
  /// The message of NoSuggestion; empty where there is a suggestion.
  std::string reason;
};

/// The results of several recipes, as suggest::all returns them.
using SuggestionTable = std::vector<SuggestionRow>;

namespace suggest {

/// The results of all recipes on a curve, each with its defaults, suggest::steepest first. Does not
/// throw NoSuggestion: the row of the recipe has the message. O(n log n).
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

/// Prints a line for each recipe: its name, and its learning rate with the caveat, or the reason
/// why there is none.
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
