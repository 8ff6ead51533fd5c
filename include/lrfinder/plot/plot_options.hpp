#pragma once

#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/suggestion.hpp>
#include <lrfinder/suggest/steepest.hpp>

namespace lrfinder {

/// A history with its name, for a picture of several curves.
struct NamedCurve {
  std::string name;  ///< shown in the legend
  History history;   ///< the curve that is drawn
};

// Declares a setter and a getter of the same name, and their member, like TORCH_ARG of LibTorch.
#define LRFINDER_PLOT_OPTION(T, name)       \
 public:                                    \
  PlotOptions& name(T value) {              \
    name##_ = std::move(value);             \
    return *this;                           \
  }                                         \
  const T& name() const { return name##_; } \
                                            \
 private:                                   \
  T name##_

/// How a picture looks. Setters chain: `PlotOptions().title("digits").size(1200, 900)`. Each setter
/// has a getter of the same name. mark() adds to recipes().
class PlotOptions {
  /// Heading of the picture, in one or more lines. It is shown without markup. Default: none.
  LRFINDER_PLOT_OPTION(std::string, title);

  /// Number of iterations left out at the start. Default: 0.
  LRFINDER_PLOT_OPTION(std::size_t, skip_start) = 0;

  /// Number of iterations left out at the end. Default: 0. Losses that diverge do not hide the
  /// descent, because the axis is limited.
  LRFINDER_PLOT_OPTION(std::size_t, skip_end) = 0;

  /// Draws a vertical line at this learning rate, for example at the rate in use. The rate must be
  /// finite and not negative. A text plot has no such line. Default: none.
  LRFINDER_PLOT_OPTION(std::optional<double>, show_lr);

  /// Adds a panel with this metric of the history. "grad_norm" is the norm of the gradients.
  /// Default: none.
  LRFINDER_PLOT_OPTION(std::string, metric);

  /// Whether the axis of the losses is logarithmic. Default: false.
  LRFINDER_PLOT_OPTION(bool, log_loss) = false;

  /// Whether the line of the losses has a point at each iteration. A text plot has none. Default:
  /// false.
  LRFINDER_PLOT_OPTION(bool, markers) = false;

 public:
  /// Width and height in pixels, from 320 by 240 to 20000 by 20000; a pdf has 100 pixels an inch.
  /// Fonts and lines grow with the picture, so a larger picture is sharper. Default: 800 by 600.
  PlotOptions& size(int width, int height) {
    size_ = {width, height};
    return *this;
  }
  /// Width and height in pixels.
  const std::pair<int, int>& size() const { return size_; }

  /// Columns and rows of a text plot, at least 40 by 10. Default: the size of the terminal; 80
  /// columns in a file or without a terminal.
  PlotOptions& text_size(int columns, int rows) {
    text_size_ = {columns, rows};
    return *this;
  }
  /// Columns and rows of a text plot, if they are set.
  const std::optional<std::pair<int, int>>& text_size() const { return text_size_; }

  /// The recipes whose suggestions are marked. An empty list marks none. If a recipe has no
  /// suggestion on a curve, the reason is written below the picture. Default: the suggestion of the
  /// search that made the history, or suggest::steepest() if there was no search.
  PlotOptions& recipes(std::vector<Recipe> list) {
    recipes_ = std::move(list);
    return *this;
  }
  /// The recipes whose suggestions are marked.
  std::vector<Recipe> recipes() const {
    if (recipes_) return *recipes_;
    return {[](const History& history) {
      return history.found ? *history.found : suggest::steepest(history);
    }};
  }

  /// Marks a suggestion that is already known. If the picture has only one curve and the suggestion
  /// has trials, the trials are drawn and its interval is shaded. The first call replaces the
  /// default recipes. Each further call adds a mark.
  PlotOptions& mark(const Suggestion& suggestion) {
    if (!recipes_) recipes_.emplace();
    recipes_->emplace_back([suggestion](const History&) { return suggestion; });
    return *this;
  }

  /// Throws InvalidOption if an option makes no sense for any curve.
  void check() const {
    const auto require = [](bool holds, const auto&... message) {
      if (!holds) throw InvalidOption(detail::concat("PlotOptions: ", message...));
    };
    constexpr int largest = 20000;
    const auto [width, height] = size_;
    require(width >= 320 && height >= 240 && width <= largest && height <= largest, "size ", width,
            " by ", height, " is not within 320 by 240 and 20000 by 20000 pixels");
    const auto [columns, rows] = text_size_.value_or(std::pair(80, 24));
    require(columns >= 40 && rows >= 10, "text_size ", columns, " by ", rows,
            " is too small; at least 40 columns by 10 rows");
    const double lr = show_lr_.value_or(0);
    require(std::isfinite(lr) && lr >= 0, "show_lr (", lr, ") must be finite and not negative");
  }

 private:
  std::pair<int, int> size_{800, 600};
  std::optional<std::pair<int, int>> text_size_;
  std::optional<std::vector<Recipe>> recipes_;
};

#undef LRFINDER_PLOT_OPTION

}  // namespace lrfinder
