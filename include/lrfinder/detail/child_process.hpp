#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrfinder/detail/files.hpp>
#include <lrfinder/detail/system.hpp>

namespace lrfinder::detail {

/// What a program left behind.
struct ProgramResult {
  std::string output;
  std::string errors;
  /// Its exit status, or minus the signal that ended it.
  int status = 0;
};

/// Runs the program `command.front()`, found on PATH, with these arguments and this standard input,
/// until it ends. There is no shell between, and no pipe that could break or fill up: input, output
/// and errors are temporary files.
///
/// Throws std::system_error where the program cannot be started, and with std::errc::timed_out
/// where it does not end in time and is killed.
inline ProgramResult run_program(std::vector<std::string> command, std::string_view input,
                                 std::chrono::milliseconds time_limit) {
  TemporaryFile files[3];
  files[0].write_at(0, input.data(), input.size());
  const FileHandle handles[3] = {files[0].handle(), files[1].handle(), files[2].handle()};
  const int status = run_with_files(std::move(command), handles, time_limit);
  return {files[1].contents(), files[2].contents(), status};
}

}  // namespace lrfinder::detail
