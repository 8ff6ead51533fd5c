#pragma once

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

/// @file
/// Benchmarks that compare: what is named "task/way" is run many times, the ways in turns that are
/// drawn anew, and the ratio of the medians is printed for every task.

/// Prints what the ways of a task take, in relation to the first of them.
class RatioReporter : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration) continue;
      const std::string name = run.run_name.function_name;
      const auto slash = name.rfind('/');
      auto& ways = tasks_[name.substr(0, slash)];
      const std::string way = name.substr(slash + 1);
      auto found =
          std::find_if(ways.begin(), ways.end(), [&](const auto& w) { return w.first == way; });
      if (found == ways.end()) found = ways.insert(ways.end(), {way, {}});
      found->second.push_back(run.GetAdjustedRealTime());
    }
  }

  void Finalize() override {
    std::printf("%-28s %-14s %12s %18s %8s\n", "task", "way", "median ms", "quartiles", "ratio");
    for (auto& [task, ways] : tasks_) {
      std::sort(ways.begin(), ways.end());  // "loop" comes first
      for (auto& [way, times] : ways) {
        std::sort(times.begin(), times.end());
        std::printf("%-28s %-14s %12.4f %9.4f-%8.4f %8.3f\n", task.c_str(), way.c_str(),
                    median(times), times[times.size() / 4], times[times.size() * 3 / 4],
                    median(times) / median(ways.front().second));
      }
    }
  }

 private:
  static double median(const std::vector<double>& sorted) {
    return (sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2]) / 2;
  }

  using Times = std::vector<double>;  // of each run, in milliseconds
  std::map<std::string, std::vector<std::pair<std::string, Times>>> tasks_;
};

/// Registers one way of a task. `run()` returns the seconds that count.
template <class Run>
void register_way(const std::string& task, const std::string& way, Run run) {
  benchmark::RegisterBenchmark((task + '/' + way).c_str(),
                               [run](benchmark::State& state) {
                                 for (auto _ : state) state.SetIterationTime(run());
                               })
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}

/// Runs what is registered, each `repetitions` times unless the command line says otherwise.
inline int run_paired(int argc, char** argv, int repetitions) {
  std::string interleaved = "--benchmark_enable_random_interleaving=true";
  std::string repeated = "--benchmark_repetitions=" + std::to_string(repetitions);
  std::vector<char*> arguments{argv[0], interleaved.data(), repeated.data()};
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  auto count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 1;
  RatioReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  return 0;
}
