#pragma once

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

/// @file
/// Functions of operating systems that the standard library lacks. They are declared here, and
/// defined in system_posix.hpp (Linux, macOS) and system_windows.hpp. A failure throws
/// std::system_error.

namespace lrfinder {

/// Columns and rows of a terminal.
struct TerminalSize {
  int columns = 80;  ///< characters in a line
  int rows = 24;     ///< lines
};

/// Whether a file, such as stdout or stderr, is a terminal that understands ANSI escape sequences.
/// On Windows, the call also turns on these sequences.
inline bool is_terminal(std::FILE* file);

/// The size of the terminal behind a file; 80 by 24 if there is no terminal.
inline TerminalSize terminal_size(std::FILE* file);

namespace detail {

/// The address of a function in any library that this process has loaded; null if not found.
inline void* find_symbol(const char* name);

/// An error of the C library.
inline std::system_error failure(std::errc error) {
  return std::system_error(std::make_error_code(error));
}

/// The result of a call that returns -1 and sets errno if it fails, repeated if a signal interrupts
/// it.
template <class Call>
auto uninterrupted(const Call& call) {
  for (;;) {
    const auto result = call();
    if (result >= 0) return result;
    if (errno != EINTR) throw failure(std::errc(errno));
  }
}

/// How a file is opened.
enum class FileAccess {
  read,              ///< an existing file, for reading
  write,             ///< a file, for writing; a new one if it does not exist
  create,            ///< a new file, for both; fails if the file exists
  create_temporary,  ///< like create, for this user only; removed when closed
};

/// Opens a file. Returns its descriptor, which child processes do not inherit.
inline int open_file(const std::filesystem::path& path, FileAccess access);

/// Sets the position of the next read or write. Does nothing for a pipe or a terminal.
inline void seek_file(int file, std::uint64_t position) noexcept;

/// Reads at most `size` bytes; returns how many, 0 at the end of the file.
inline std::size_t read_some(int file, void* data, std::size_t size);

/// Writes at most `size` bytes; returns how many.
inline std::size_t write_some(int file, const void* data, std::size_t size);

/// Waits until everything written has reached the device.
inline void sync_file(int file);

/// Whether two files have the same owner and group.
inline bool has_same_owner(int file, int other);

/// Closes a file.
inline void close_file(int file) noexcept;

/// Runs the program `command.front()`, found on PATH, until it ends, without a shell. The arguments
/// contain neither blanks nor quotes. `files`: its standard input, output and errors, each from its
/// beginning. Returns the exit status, or minus the signal that ended the program;
/// 0 if this process ignores the end of its children, or another thread has asked for the status.
///
/// Fails with std::errc::no_such_file_or_directory if there is no such program, and with
/// std::errc::timed_out if it does not end in time and is killed.
inline int run_program(std::vector<std::string> command, const int (&files)[3],
                       std::chrono::milliseconds time_limit);

}  // namespace detail
}  // namespace lrfinder

#ifdef _WIN32
#include <lrfinder/detail/system_windows.hpp>
#else
#include <lrfinder/detail/system_posix.hpp>
#endif
