// Asks for a learning rate on every task of hard_trainings, and prints what `judge_hard` reads.
//
//   hard_answers [--held-out] [--only KIND] [--curves FOLDER]
//
// --held-out: asks on the kinds held out, too. FOLDER: where the curve of each range test is saved.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iostream>
#include <string>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#include "answers_file.hpp"
#include "tasks.hpp"

namespace {

/// Prints an answer. `updates`: what the curve took that the answer is read off.
void print(const std::string& name, const HardTask& task, int seed, const std::string& plan,
           std::size_t updates, const std::function<lrfinder::Suggestion()>& suggest) {
  Answer answer;
  answer.name = name;
  answer.task = task.name;
  answer.seed = seed;
  answer.plan = plan;
  answer.updates = static_cast<std::int64_t>(updates);
  try {
    const lrfinder::Suggestion suggestion = suggest();
    answer.lr = suggestion.lr;
    if (suggestion.updates > 0) answer.updates = suggestion.updates;
    answer.caveat = suggestion.caveat;
  } catch (const lrfinder::Error& error) {
    answer.refusal = error.what();
  }
  std::cout << answer << std::endl;
}

/// What other tools read off the same curve. They know no plan.
void print_recipes(const HardTask& task, int seed, const lrfinder::History& history) {
  namespace suggest = lrfinder::suggest;
  const auto print_both = [&](const std::string& name, const lrfinder::Recipe& recipe) {
    for (const auto* plan : {"constant", "cosine"}) {
      print(name, task, seed, plan, history.size(), [&] { return recipe(history); });
    }
  };
  print_both("pytorch-lr-finder",
             [](const lrfinder::History& curve) { return suggest::gradient_argmin(curve, 10, 5); });
  print_both("fastai", suggest::valley);
  print_both("PyTorch Lightning",
             [](const lrfinder::History& curve) { return suggest::lightning(curve); });
  print_both("Ignite", suggest::ignite);
}

void print_answers(const HardTask& task, int seed, const std::string& curves) {
  // Other batches than those of the trainings.
  const HardBatches batches = task.batches(100 + static_cast<std::uint64_t>(seed));
  const Training training = task.make();
  lrfinder::LRFinder finder(training.network, *training.optimizer, task.criterion);
  const auto set_random_state = [&] { torch::manual_seed(static_cast<std::uint64_t>(seed)); };
  set_random_state();
  try {
    finder.range_test(batches, lrfinder::RangeTestOptions().start_lr(1e-7));
  } catch (const lrfinder::Error& error) {
    std::cerr << task.name << ", seed " << seed << ": " << error.what() << '\n';
  }
  const lrfinder::History history = finder.history();
  if (!curves.empty()) history.save(curves + '/' + curve_file(task.name, seed));
  const auto plan = lrfinder::TrainingPlan().steps(hard_steps).decay(lrfinder::Decay::cosine);
  print("suggestion()", task, seed, "constant", history.size(),
        [&] { return finder.suggestion(); });
  print("suggestion(plan)", task, seed, "cosine", history.size(),
        [&] { return finder.suggestion(plan); });
  print_recipes(task, seed, history);
  set_random_state();
  print("find", task, seed, "cosine", 0,
        [&] { return finder.find(batches, lrfinder::FindOptions().plan(plan)); });
}

}  // namespace

int main(int argc, char** argv) try {
  bool held_out = false;
  std::string only, curves;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--held-out") {
      held_out = true;
    } else if (argument == "--only" && i + 1 < argc) {
      only = argv[++i];
    } else if (argument == "--curves" && i + 1 < argc) {
      curves = argv[++i];
    } else {
      std::cerr << "usage: hard_answers [--held-out] [--only KIND] [--curves FOLDER]\n";
      return 2;
    }
  }
  torch::set_num_threads(1);
  if (!curves.empty()) std::filesystem::create_directories(curves);
  std::cout << answers_header << '\n';
  for (const HardTask& task : all_hard_tasks()) {
    if (task.held_out && !held_out) continue;
    if (!only.empty() && task.kind != only) continue;
    for (int seed = 1; seed <= times_asked; ++seed) print_answers(task, seed, curves);
  }
} catch (const std::exception& fault) {
  std::cerr << fault.what() << '\n';
  return 1;
}
