#pragma once

#include <csignal>
#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <lrfinder/detail/system.hpp>

#ifdef __APPLE__
#include <crt_externs.h>  // on macOS, shared libraries have no environ
#else
extern char** environ;
#endif

// The functions of system.hpp on POSIX systems.
namespace lrfinder {

inline bool is_terminal(std::FILE* file) { return ::isatty(::fileno(file)) == 1; }

inline TerminalSize terminal_size(std::FILE* file) {
  ::winsize size{};
  if (::ioctl(::fileno(file), TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    return {};
  }
  return {size.ws_col, size.ws_row};
}

namespace detail {

inline void* find_symbol(const char* name) { return ::dlsym(RTLD_DEFAULT, name); }

inline int open_file(const std::filesystem::path& path, FileAccess access) {
  const bool is_temporary = access == FileAccess::create_temporary;
  const int flags = access == FileAccess::read    ? O_RDONLY
                    : access == FileAccess::write ? O_WRONLY | O_CREAT
                                                  : O_RDWR | O_CREAT | O_EXCL;
  const int file = uninterrupted(
      [&] { return ::open(path.c_str(), flags | O_CLOEXEC, is_temporary ? 0600 : 0666); });
  if (is_temporary) ::unlink(path.c_str());
  return file;
}

inline void seek_file(int file, std::uint64_t position) noexcept {
  ::lseek(file, static_cast<::off_t>(position), SEEK_SET);
}

inline std::size_t read_some(int file, void* data, std::size_t size) {
  return static_cast<std::size_t>(uninterrupted([&] { return ::read(file, data, size); }));
}

inline std::size_t write_some(int file, const void* data, std::size_t size) {
  return static_cast<std::size_t>(uninterrupted([&] { return ::write(file, data, size); }));
}

inline void sync_file(int file) {
  uninterrupted([&] { return ::fsync(file) < 0 && errno != EINVAL && errno != ENOTSUP ? -1 : 0; });
}

inline bool has_same_owner(int file, int other) {
  struct ::stat a {
  }, b{};
  uninterrupted([&] { return ::fstat(file, &a); });
  uninterrupted([&] { return ::fstat(other, &b); });
  return a.st_uid == b.st_uid && a.st_gid == b.st_gid;
}

inline void close_file(int file) noexcept { ::close(file); }

/// Waits for a child process and returns its exit status. Kills the child at the time limit.
inline int wait_for(::pid_t child, std::chrono::milliseconds time_limit) {
  const auto deadline = std::chrono::steady_clock::now() + time_limit;
  int status = 0;
  // The result is -1 if the child has ended and its status is gone. See run_program().
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() >= deadline) {
      ::kill(child, SIGKILL);
      while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
      }
      throw failure(std::errc::timed_out);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

inline int run_program(std::vector<std::string> command, const int (&files)[3],
                       std::chrono::milliseconds time_limit) {
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
#ifdef __APPLE__
  char** const environ = *::_NSGetEnviron();
#endif
  ::posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (int number = 0; number < 3; ++number) {
    seek_file(files[number], 0);
    ::posix_spawn_file_actions_adddup2(&actions, files[number], number);
  }
  ::pid_t child = 0;
  const int error =
      ::posix_spawnp(&child, arguments.front(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw failure(std::errc(error));
  return wait_for(child, time_limit);
}

}  // namespace detail
}  // namespace lrfinder
