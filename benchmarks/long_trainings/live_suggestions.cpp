// Asks LRFinder for a learning rate on every task of long_trainings, and prints what
// `judge --suggestions` reads: name,task,plan,lr,updates,low,high,caveat.
//
//   live_suggestions [--held-out] [--streams] [--budgets] [--only KIND]
//
// --held-out: asks on the kinds held out, too. --streams: asks on the trainings of 30,000 updates.
// --budgets: asks only `find`, with budgets from 3 to 100.

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
    std::cout << suggestion.lr << ',' << suggestion.updates << ',';
    if (suggestion.low > 0) std::cout << suggestion.low;
    std::cout << ',';
    if (suggestion.high > 0) std::cout << suggestion.high;
    std::cout << ',' << suggestion.caveat;
  } catch (const lrfinder::NoSuggestion&) {
    std::cout << ',';
  }
  std::cout << std::endl;
}

/// Which ways to find a rate are asked.
enum class Asked { all, budgets };

void print_suggestions(const Task& task, Asked asked) {
  const Batches batches = task.batches(1);
  const Training training = task.make();
  lrfinder::LRFinder finder(training.network, *training.optimizer, task.criterion);
  // The loss that a user would watch.
  const Batches held_back{{task.samples->held_input, task.samples->held_target}};
  const auto find = [&](const std::string& name, const std::string& plan_name,
                        const lrfinder::FindOptions& options, bool validates) {
    torch::manual_seed(2);
    print(name, task, plan_name, [&] {
      return validates ? finder.find(batches, held_back, options) : finder.find(batches, options);
    });
  };
  for (const auto& [name, decay] : {std::pair("cosine", lrfinder::Decay::cosine),
                                    std::pair("constant", lrfinder::Decay::none)}) {
    const auto plan = lrfinder::TrainingPlan().steps(task.steps).decay(decay);
    if (asked == Asked::budgets) {
      for (const int budget : {3, 5, 10, 20, 50, 100}) {
        const auto options = lrfinder::FindOptions().plan(plan).budget(budget);
        find("budget " + std::to_string(budget), name, options, false);
        if (task.steps > usual_steps) {
          find("budget " + std::to_string(budget) + " with validation", name, options, true);
        }
      }
      continue;
    }
    for (const int budget : {10, 20}) {
      find("find (" + std::to_string(budget) + " range tests)", name,
           lrfinder::FindOptions().plan(plan).budget(budget), false);
    }
    print("suggestion()", task, name, [&] { return finder.suggestion(); });
    print("suggestion(plan)", task, name, [&] { return finder.suggestion(plan); });
    find("find with validation", name, lrfinder::FindOptions().plan(plan), true);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  bool held_out = false, streams = false;
  std::string only;
  Asked asked = Asked::all;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--held-out") {
      held_out = true;
    } else if (argument == "--budgets") {
      asked = Asked::budgets;
    } else if (argument == "--streams") {
      streams = true;
    } else if (argument == "--only" && i + 1 < argc) {
      only = argv[++i];
    } else {
      std::cerr << "usage: live_suggestions [--held-out] [--streams] [--budgets] [--only KIND]\n";
      return 2;
    }
  }
  torch::set_num_threads(1);
  std::cout << "name,task,plan,lr,updates,low,high,caveat\n";
  for (const Task& task : all_tasks(streams)) {
    if (task.held_out > 0 && !held_out) continue;
    if (only.empty() || task.kind == only) print_suggestions(task, asked);
  }
} catch (const std::exception& fault) {
  std::cerr << fault.what() << '\n';
  return 1;
}
