#pragma once
#include <lrfinder/curve/suggestion.hpp>
namespace lrfinder::suggest {
inline Suggestion steepest(const History& h) {
  if (h.size() < 3) throw NoSuggestion("few");
  std::size_t b = 1;
  for (std::size_t i = 1; i + 1 < h.size(); ++i)
    if (h.loss[i + 1] - h.loss[i - 1] < h.loss[b + 1] - h.loss[b - 1]) b = i;
  return {h.lr[b], b, h.loss[b], "steepest", ""};
}
}  // namespace lrfinder::suggest
