#pragma once

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <dlfcn.h>
#include <fcntl.h>
#include <memory>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lrfinder/detail/system.hpp>

#ifdef __APPLE__
#include <crt_externs.h>  // a shared library has no environ there
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

inline std::int64_t process_id() { return ::getpid(); }

inline void* find_symbol(const char* name) { return ::dlsym(RTLD_DEFAULT, name); }

inline std::vector<std::string> command_arguments(int argc, char** argv) {
  for (int number = 0; number < 3; ++number) {
    // Opened for what nobody does with it, so that to use it fails as if it were closed.
    if (::fcntl(number, F_GETFD) < 0) ::open("/dev/null", number == 0 ? O_WRONLY : O_RDONLY);
  }
  return {argv + std::min(argc, 1), argv + argc};
}

/// A path as the system takes it. One with a NUL would be cut there.
inline const char* system_path(const std::string& path) {
  if (path.find('\0') != std::string::npos) throw errno_failure(EINVAL);
  return path.c_str();
}

inline std::FILE* open_file(const std::string& path, const char* mode) {
  std::FILE* const file = std::fopen(system_path(path), mode);
  if (file == nullptr) throw errno_failure(errno);
  ::fcntl(::fileno(file), F_SETFD, FD_CLOEXEC);
  return file;
}

inline std::FILE* create_file(const std::string& path) { return open_file(path, "wbx"); }

inline void sync_file(std::FILE* file) {
  // EINVAL and ENOTSUP: a device or a file system that has nothing to wait for.
  if (::fsync(::fileno(file)) != 0 && errno != EINVAL && errno != ENOTSUP) {
    throw errno_failure(errno);
  }
}

inline void move_file(const std::string& from, const std::string& to) {
  if (std::rename(system_path(from), system_path(to)) != 0) throw errno_failure(errno);
}

inline void remove_file(const std::string& path) noexcept { std::remove(path.c_str()); }

inline std::optional<ExistingFile> existing_file(const std::string& path) {
  struct ::stat status {};
  if (::stat(system_path(path), &status) != 0) return std::nullopt;
  if (!S_ISREG(status.st_mode)) return ExistingFile{path, false, 0};
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         &std::free);
  if (!real) throw errno_failure(errno);
  return ExistingFile{real.get(), true, status.st_mode & 07777U};
}

inline void copy_permissions(const ExistingFile& from, std::FILE* to) {
  static_cast<void>(::fchmod(::fileno(to), static_cast<::mode_t>(from.permissions)));
}

inline std::string temporary_folder(const std::string& folder) {
  const char* const from_environment = std::getenv("TMPDIR");
  const bool has_one = from_environment != nullptr && *from_environment != '\0';
  return !folder.empty() ? folder : has_one ? from_environment : "/tmp";
}

inline UniqueFile create_unique_file(const std::string& folder) {
  std::string path = temporary_folder(folder) + "/lrfinder-XXXXXX";
  system_path(path);
  const int file = ::mkstemp(path.data());
  if (file < 0) throw errno_failure(errno);
  ::fcntl(file, F_SETFD, FD_CLOEXEC);
  return {file, path};
}

inline FileHandle open_temporary_file(const std::string& folder) {
  const UniqueFile made = create_unique_file(folder);
  ::unlink(made.path.c_str());
  return made.file;
}

/// The result of a call that reads or writes and may be interrupted by a signal.
template <class Call>
std::size_t uninterrupted(const Call& call) {
  for (;;) {
    const ::ssize_t size = call();
    if (size >= 0) return static_cast<std::size_t>(size);
    if (errno != EINTR) throw errno_failure(errno);
  }
}

inline std::size_t read_some(FileHandle file, std::uint64_t position, void* data,
                             std::size_t size) {
  return uninterrupted([&] { return ::pread(file, data, size, static_cast<::off_t>(position)); });
}

inline std::size_t write_some(FileHandle file, std::uint64_t position, const void* data,
                              std::size_t size) {
  return uninterrupted([&] { return ::pwrite(file, data, size, static_cast<::off_t>(position)); });
}

inline void close_file(FileHandle file) noexcept { ::close(file); }

/// What a child process finds as its first three files.
class ChildFiles {
 public:
  explicit ChildFiles(const FileHandle (&files)[3]) {
    ::posix_spawn_file_actions_init(&actions_);
    for (int number = 0; number < 3; ++number) {
      ::lseek(files[number], 0, SEEK_SET);
      ::posix_spawn_file_actions_adddup2(&actions_, files[number], number);
    }
  }
  ChildFiles(const ChildFiles&) = delete;
  ChildFiles& operator=(const ChildFiles&) = delete;
  ~ChildFiles() { ::posix_spawn_file_actions_destroy(&actions_); }

  const ::posix_spawn_file_actions_t* get() const noexcept { return &actions_; }

 private:
  ::posix_spawn_file_actions_t actions_{};
};

/// The exit status of a child process, which is killed at the end of the time limit.
inline int wait_for(::pid_t child, std::chrono::milliseconds time_limit) {
  const auto deadline = std::chrono::steady_clock::now() + time_limit;
  int status = 0;
  bool killed = false;
  for (long pause = 1;; pause = std::min(2 * pause, 4L)) {
    const ::pid_t ended = ::waitpid(child, &status, killed ? 0 : WNOHANG);
    if (ended == child) break;
    if (ended < 0 && errno == ECHILD) break;  // ended, but this process ignores SIGCHLD
    if (ended < 0 && errno != EINTR) throw errno_failure(errno);
    if (ended == 0 && std::chrono::steady_clock::now() >= deadline) {
      killed = ::kill(child, SIGKILL) == 0;
    } else if (ended == 0) {
      const ::timespec milliseconds{0, pause * 1000000};
      ::nanosleep(&milliseconds, nullptr);
    }
  }
  if (killed) throw errno_failure(ETIMEDOUT);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

inline int run_with_files(std::vector<std::string> command, const FileHandle (&files)[3],
                          std::chrono::milliseconds time_limit) {
  const ChildFiles child_files(files);
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
#ifdef __APPLE__
  char** const environ = *::_NSGetEnviron();
#endif
  ::pid_t child = 0;
  const int error = ::posix_spawnp(&child, arguments.front(), child_files.get(), nullptr,
                                   arguments.data(), environ);
  if (error != 0) throw errno_failure(error);
  return wait_for(child, time_limit);
}

}  // namespace detail
}  // namespace lrfinder
