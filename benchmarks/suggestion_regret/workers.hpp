#pragma once

#include <cstddef>
#include <cstdio>
#include <exception>
#include <functional>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "report.hpp"

/// Does the work for every number below `count`, divided among processes: LibTorch's random numbers
/// are one stream a process. Returns all rows, in the order of the numbers.
///
/// Throws std::runtime_error when a process fails.
inline std::vector<Row> in_processes(std::size_t processes, std::size_t count,
                                     const std::function<std::vector<Row>(std::size_t)>& work) {
  struct Worker {
    ::pid_t process;
    std::FILE* lines;
  };
  std::vector<Worker> workers;
  for (std::size_t first = 0; first < processes; ++first) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("cannot make a pipe");
    const ::pid_t process = ::fork();
    if (process < 0) throw std::runtime_error("cannot start a process");
    if (process > 0) {
      ::close(ends[1]);
      workers.push_back({process, ::fdopen(ends[0], "r")});
      continue;
    }
    int status = 0;
    try {
      // Written at the end: a pipe holds little, and is read only when its turn comes.
      std::ostringstream lines;
      for (std::size_t i = first; i < count; i += processes) {
        for (const Row& row : work(i)) lines << row;
      }
      std::FILE* out = ::fdopen(ends[1], "w");
      std::fputs(lines.str().c_str(), out);
      std::fflush(out);
    } catch (const std::exception& error) {
      std::cerr << error.what() << '\n';
      status = 1;
    }
    std::_Exit(status);
  }

  std::vector<Row> rows;
  bool failed = false;
  for (const Worker& worker : workers) {
    std::string line;
    for (int letter; (letter = std::fgetc(worker.lines)) != EOF;) {
      if (letter != '\n') {
        line += static_cast<char>(letter);
      } else {
        rows.push_back(row_from(line));
        line.clear();
      }
    }
    std::fclose(worker.lines);
    int status = 0;
    ::waitpid(worker.process, &status, 0);
    failed = failed || status != 0;
  }
  if (failed) throw std::runtime_error("a process of the benchmark has failed");
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.task < b.task; });
  return rows;
}
