// Asks LRFinder for a learning rate on every task of long_trainings, and prints what
// `judge --suggestions` reads: name,task,plan,lr,updates,low,high.
//
//   live_suggestions [--held-out] [--only KIND]
//
// --held-out: asks on the kinds held out, too.

#include <cstdint>
#include <functional>
#include <iostream>
#include <string>
#include <utility>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#include "tasks.hpp"

namespace {

/// Prints a suggestion; an empty cell if there is none.
void print(const std::string& name, const Task& task, const std::string& plan,
           const std::function<lrfinder::Suggestion()>& suggest) {
  std::cout << name << ',' << task.name << ',' << plan << ',';
  try {
    const lrfinder::Suggestion suggestion = suggest();
    std::cout << suggestion.lr << ',' << suggestion.updates;
    if (suggestion.low > 0) std::cout << ',' << suggestion.low << ',' << suggestion.high;
  } catch (const lrfinder::NoSuggestion&) {
    std::cout << ',';
  }
  std::cout << std::endl;
}

void print_suggestions(const Task& task) {
  const Batches batches = task.batches(1);
  const Training training = task.make();
  lrfinder::LRFinder finder(training.network, *training.optimizer, task.criterion);
  for (const auto& [name, decay] : {std::pair("cosine", lrfinder::Decay::cosine),
                                    std::pair("constant", lrfinder::Decay::none)}) {
    const auto plan = lrfinder::TrainingPlan().steps(max_steps).decay(decay);
    for (const double budget : {10.0, 20.0}) {
      torch::manual_seed(2);
      print("find (" + std::to_string(static_cast<int>(budget)) + " range tests)", task, name, [&] {
        return finder.find(batches, lrfinder::FindOptions().plan(plan).budget(budget));
      });
    }
    print("suggestion()", task, name, [&] { return finder.suggestion(); });
    print("suggestion(plan)", task, name, [&] { return finder.suggestion(plan); });
    // The loss that a user would watch.
    const Batches held_back{{task.samples->held_input, task.samples->held_target}};
    torch::manual_seed(2);
    print("find with validation", task, name,
          [&] { return finder.find(batches, held_back, lrfinder::FindOptions().plan(plan)); });
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
  std::cout << "name,task,plan,lr,updates,low,high\n";
  for (const Task& task : all_tasks()) {
    if (task.held_out > 0 && !held_out) continue;
    if (only.empty() || task.kind == only) print_suggestions(task);
  }
} catch (const std::exception& fault) {
  std::cerr << fault.what() << '\n';
  return 1;
}
