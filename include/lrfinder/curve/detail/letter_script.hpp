#pragma once

#include <cstddef>
#include <string>

#include <lrfinder/curve/detail/layout.hpp>
#include <lrfinder/curve/detail/picture.hpp>
#include <lrfinder/curve/detail/script_parts.hpp>

namespace lrfinder::detail {

/// The script that draws the losses of a picture with letters, for a terminal.
inline std::string letter_script(const Picture& picture, int columns, int rows) {
  const std::string size = std::to_string(columns) + "," + std::to_string(rows);
  std::string script = "set encoding utf8\nset terminal dumb noenhanced mono size " + size + "\n" +
                       data_blocks(picture);
  if (!picture.title.empty()) {
    const std::string title = shortened(picture.title, static_cast<std::size_t>(columns) - 4);
    script += "set title " + gnuplot_string(title) + "\n";
  }
  script += "set key below horizontal\nset tics scale 0.5\nset xlabel 'learning rate'\n" +
            axis_commands("x", picture.lr, true) + axis_commands("y", picture.loss, true) + "plot ";
  for (std::size_t i = 0; i < picture.curves.size(); ++i) {
    if (picture.shows_raw_loss()) {
      script += block(i) + " using 1:3 with points pt '.' title 'raw loss', ";
    }
    script += block(i) + " using 1:2 with points pt '" + "*o#x+%="[i % 7] + "' title " +
              gnuplot_string(legend_of(picture, i)) + ", ";
  }
  for (const Mark& mark : picture.marks) {
    script += point(mark.lr, mark.loss) + " pt '@' title " +
              gnuplot_string(picture.single() ? legend_of(mark) : "") + ", ";
  }
  return script + nothing(picture.lr, picture.loss);
}

}  // namespace lrfinder::detail
