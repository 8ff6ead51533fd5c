#pragma once

#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/suggest/found.hpp>
#include <lrfinder/suggest/steepest.hpp>
#include <lrfinder/suggest/suggestion.hpp>

namespace lrfinder {

/// A history with the name under which it stands in a picture of several.
struct NamedCurve {
  std::string name;  ///< as the legend has it
  History history;   ///< what is drawn
  /// Lower edge of a band around the smoothed loss, for example the quartiles of repeats; one value
  /// an iteration, or empty for no band.
  std::vector<double> lower{};
  /// Upper edge of the band.
  std::vector<double> upper{};
};

/// The recipes that a picture marks when it is not told which: what trials have found or, where
/// none followed the range test, suggest::steepest().
inline std::vector<Recipe> default_recipes() {
  return {[](const History& history) {
    return history.found ? suggest::found(history) : suggest::steepest(history);
  }};
}

/// How a picture looks. Setters chain: `PlotOptions().title("digits").size(1200, 900)`. Each has a
/// getter of the same name; what mark() adds is read by recipes().
class PlotOptions {
 public:
  /// Heading of the picture, of one or more lines; it is shown as it is, without any markup.
  /// Default: none.
  PlotOptions& title(std::string text) {
    title_ = std::move(text);
    return *this;
  }
  /// The heading.
  const std::string& title() const noexcept { return title_; }

  /// Width and height in pixels, at least 320 by 240; in a pdf a pixel is 1/100 inch. Fonts and
  /// lines grow with the width, so that a larger picture is a sharper one. Default: 800 by 600.
  PlotOptions& size(int width, int height) {
    width_ = width;
    height_ = height;
    return *this;
  }
  /// Width and height in pixels.
  std::pair<int, int> size() const noexcept { return {width_, height_}; }
  /// Width in pixels.
  int width() const noexcept { return width_; }
  /// Height in pixels.
  int height() const noexcept { return height_; }

  /// Columns and rows of a text plot, at least 40 by 10. Default: the size of the terminal, or 80
  /// columns where there is none.
  PlotOptions& text_size(int columns, int rows) {
    text_size_ = {columns, rows};
    return *this;
  }
  /// Columns and rows, where they were set.
  const std::optional<std::pair<int, int>>& text_size() const noexcept { return text_size_; }

  /// The recipes whose suggestions are marked; an empty list marks none. Where a recipe has no
  /// answer on a curve, the reason stands below the picture. Default: default_recipes().
  PlotOptions& recipes(std::vector<Recipe> list) {
    recipes_ = std::move(list);
    return *this;
  }
  /// The recipes whose suggestions are marked.
  std::vector<Recipe> recipes() const { return recipes_ ? *recipes_ : default_recipes(); }

  /// Marks a suggestion that was already read off the curve, or found by trials: those are drawn,
  /// and the interval shaded, where the picture has one curve. The first call replaces the default
  /// recipes, each further one adds a mark.
  PlotOptions& mark(const Suggestion& suggestion) {
    if (!recipes_) recipes_.emplace();
    recipes_->emplace_back([suggestion](const History&) { return suggestion; });
    return *this;
  }

  /// Number of iterations left out at the start. Default: 0.
  PlotOptions& skip_start(std::size_t iterations) {
    skip_start_ = iterations;
    return *this;
  }
  /// Number of iterations left out at the start.
  std::size_t skip_start() const noexcept { return skip_start_; }

  /// Number of iterations left out at the end. Default: 0; a loss that
  /// diverges does not hide the descent without it either.
  PlotOptions& skip_end(std::size_t iterations) {
    skip_end_ = iterations;
    return *this;
  }
  /// Number of iterations left out at the end.
  std::size_t skip_end() const noexcept { return skip_end_; }

  /// Draws a vertical line at this learning rate, for example the one in use; finite and not
  /// negative. A text plot has no such line. Default: none.
  PlotOptions& show_lr(double lr) {
    show_lr_ = lr;
    return *this;
  }
  /// The learning rate that is marked, if any.
  std::optional<double> show_lr() const noexcept { return show_lr_; }

  /// Adds a panel with this metric of the history; "grad_norm" shows the norm of the gradient.
  /// Default: none.
  PlotOptions& metric(std::string name) {
    metric_ = std::move(name);
    return *this;
  }
  /// Name of the metric that is drawn.
  const std::string& metric() const noexcept { return metric_; }

  /// Whether the learning rates are on a logarithmic axis. Default: they are, unless the schedule
  /// is linear.
  PlotOptions& log_lr(bool logarithmic) {
    log_lr_ = logarithmic;
    return *this;
  }
  /// Whether the learning rate has a logarithmic axis, where it was set.
  std::optional<bool> log_lr() const noexcept { return log_lr_; }

  /// Whether the losses are on a logarithmic axis. Default: false.
  PlotOptions& log_loss(bool logarithmic) {
    log_loss_ = logarithmic;
    return *this;
  }
  /// Whether the loss has a logarithmic axis.
  bool log_loss() const noexcept { return log_loss_; }

  /// Ends of the axis of learning rates. Default: all that were recorded.
  PlotOptions& lr_range(double low, double high) {
    lr_range_ = {low, high};
    return *this;
  }
  /// Ends of the learning-rate axis, where they were set.
  const std::optional<std::pair<double, double>>& lr_range() const noexcept { return lr_range_; }

  /// Ends of the axis of losses. Default: from the plateau at the start down to the smallest loss,
  /// and somewhat above, so that a loss that diverges does not flatten the descent.
  PlotOptions& loss_range(double low, double high) {
    loss_range_ = {low, high};
    return *this;
  }
  /// Ends of the loss axis, where they were set.
  const std::optional<std::pair<double, double>>& loss_range() const noexcept {
    return loss_range_;
  }

 private:
  std::string title_;
  int width_ = 800;
  int height_ = 600;
  std::optional<std::pair<int, int>> text_size_;
  std::optional<std::vector<Recipe>> recipes_;
  std::size_t skip_start_ = 0;
  std::size_t skip_end_ = 0;
  std::optional<double> show_lr_;
  std::string metric_;
  std::optional<bool> log_lr_;
  bool log_loss_ = false;
  std::optional<std::pair<double, double>> lr_range_;
  std::optional<std::pair<double, double>> loss_range_;
};

namespace detail {

/// Throws InvalidOption for options that make no sense, whatever the curves are.
inline void check(const PlotOptions& options) {
  constexpr int largest = 20000;
  const auto [width, height] = options.size();
  if (width < 320 || height < 240 || width > largest || height > largest) {
    throw InvalidOption("PlotOptions: size " + std::to_string(width) + " by " +
                        std::to_string(height) +
                        " is not within 320 by 240 and 20000 by 20000 pixels");
  }
  if (options.text_size() &&
      (options.text_size()->first < 40 || options.text_size()->second < 10)) {
    throw InvalidOption("PlotOptions: text_size must be at least 40 columns by 10 rows");
  }
  const double shown = options.show_lr().value_or(0);
  if (!std::isfinite(shown) || shown < 0) {
    throw InvalidOption("PlotOptions: show_lr (" + to_text(shown) +
                        ") must be finite and not negative");
  }
  for (const auto& range : {options.lr_range(), options.loss_range()}) {
    if (range && !(std::isfinite(range->second - range->first) && range->first < range->second)) {
      throw InvalidOption("PlotOptions: a range from " + to_text(range->first) + " to " +
                          to_text(range->second) +
                          " is none; both ends must be finite, and the first the smaller one");
    }
  }
}

}  // namespace detail
}  // namespace lrfinder
