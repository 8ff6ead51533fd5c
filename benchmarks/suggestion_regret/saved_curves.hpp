#pragma once

#include <cstddef>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <lrfinder/history/recorder.hpp>

#include "regret.hpp"
#include "report.hpp"

/// The rows of a CSV file, without its header.
inline std::vector<std::vector<std::string>> read_csv(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::vector<std::vector<std::string>> rows;
  std::string line, field;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    rows.emplace_back();
    while (std::getline(fields, field, ',')) rows.back().push_back(field);
  }
  return rows;
}

/// What a range test records of losses that run on past divergence.
inline lrfinder::History recorded(const std::vector<double>& lr, const std::vector<double>& loss) {
  using lrfinder::StopReason;
  lrfinder::RangeTestSettings settings;
  settings.num_iter = 100;
  settings.smooth_f = 0.05;
  settings.diverge_th = 5;
  lrfinder::Recorder recorder(settings);
  for (std::size_t i = 0; i < lr.size(); ++i) {
    if (!recorder.record({lr[i]}, {loss[i], {}, {}})) {
      return recorder.finish(StopReason::non_finite_loss);
    }
    if (recorder.has_diverged()) return recorder.finish(StopReason::diverged);
  }
  return recorder.finish(StopReason::completed);
}

/// What every recipe makes of the tasks saved in a folder: tasks.csv, curves.csv and outcomes.csv,
/// as in tests/data/curves.
inline std::vector<Row> judge_saved_curves(const std::string& folder) {
  struct SavedTask {
    std::string name;
    Outcomes outcomes{};
    std::vector<double> lr{}, loss{};
  };
  std::vector<SavedTask> tasks;
  for (const auto& row : read_csv(folder + "/tasks.csv")) {
    tasks.push_back({row.at(1) + ' ' + row.at(2) + ' ' + row.at(3)});
    tasks.back().outcomes.initial_loss = std::stod(row.at(7));
  }
  for (const auto& row : read_csv(folder + "/curves.csv")) {
    SavedTask& task = tasks.at(std::stoul(row.at(0)));
    task.lr.push_back(std::stod(row.at(1)));
    task.loss.push_back(std::stod(row.at(2)));
  }
  for (const auto& row : read_csv(folder + "/outcomes.csv")) {
    Outcomes& outcomes = tasks.at(std::stoul(row.at(0))).outcomes;
    outcomes.lr.push_back(std::stod(row.at(1)));
    outcomes.final_loss.push_back(std::stod(row.at(2)));
  }
  std::vector<Row> rows;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    rows.push_back({i, "task", tasks[i].name, 0, tasks[i].outcomes.initial_loss});
    add_recipes(rows, i, recorded(tasks[i].lr, tasks[i].loss), tasks[i].outcomes);
  }
  return rows;
}
