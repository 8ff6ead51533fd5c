#pragma once

#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/suggest/numeric.hpp>
#include <lrfinder/suggest/suggestion.hpp>

namespace lrfinder::suggest {

/// The learning rate that trials have found after the range test, with its interval and the trials.
///
/// Throws NoSuggestion where none followed.
inline Suggestion found(const History& history) {
  if (!history.found || history.empty()) {
    throw NoSuggestion("found: no trials followed the range test; call find()");
  }
  Suggestion suggestion;
  suggestion.lr = history.found->lr;
  suggestion.index = nearest_index(history.lr, suggestion.lr);
  suggestion.loss = history.loss[suggestion.index];
  suggestion.recipe = "found";
  suggestion.low = history.found->low;
  suggestion.high = history.found->high;
  suggestion.trials = history.found->trials;
  return suggestion;
}

}  // namespace lrfinder::suggest
