#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

/// @file
/// What differs between operating systems. The functions are declared here and defined in
/// system_posix.hpp (Linux, macOS) and system_windows.hpp. Paths and arguments are UTF-8. What
/// fails throws std::system_error.

namespace lrfinder {

/// Columns and rows of a terminal.
struct TerminalSize {
  int columns = 80;  ///< characters in a line
  int rows = 24;     ///< lines
};

/// Whether a file, stdout or stderr, is a terminal that understands ANSI escape sequences. On
/// Windows this turns them on.
inline bool is_terminal(std::FILE* file);

/// The size of the terminal behind a file; 80 by 24 where there is none.
inline TerminalSize terminal_size(std::FILE* file);

namespace detail {

/// The number of this process.
inline std::int64_t process_id();

/// The address of a function in any library that this process has loaded; null where there is none.
inline void* find_symbol(const char* name);

/// The arguments of main() in UTF-8, without the name of the program. For the beginning of main():
/// it also sees to it that no other file is opened in place of a standard one that is closed, and
/// that the console of Windows shows UTF-8.
inline std::vector<std::string> command_arguments(int argc, char** argv);

/// Opens a file as std::fopen does; child processes do not inherit it.
inline std::FILE* open_file(const std::string& path, const char* mode);

/// Opens a new file for writing. Fails with std::errc::file_exists where there is one.
inline std::FILE* create_file(const std::string& path);

/// Waits until what was written to a file has reached the device.
inline void sync_file(std::FILE* file);

/// Renames a file. It replaces the one at `to`, in one step.
inline void move_file(const std::string& from, const std::string& to);

/// Removes a file, if it can be removed.
inline void remove_file(const std::string& path) noexcept;

/// A file that is there.
struct ExistingFile {
  /// Its path behind all links.
  std::string path;
  /// False for a device or a pipe.
  bool regular = true;
  /// Who may read and write it, as copy_permissions takes it.
  unsigned permissions = 0;
};

/// The file at a path, if there is one.
inline std::optional<ExistingFile> existing_file(const std::string& path);

/// Gives a file the permissions of another, as far as the system lets it.
inline void copy_permissions(const ExistingFile& from, std::FILE* to);

/// An open file as the system knows it.
#ifdef _WIN32
using FileHandle = void*;
#else
using FileHandle = int;
#endif

/// The folder for temporary files: `folder`, or the system's where that is empty.
inline std::string temporary_folder(const std::string& folder);

/// A new file for reading and writing, with a name that no other has.
struct UniqueFile {
  FileHandle file;
  std::string path;
};

/// Makes such a file, which only this user may open, in `folder`; empty: see temporary_folder().
inline UniqueFile create_unique_file(const std::string& folder);

/// Opens a new file for reading and writing that has no name, or is removed by the system when it
/// is closed, however this process ends. `folder`: as for create_unique_file().
inline FileHandle open_temporary_file(const std::string& folder);

/// Reads at most `size` bytes from a position; returns how many, 0 at the end of the file.
inline std::size_t read_some(FileHandle file, std::uint64_t position, void* data, std::size_t size);

/// Writes at most `size` bytes to a position; returns how many.
inline std::size_t write_some(FileHandle file, std::uint64_t position, const void* data,
                              std::size_t size);

/// Closes a file.
inline void close_file(FileHandle file) noexcept;

/// Runs the program `command.front()`, found on PATH, until it ends. There is no shell between.
/// `files`: its standard input, output and errors, each used from its beginning. Returns the exit
/// status, or minus the signal that ended the program.
///
/// Fails with std::errc::no_such_file_or_directory where there is no such program, and with
/// std::errc::timed_out where it does not end in time and is killed.
inline int run_with_files(std::vector<std::string> command, const FileHandle (&files)[3],
                          std::chrono::milliseconds time_limit);

/// The error that a function of the C library left in errno.
inline std::system_error errno_failure(int error) {
  return std::system_error(error, std::generic_category());
}

}  // namespace detail
}  // namespace lrfinder

#ifdef _WIN32
#include <lrfinder/detail/system_windows.hpp>
#else
#include <lrfinder/detail/system_posix.hpp>
#endif
