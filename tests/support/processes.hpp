#pragma once

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <sys/types.h>
#include <sys/wait.h>
#include <temporary_directory.hpp>
#include <unistd.h>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/torch.h>

/// @file
/// Real processes that talk to each other over Gloo on this machine's loopback, and nothing else.

/// What a process has to say, by name. How it ended is in there too: "signal" where one killed it,
/// "threw" where an exception did.
using Report = std::map<std::string, std::string>;

/// One of several processes, as it sees itself.
struct Process {
  int rank = 0;
  int size = 1;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group;
  /// Returns when all processes but this one have done their work, or died.
  std::function<void()> wait_for_the_others;
};

#ifdef LRFINDER_COVERAGE
extern "C" void __gcov_dump();
#endif

namespace processes {

/// Ends a process that was forked, without what the other one has to tidy up.
[[noreturn]] inline void end() {
#ifdef LRFINDER_COVERAGE
  __gcov_dump();  // what has been counted; only an ordinary end would write it
#endif
  std::_Exit(0);
}

inline void write(const Report& report, const std::string& path) {
  std::ofstream file(path, std::ios::binary);
  for (const auto& [name, value] : report) file << name << '\0' << value << '\0';
}

inline Report read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Report report;
  for (std::string name, value;
       std::getline(file, name, '\0') && std::getline(file, value, '\0');) {
    report[name] = value;
  }
  return report;
}

inline c10::intrusive_ptr<c10d::ProcessGroupGloo> make_group(const std::string& file, int rank,
                                                             int size,
                                                             std::chrono::milliseconds timeout) {
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1"));
  auto store = c10::make_intrusive<c10d::FileStore>(file, size);
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
}

/// A pipe into which nobody writes: its end has come when all who could have let go of it.
class WorkInProgress {
 public:
  WorkInProgress() {
    if (::pipe(ends_) != 0) throw std::runtime_error("cannot make a pipe");
  }
  WorkInProgress(const WorkInProgress&) = delete;
  WorkInProgress& operator=(const WorkInProgress&) = delete;
  ~WorkInProgress() {
    let_go();
    ::close(ends_[0]);
  }

  void let_go() {
    if (!std::exchange(let_go_, true)) ::close(ends_[1]);
  }
  void wait_for_the_others() {
    let_go();
    char none;
    while (::read(ends_[0], &none, 1) > 0) {
    }
  }

 private:
  int ends_[2];
  bool let_go_ = false;
};

}  // namespace processes

/// Runs `work` in so many processes and returns what each reports, by rank.
///
/// They are forked, so the caller must not have used LibTorch before: it may have started threads,
/// which a fork leaves behind. `timeout`: of the process group, which also limits how long it may
/// take to connect.
inline std::vector<Report> in_processes(
    int size, const std::function<Report(Process&)>& work,
    std::chrono::milliseconds timeout = std::chrono::seconds(30)) {
  const TemporaryDirectory directory;
  processes::WorkInProgress in_progress;
  const ::pid_t parent = ::getpid();
  std::map<::pid_t, std::size_t> ranks;
  for (int rank = 0; rank < size; ++rank) {
    const ::pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("cannot start a process");
    if (child > 0) {
      ranks[child] = static_cast<std::size_t>(rank);
      continue;
    }
#ifdef __linux__
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // none outlives the test
#endif
    if (::getppid() != parent) std::_Exit(1);
    Report report;
    try {
      Process process{rank, size, processes::make_group(directory / "store", rank, size, timeout),
                      [&] { in_progress.wait_for_the_others(); }};
      report = work(process);
      // Whose process ends resets its connections, and what others have not read yet is lost.
      in_progress.wait_for_the_others();
    } catch (const std::exception& error) {
      report["threw"] = error.what();
    }
    processes::write(report, directory / std::to_string(rank));
    processes::end();
  }
  in_progress.let_go();
  std::vector<Report> reports(ranks.size());
  for (std::size_t left = ranks.size(); left > 0; --left) {
    int status = 0;
    const ::pid_t ended = ::waitpid(-1, &status, 0);
    const std::size_t rank = ranks.at(ended);
    reports[rank] = processes::read(directory / std::to_string(rank));
    if (reports[rank].count("threw") > 0) {
      std::fprintf(stderr, "rank %zu: %s\n", rank, reports[rank].at("threw").c_str());
    }
    if (WIFSIGNALED(status)) reports[rank]["signal"] = std::to_string(WTERMSIG(status));
  }
  return reports;
}
