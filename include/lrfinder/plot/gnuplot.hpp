#pragma once

#include <string>
#include <string_view>
#include <system_error>

#include <lrfinder/detail/child_process.hpp>
#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/error.hpp>

namespace lrfinder {

namespace detail {

inline constexpr double oldest_gnuplot = 5.4;

inline std::string how_to_get_gnuplot() {
  return "; install gnuplot " + rounded(oldest_gnuplot) +
         " or newer (Debian, Ubuntu: apt install gnuplot-nox; Fedora: dnf install gnuplot-minimal; "
         "macOS: brew install gnuplot), or use write_gnuplot and draw on another machine";
}

/// Runs gnuplot without the settings of the user and the machine.
inline ProgramResult start_gnuplot(const std::string& argument, std::string_view script) {
  try {
    return run_program({"gnuplot", argument}, script);
  } catch (const std::system_error& fault) {
    if (fault.code() == std::errc::no_such_file_or_directory) {
      throw PlotError("plot: gnuplot was not found on PATH" + how_to_get_gnuplot());
    }
    throw PlotError("plot: gnuplot cannot be run: " + fault.code().message());
  }
}

/// Throws PlotError unless `answer`, what gnuplot says to `--version`, tells of one that will do.
inline void check_gnuplot_version(std::string_view answer) {
  constexpr std::string_view name = "gnuplot ";
  const std::size_t begin = answer.substr(0, name.size()) == name ? name.size() : answer.size();
  const std::string_view version = answer.substr(begin, answer.find_first_of(" \n", begin) - begin);
  const auto number = number_from<double>(version);
  if (number && *number >= oldest_gnuplot) return;
  throw PlotError("plot: the gnuplot on PATH is " +
                  (number ? "version " + std::string(version) : "of no known version") +
                  how_to_get_gnuplot());
}

}  // namespace detail

/// What gnuplot, found on PATH, writes to its standard output for a script; see gnuplot_script.
///
/// The script is all that gnuplot gets: it is started without a shell, reads no settings of the
/// user's, and is given no file names. Throws PlotError, with what gnuplot said, where it is
/// missing, older than 5.4 or does not succeed.
inline std::string run_gnuplot(std::string_view script) {
  detail::check_gnuplot_version(detail::start_gnuplot("--version", "").output);
  const detail::ProgramResult result = detail::start_gnuplot("--default-settings", script);
  if (result.status != 0 || result.output.empty()) {
    throw PlotError("plot: gnuplot failed with status " + std::to_string(result.status) + ": " +
                    result.errors);
  }
  return result.output;
}

}  // namespace lrfinder
