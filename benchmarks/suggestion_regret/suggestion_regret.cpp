// How good are the suggestions? Trains many tasks at many constant learning rates, and compares
// what every recipe suggests with the best of them.
//
//     suggestion_regret              # all tasks, some minutes on two cores
//     suggestion_regret --held-out   # the same on tasks to check choices on
//     suggestion_regret --curves DIR # no training: curves with known outcomes, as in
//                                    # tests/data/curves

#include <chrono>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>

#include "held_out_tasks.hpp"
#include "measure.hpp"
#include "report.hpp"
#include "saved_curves.hpp"
#include "tasks.hpp"
#include "workers.hpp"

namespace {

constexpr const char* usage =
    "usage: suggestion_regret [options]\n"
    "  --held-out     train other tasks, on which choices were only checked\n"
    "  --data DIR     add tasks on MNIST, whose four IDX files lie in DIR\n"
    "  --curves DIR   judge saved curves instead of training\n"
    "  --csv FILE     write everything that was measured\n"
    "  --jobs N       number of processes, one core each (default: 2)\n"
    "  --quick        a few short tasks, to see that all works\n";

struct Arguments {
  Extent extent;
  std::string data, curves, csv;
  std::size_t jobs = 2;
  bool held_out = false, quick = false;
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 == argc) throw std::invalid_argument(name + " needs a value");
      return argv[++i];
    };
    if (name == "--data") {
      arguments.data = value();
    } else if (name == "--curves") {
      arguments.curves = value();
    } else if (name == "--csv") {
      arguments.csv = value();
    } else if (name == "--jobs") {
      arguments.jobs = std::max(1UL, std::stoul(value()));
    } else if (name == "--held-out") {
      arguments.held_out = true;
    } else if (name == "--quick") {
      arguments.quick = true;
    } else if (name == "--help") {
      std::cout << usage;
      std::exit(0);
    } else {
      throw std::invalid_argument("unknown option " + name);
    }
  }
  return arguments;
}

std::vector<Row> judge_trainings(const Arguments& arguments) {
  torch::set_num_threads(1);
  std::vector<Task> tasks = arguments.held_out ? held_out_tasks() : all_tasks(arguments.data);
  Extent extent = arguments.extent;
  if (arguments.quick) {
    tasks = {tasks.front(), tasks.back()};
    extent.rates = 7;
    extent.trainings = 1;
    extent.num_iter = 30;
    extent.most_steps = 10;
  }
  return in_processes(arguments.jobs, tasks.size(), [&](std::size_t i) {
    const auto start = std::chrono::steady_clock::now();
    auto rows = measure(tasks[i], i, extent);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::cerr << "task " + std::to_string(i) + " of " + std::to_string(tasks.size()) + ": " +
                     rows.front().name + ", " + std::to_string(seconds.count()) + " s\n";
    return rows;
  });
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Arguments arguments = parse(argc, argv);
    const auto rows = arguments.curves.empty() ? judge_trainings(arguments)
                                               : judge_saved_curves(arguments.curves);
    print_table(std::cout, rows);
    if (!arguments.csv.empty()) {
      std::ofstream file(arguments.csv);
      file << row_header() << '\n';
      for (const Row& row : rows) file << row;
      if (!file.flush()) throw std::runtime_error("cannot write " + arguments.csv);
    }
  } catch (const std::invalid_argument& error) {
    std::cerr << error.what() << '\n' << usage;
    return 2;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
