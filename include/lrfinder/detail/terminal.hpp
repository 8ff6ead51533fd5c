#pragma once

#include <cstdio>
#include <cstdlib>
#include <sys/ioctl.h>
#include <unistd.h>

namespace lrfinder {

/// Columns and rows of a terminal.
struct TerminalSize {
  int columns = 80;  ///< characters in a line
  int rows = 24;     ///< lines
};

/// Whether what is written to this file, stdout or stderr, is seen on a terminal.
inline bool is_terminal(std::FILE* file) { return ::isatty(::fileno(file)) == 1; }

/// The size of the terminal behind a file; 80 by 24 where there is none.
inline TerminalSize terminal_size(std::FILE* file) {
  ::winsize size{};
  if (::ioctl(::fileno(file), TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    return {};
  }
  return {size.ws_col, size.ws_row};
}

}  // namespace lrfinder
