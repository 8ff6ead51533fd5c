#pragma once

#include <cmath>
#include <cstddef>
#include <iostream>
#include <utility>

#include <lrfinder/curve.hpp>

/// Prints what other tools answer to these losses when they are called without arguments, so that
/// their users can compare.
inline void print_peers(const lrfinder::History& history) {
  namespace suggest = lrfinder::suggest;
  const auto gradient_argmin = [](const lrfinder::History& all) {
    return suggest::gradient_argmin(all, 10, 5);
  };
  // lr_find() of 100 iterations drops 10 and 5, and what follows the first loss that is NaN.
  const auto valley = [](const lrfinder::History& all) {
    lrfinder::History part;
    for (std::size_t i = 10; i + 5 < all.size() && !std::isnan(all.loss[i]); ++i) {
      part.lr.push_back(all.lr[i]);
      part.loss.push_back(all.loss[i]);
    }
    return suggest::valley(part);
  };
  const std::pair<const char*, lrfinder::Recipe> peers[] = {
      {"pytorch-lr-finder, plot()      ", gradient_argmin},
      {"Lightning, suggestion()        ", [](const auto& all) { return suggest::lightning(all); }},
      {"Ignite, lr_suggestion()        ", suggest::ignite},
      {"fastai, lr_find()              ", valley},
  };
  std::cout << "What these tools answer to the losses in the file:\n";
  for (const auto& [name, recipe] : peers) {
    std::cout << name;
    try {
      std::cout << lrfinder::detail::rounded(recipe(history).lr, 6) << '\n';
    } catch (const lrfinder::NoSuggestion&) {
      std::cout << "none\n";
    }
  }
  std::cout << '\n';
}
