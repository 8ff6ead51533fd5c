#pragma once

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <lrfinder/curve.hpp>

#include "time_share.hpp"

/// @file
/// Reads and writes what long_trainings saves.

/// A trained task.
struct TrainedTask {
  std::string name, kind;
  /// 0, or 1 or 2 for the kinds that were held out; see tasks.hpp.
  int held_out = 0;
  /// The rate in the middle of the grid.
  double centre = 0;
  /// By plan, "constant" or "cosine".
  std::map<std::string, PlanOutcomes> plans;
  /// The losses of the longest training with the batches in another order; may be empty.
  std::map<std::string, LossByRate> other_order;
};

/// By how much `find` multiplies the best rate of a short training for a longer one.
inline double carried(int steps, int longer, const std::string& plan) {
  const double exponent =
      lrfinder::detail::length_exponent(lrfinder::TrainingPlan().steps(longer).decay(
          plan == "cosine" ? lrfinder::Decay::cosine : lrfinder::Decay::none));
  return std::pow(static_cast<double>(steps) / longer, exponent);
}

/// The rows of a CSV file without its header; empty where there is no file.
inline std::vector<std::vector<std::string>> csv_rows(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::vector<std::string>> rows;
  std::string line, cell;
  for (std::getline(file, line); std::getline(file, line);) {
    rows.emplace_back();
    for (std::istringstream cells(line); std::getline(cells, cell, ',');) {
      rows.back().push_back(cell);
    }
  }
  return rows;
}

/// A number with five digits.
inline std::string rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.5g", value);
  return text;
}

/// Appends lines to a file; a new file gets the header.
inline void append(const std::string& path, const std::string& header, const std::string& lines) {
  const bool is_new = !std::filesystem::exists(path);
  std::ofstream file(path, std::ios::app);
  if (is_new) file << header << '\n';
  if (!(file << lines << std::flush)) throw std::runtime_error("cannot write " + path);
}

/// All tasks of a folder, in the order of tasks.csv.
inline std::vector<TrainedTask> trained_tasks(const std::string& folder) {
  std::vector<TrainedTask> tasks;
  std::map<std::string, std::size_t> place;
  for (const auto& row : csv_rows(folder + "/tasks.csv")) {
    place[row.at(0)] = tasks.size();
    tasks.push_back({row.at(0), row.at(1), std::stoi(row.at(4)), 0, {}, {}});
    for (const auto* plan : {"constant", "cosine"}) {
      tasks.back().plans[plan].untrained_loss = std::stod(row.at(5));
    }
  }
  if (tasks.empty()) throw std::runtime_error("no tasks in " + folder + "/tasks.csv");
  for (const auto& row : csv_rows(folder + "/outcomes.csv")) {
    const auto found = place.find(row.at(0));
    if (found == place.end()) continue;  // the program was stopped while it wrote this task
    TrainedTask& task = tasks[found->second];
    const double lr = std::stod(row.at(3)), loss = std::stod(row.at(5));
    // The first row of a task is of the lowest rate of its grid, two decades below the middle.
    if (task.centre == 0) task.centre = 100 * lr;
    if (row.at(4) == "1") {
      task.plans.at(row.at(1)).by_horizon[std::stoi(row.at(2))][lr] = loss;
    } else {
      task.other_order[row.at(1)][lr] = loss;
    }
  }
  return tasks;
}
