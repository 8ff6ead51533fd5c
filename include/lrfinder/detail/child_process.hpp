#pragma once

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <spawn.h>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <system_error>
#include <vector>

#include <lrfinder/detail/files.hpp>

extern char** environ;

namespace lrfinder::detail {

/// What a program left behind.
struct ProgramResult {
  std::string output;
  std::string errors;
  /// Its exit status, or minus the signal that ended it.
  int status = 0;
};

/// A file without a name, gone when it is closed. Throws std::system_error.
inline File nameless_file() {
  File file(std::tmpfile());
  if (!file) throw system_failure();
  ::fcntl(::fileno(file.get()), F_SETFD, FD_CLOEXEC);
  return file;
}

/// What a child process finds as its first three files.
class ChildFiles {
 public:
  ChildFiles() { ::posix_spawn_file_actions_init(&actions_); }
  ChildFiles(const ChildFiles&) = delete;
  ChildFiles& operator=(const ChildFiles&) = delete;
  ~ChildFiles() { ::posix_spawn_file_actions_destroy(&actions_); }

  void add(const File& file, int number) {
    ::posix_spawn_file_actions_adddup2(&actions_, ::fileno(file.get()), number);
  }
  const ::posix_spawn_file_actions_t* get() const noexcept { return &actions_; }

 private:
  ::posix_spawn_file_actions_t actions_{};
};

/// Runs the program `command.front()`, found on PATH, with these arguments and this standard input,
/// until it ends. There is no shell between, and no pipe that could break or fill up: input, output
/// and errors are nameless files. Throws std::system_error where it cannot be started.
inline ProgramResult run_program(std::vector<std::string> command, std::string_view input) {
  const File files[] = {nameless_file(), nameless_file(), nameless_file()};
  std::FILE* const script = files[0].get();
  if (std::fwrite(input.data(), 1, input.size(), script) != input.size() ||
      std::fflush(script) != 0) {
    throw system_failure();
  }
  std::rewind(script);

  ChildFiles child_files;
  for (int number = 0; number < 3; ++number) child_files.add(files[number], number);
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  ::pid_t child = 0;
  const int fault = ::posix_spawnp(&child, arguments.front(), child_files.get(), nullptr,
                                   arguments.data(), environ);
  if (fault != 0) throw std::system_error(fault, std::generic_category());

  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno == ECHILD) break;  // ended, but this process ignores SIGCHLD: nobody knows how
    if (errno != EINTR) throw system_failure();
  }
  ProgramResult result;
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  for (int number = 1; number < 3; ++number) {
    std::rewind(files[number].get());
    (number == 1 ? result.output : result.errors) = read_all(files[number].get());
  }
  return result;
}

}  // namespace lrfinder::detail
