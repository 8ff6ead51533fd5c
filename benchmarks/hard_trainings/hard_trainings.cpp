// Trains small tasks with uneven, bad or noisy batches at many rates, for 180, 300 and 1,000
// updates, and saves how they end. The program `judge_hard` reads from that what a suggested rate
// is worth.
//
//   hard_trainings [--list | --time] [--only KIND] [FOLDER]
//
// FOLDER: where outcomes.csv and tasks.csv are written, in the format of long_trainings; tasks that
// are there already are left out. --list prints the tasks. --time prints how long an update takes.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <limits>
#include <set>
#include <sstream>
#include <string>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>
#include <lrfinder/plan_lr.hpp>

#include "../long_trainings/outcomes_file.hpp"
#include "tasks.hpp"

namespace {

constexpr int grid_size = 19;
constexpr int seeds = 2;
/// The lengths of the trainings. The shorter ones train on the first batches, by a plan of their
/// own length.
constexpr std::int64_t lengths[] = {180, 300, hard_steps};

/// The rates of a grid are a third of a decade apart.
double grid_rate(const HardTask& task, int i) {
  return task.centre * std::pow(10.0, (i - grid_size / 2) / 3.0);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The loss on the samples held back after a training; infinite where it diverged: where a loss is
/// not finite, or the model is far worse than untrained.
double train(const HardTask& task, const HardBatches& batches, lrfinder::Decay decay, double lr,
             double untrained_loss) {
  constexpr double diverged = std::numeric_limits<double>::infinity();
  const Training training = task.make();
  lrfinder::PlanLR scheduler(
      *training.optimizer,
      lrfinder::TrainingPlan().steps(static_cast<std::int64_t>(batches.size())).decay(decay), lr);
  torch::manual_seed(3);
  for (const HardBatch& batch : batches) {
    training.optimizer->zero_grad();
    const auto loss = task.criterion(training.network, batch);
    if (!std::isfinite(loss.item<double>())) return diverged;
    loss.backward();
    training.optimizer->step();
    scheduler.step();
  }
  const double loss = task.held_back_loss(*training.network);
  return loss <= untrained_loss + 4 * std::max(1.0, std::fabs(untrained_loss)) ? loss : diverged;
}

void print_time(const HardTask& task) {
  const double untrained = task.held_back_loss(*task.make().network);
  const auto batches = task.batches(1);
  const auto start = std::chrono::steady_clock::now();
  const double loss = train(task, batches, lrfinder::Decay::cosine, task.centre, untrained);
  std::printf("%-32s %.3f ms an update; loss %.4g, after %zu updates %.4g\n", task.name.c_str(),
              1000 * seconds_since(start) / static_cast<double>(batches.size()), untrained,
              batches.size(), loss);
}

void train_and_save(const HardTask& task, const std::string& folder) {
  const auto start = std::chrono::steady_clock::now();
  const double untrained = task.held_back_loss(*task.make().network);
  std::ostringstream outcomes, tasks;
  const auto add = [&](int seed, std::int64_t steps) {
    HardBatches batches = task.batches(static_cast<std::uint64_t>(seed));
    batches.resize(std::min(batches.size(), static_cast<std::size_t>(steps)));
    for (const auto decay : {lrfinder::Decay::none, lrfinder::Decay::cosine}) {
      for (int i = 0; i < grid_size; ++i) {
        const double lr = grid_rate(task, i);
        outcomes << task.name << (decay == lrfinder::Decay::none ? ",constant," : ",cosine,")
                 << steps << ',' << rounded(lr) << ',' << seed << ','
                 << rounded(train(task, batches, decay, lr, untrained)) << '\n';
      }
    }
  };
  for (const std::int64_t steps : lengths) add(1, steps);
  for (int seed = 2; seed <= seeds; ++seed) add(seed, hard_steps);
  const torch::Tensor first = std::get<0>(task.batches(1).front());
  tasks << task.name << ',' << task.kind << ',' << task.optimizer_name << ',' << first.size(0)
        << ',' << (task.held_out ? 1 : 0) << ',' << rounded(untrained) << ",1\n";
  append(folder + "/outcomes.csv", "task,plan,steps,lr,seed,val_loss", outcomes.str());
  append(folder + "/tasks.csv", "task,kind,optimizer,batch,held_out,untrained_loss,groups",
         tasks.str());
  std::printf("%-32s %.1f s\n", task.name.c_str(), seconds_since(start));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) try {
  std::string only, folder = "data";
  bool list = false, time = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--list") {
      list = true;
    } else if (argument == "--time") {
      time = true;
    } else if (argument == "--only" && i + 1 < argc) {
      only = argv[++i];
    } else if (argument.front() != '-') {
      folder = argument;
    } else {
      std::cerr << "usage: hard_trainings [--list | --time] [--only KIND] [FOLDER]\n";
      return 2;
    }
  }
  torch::set_num_threads(1);
  std::set<std::string> done;
  for (const auto& row : csv_rows(folder + "/tasks.csv")) done.insert(row.at(0));
  if (!list && !time) std::filesystem::create_directories(folder);
  for (const HardTask& task : all_hard_tasks()) {
    if (!only.empty() && task.kind != only) continue;
    if (list) {
      std::cout << task.name << (task.held_out ? " (held out)" : "") << '\n';
    } else if (time) {
      print_time(task);
    } else if (done.count(task.name) == 0) {
      train_and_save(task, folder);
    }
  }
} catch (const std::exception& fault) {
  std::cerr << fault.what() << '\n';
  return 1;
}
