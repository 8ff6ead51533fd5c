// Asks LRFinder for a learning rate on every task of long_trainings, and prints what
// `judge --suggestions` reads: name,task,plan,lr.
//
//   live_suggestions [--held-out] [--only KIND]

#include <cstdint>
#include <functional>
#include <iostream>
#include <string>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#include "tasks.hpp"

namespace {

void print(const std::string& name, const Task& task, const std::function<double()>& suggest) {
  std::cout << name << ',' << task.name << ",both,";
  try {
    std::cout << suggest();
  } catch (const lrfinder::NoSuggestion&) {  // an empty cell
  }
  std::cout << std::endl;
}

void print_suggestions(const Task& task) {
  const Batches batches = task.batches(1);
  const Training training = task.make();
  lrfinder::LRFinder finder(training.network, *training.optimizer, task.criterion);
  for (const std::int64_t num_iter : {100, 300}) {
    const std::string suffix = '_' + std::to_string(num_iter);
    torch::manual_seed(2);
    finder.range_test(batches, lrfinder::RangeTestOptions().start_lr(1e-6).num_iter(num_iter));
    print("race" + suffix, task, [&] { return finder.race(batches).lr; });
  }
}

}  // namespace

int main(int argc, char** argv) try {
  bool held_out = false;
  std::string only;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--held-out") {
      held_out = true;
    } else if (argument == "--only" && i + 1 < argc) {
      only = argv[++i];
    } else {
      std::cerr << "usage: live_suggestions [--held-out] [--only KIND]\n";
      return 2;
    }
  }
  torch::set_num_threads(1);
  std::cout << "name,task,plan,lr\n";
  for (const Task& task : all_tasks()) {
    if (task.held_out && !held_out) continue;
    if (only.empty() || task.kind == only) print_suggestions(task);
  }
} catch (const std::exception& fault) {
  std::cerr << fault.what() << '\n';
  return 1;
}
