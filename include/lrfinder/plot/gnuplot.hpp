#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <system_error>

#include <lrfinder/detail/child_process.hpp>
#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>

namespace lrfinder {

namespace detail {

inline constexpr double oldest_gnuplot = 5.4;

inline std::string how_to_get_gnuplot() {
  return "; install gnuplot " + rounded(oldest_gnuplot) +
         " or newer (Debian, Ubuntu: apt install gnuplot-nox; Fedora: dnf install gnuplot-minimal; "
         "macOS: brew install gnuplot), or use write_gnuplot and draw on another machine";
}

inline ProgramResult start_gnuplot(const std::string& argument, std::string_view script,
                                   std::chrono::milliseconds time_limit) {
  try {
    return run_program({"gnuplot", argument}, script, time_limit);
  } catch (const std::system_error& fault) {
    if (fault.code() == std::errc::no_such_file_or_directory) {
      throw PlotError("plot: gnuplot was not found on PATH" + how_to_get_gnuplot());
    }
    if (fault.code() == std::errc::timed_out) {
      throw PlotError("plot: gnuplot did not end within " +
                      rounded(static_cast<double>(time_limit.count()) / 1000) +
                      " s and was killed; draw fewer iterations, or write the script with "
                      "write_gnuplot and run it on its own");
    }
    throw PlotError("plot: gnuplot cannot be run: " + fault.code().message());
  }
}

/// How a program ended, in words.
inline std::string end_of_program(int status) {
  return (status < 0 ? "crashed with status " : "failed with status ") + std::to_string(status);
}

/// What a program said, each line on its own, as a message shows it.
inline std::string printable_lines(std::string_view text) {
  std::string lines;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find_first_of("\r\n"));
    if (!line.empty()) lines += (lines.empty() ? ": " : "\n") + printable(line);
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return lines;
}

/// Throws PlotError unless `answer`, the output of `gnuplot --version`, is that of one that is new
/// enough.
inline void check_gnuplot_version(std::string_view answer) {
  constexpr std::string_view name = "gnuplot ";
  const std::size_t begin = answer.substr(0, name.size()) == name ? name.size() : answer.size();
  const std::string_view version = answer.substr(begin, answer.find_first_of(" \n", begin) - begin);
  const auto number = number_from<double>(version);
  if (number && *number >= oldest_gnuplot) return;
  throw PlotError("plot: the gnuplot on PATH is " +
                  (number ? "version " + printable(version) : "of no known version") +
                  how_to_get_gnuplot());
}

}  // namespace detail

/// What gnuplot, found on PATH, writes to its standard output for a script; see gnuplot_script.
///
/// The script is all that gnuplot gets: it is started without a shell, reads no settings of the
/// user's, and is given no file names. `time_limit`: for how long it may run; then it is killed.
///
/// Throws PlotError, with gnuplot's own message, where it is missing, older than 5.4 or does not
/// succeed.
inline std::string run_gnuplot(std::string_view script,
                               std::chrono::milliseconds time_limit = std::chrono::minutes(1)) {
  detail::check_gnuplot_version(detail::start_gnuplot("--version", "", time_limit).output);
  const detail::ProgramResult result =
      detail::start_gnuplot("--default-settings", script, time_limit);
  if (result.status != 0 || result.output.empty()) {
    throw PlotError("plot: gnuplot " + detail::end_of_program(result.status) +
                    detail::printable_lines(result.errors));
  }
  return result.output;
}

}  // namespace lrfinder
