// Trains many small tasks at many rates, for up to 3,000 updates, and saves how they end. The
// program `judge` reads from that what a suggested rate is worth.
//
//   long_trainings [--list | --time] [--streams] [--only KIND] [FOLDER]
//
// FOLDER: where outcomes.csv, tasks.csv and curves/ are written; tasks that are there already are
// left out. --list prints the tasks. --time prints how long an update takes.
// --streams: trains for 30,000 updates, on data that does not run out.

#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#include "outcomes_file.hpp"
#include "tasks.hpp"
#include "train.hpp"

namespace {

/// Kinds too slow for a second training.
const std::set<std::string> without_other_order{"digits_conv", "adding_gru", "letters_attention"};

void round_column(std::vector<double>& column) {
  for (double& value : column) value = std::stod(rounded(value));
}

/// The history with five digits, to keep the files small.
lrfinder::History shortened(lrfinder::History history) {
  history.wall_seconds = 0;
  for (auto* column : {&history.lr, &history.loss, &history.raw_loss, &history.untrained_loss}) {
    round_column(*column);
  }
  for (auto& column : history.group_lr) round_column(column);
  return history;
}

std::set<std::string> tasks_in(const std::string& path) {
  std::ifstream file(path);
  std::set<std::string> names;
  for (std::string line; std::getline(file, line);) names.insert(line.substr(0, line.find(',')));
  return names;
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

void print_time(const Task& task) {
  Trainer trainer(task);
  trainer.train("constant", task.centre, {50});
  const std::clock_t start = std::clock();
  trainer.train("constant", task.centre, {200});
  std::printf("%-40s %.3f ms CPU time per update; loss %.4g, after 200 updates %.4g\n",
              task.name.c_str(),
              1000.0 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / 200,
              trainer.untrained_loss(), trainer.outcomes().back().val_loss);
}

void train_and_save(const Task& task, bool with_other_order, const std::string& folder) {
  const auto start = std::chrono::steady_clock::now();
  Trainer trainer(task);
  constexpr std::int64_t num_iter = 100;
  shortened(trainer.range_test(num_iter)).save(folder + "/curves/" + task.name + ".csv");
  trainer.train_grid();
  if (with_other_order) trainer.train_other_order(2);
  std::ostringstream outcomes, tasks;
  for (const Outcome& outcome : trainer.outcomes()) {
    outcomes << task.name << ',' << outcome.plan << ',' << outcome.steps << ','
             << rounded(outcome.lr) << ',' << outcome.seed << ',' << rounded(outcome.val_loss)
             << '\n';
  }
  tasks << task.name << ',' << task.kind << ',' << task.optimizer_name << ',' << task.batch_size
        << ',' << task.held_out << ',' << rounded(trainer.untrained_loss()) << ','
        << task.make().optimizer->param_groups().size() << '\n';
  append(folder + "/outcomes.csv", "task,plan,steps,lr,seed,val_loss", outcomes.str());
  append(folder + "/tasks.csv", "task,kind,optimizer,batch,held_out,untrained_loss,groups",
         tasks.str());
  std::printf("%-40s %.1f s\n", task.name.c_str(), milliseconds_since(start) / 1000);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) try {
  std::string only, folder = "data";
  bool list = false, time = false, streams = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--list") {
      list = true;
    } else if (argument == "--streams") {
      streams = true;
    } else if (argument == "--time") {
      time = true;
    } else if (argument == "--only" && i + 1 < argc) {
      only = argv[++i];
    } else if (argument.front() != '-') {
      folder = argument;
    } else {
      std::cerr << "usage: long_trainings [--list | --time] [--streams] [--only KIND] [FOLDER]\n";
      return 2;
    }
  }
  torch::set_num_threads(1);
  if (!list && !time) std::filesystem::create_directories(folder + "/curves");
  const auto done = tasks_in(folder + "/tasks.csv");
  std::set<std::string> kinds;
  for (const Task& task : all_tasks(streams)) {
    const bool is_first = kinds.insert(task.kind).second;
    if (!only.empty() && task.kind != only) continue;
    if (list) {
      std::cout << task.name << (task.held_out > 0 ? " (held out)" : "") << '\n';
    } else if (time) {
      print_time(task);
    } else if (done.count(task.name) == 0) {
      train_and_save(task, is_first && without_other_order.count(task.kind) == 0, folder);
    }
  }
} catch (const std::exception& fault) {
  std::cerr << fault.what() << '\n';
  return 1;
}
