#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <random>
#include <regex>
#include <string>
#include <utility>
#include <vector>

/// @file
/// Benchmarks that compare: each way of each task runs many times, all in turns that are drawn
/// anew, and the ratio of the medians is printed for every task, as a table in Markdown.

/// One way of a task, and the milliseconds that it took.
struct Way {
  std::string task, name;
  std::function<double()> run;
  std::vector<double> times = {};
  std::string error = {};
};

/// All ways that are registered.
inline std::vector<Way>& all_ways() {
  static std::vector<Way> ways;
  return ways;
}

/// Registers one way of a task. `run()` returns the seconds that count. The way that is registered
/// first is what the others of its task are compared with.
inline void register_way(const std::string& task, const std::string& name,
                         std::function<double()> run) {
  all_ways().push_back({task, name, std::move(run)});
}

inline void print_ways() {
  const auto quantile = [](const std::vector<double>& sorted, std::size_t quarters) {
    const std::size_t last = quarters * (sorted.size() - 1);
    return (sorted[last / 4] + sorted[(last + 3) / 4]) / 2;
  };
  std::puts("| task | way | median ms | quartiles | ratio | runs |\n|---|---|---|---|---|---|");
  double first = 0;
  for (std::size_t i = 0; i < all_ways().size(); ++i) {
    Way& way = all_ways()[i];
    const bool is_first = i == 0 || all_ways()[i - 1].task != way.task;
    if (is_first) first = 0;
    std::printf("| %s | %s |", is_first ? way.task.c_str() : "", way.name.c_str());
    if (way.times.empty()) {
      std::printf(" %s |||||\n", way.error.empty() ? "not run" : way.error.c_str());
      continue;
    }
    std::sort(way.times.begin(), way.times.end());
    const double median = quantile(way.times, 2);
    if (is_first) first = median;
    std::printf(" %.4f | %.4f to %.4f | %.3f | %zu%s |\n", median, quantile(way.times, 1),
                quantile(way.times, 3), first > 0 ? median / first : std::nan(""), way.times.size(),
                way.error.empty() ? "" : (", then " + way.error).c_str());
  }
}

/// Runs what is registered. Of the command line it reads
///
///     --filter REGEX     only tasks whose names match
///     --repetitions N    times that each way runs
///     --seconds S        then no run begins any more
inline int run_paired(int argc, char** argv, int repetitions) {
  double seconds = 1e9;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    if (name == "--filter") {
      auto& ways = all_ways();
      const auto other = [&](const Way& way) {
        return !std::regex_search(way.task, std::regex(value));
      };
      ways.erase(std::remove_if(ways.begin(), ways.end(), other), ways.end());
    } else if (name == "--repetitions") {
      repetitions = std::stoi(value);
    } else if (name == "--seconds") {
      seconds = std::stod(value);
    } else {
      std::fprintf(stderr, "cannot make sense of '%s'\n", name.c_str());
      return 2;
    }
  }
  std::vector<Way*> turns;
  for (Way& way : all_ways()) turns.push_back(&way);
  std::mt19937 random(1);
  const auto start = std::chrono::steady_clock::now();
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    // At first in their order, small ones before large ones, should there be time for few.
    if (repetition > 0) std::shuffle(turns.begin(), turns.end(), random);
    for (Way* way : turns) {
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      if (taken.count() > seconds) break;
      if (!way->error.empty()) continue;
      try {
        way->times.push_back(1000 * way->run());
      } catch (const std::exception& error) {
        const std::string what = error.what();
        way->error = what.substr(0, what.find('\n'));
      }
    }
  }
  print_ways();
  return 0;
}
