#pragma once

#include <cstdlib>
#include <fstream>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "verdict.hpp"

/// @file
/// Reads and writes what hard_answers prints. Without LibTorch.

inline constexpr auto answers_header = "name,task,seed,plan,lr,updates,caveat,refusal";

/// The name of the file of a curve.
inline std::string curve_file(const std::string& task, int seed) {
  return task + '.' + std::to_string(seed) + ".csv";
}

/// A text as a cell of a CSV file, in one line.
inline std::string quoted_cell(const std::string& text) {
  if (text.empty()) return text;
  std::string cell = "\"";
  for (const char letter : text) {
    if (letter == '"') cell += '"';
    cell += letter == '\n' ? ' ' : letter;
  }
  return cell + '"';
}

/// The cells of a line of a CSV file.
inline std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells(1);
  bool is_quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      // Inside quotes, two stand for one.
      const bool is_letter = is_quoted && i + 1 < line.size() && line[i + 1] == '"';
      if (is_letter) cells.back() += line[++i];
      if (!is_letter) is_quoted = !is_quoted;
    } else if (line[i] == ',' && !is_quoted) {
      cells.emplace_back();
    } else {
      cells.back() += line[i];
    }
  }
  return cells;
}

inline std::ostream& operator<<(std::ostream& out, const Answer& answer) {
  out << quoted_cell(answer.name) << ',' << answer.task << ',' << answer.seed << ',' << answer.plan
      << ',';
  if (answer.lr) out << *answer.lr;
  return out << ',' << answer.updates << ',' << quoted_cell(answer.caveat) << ','
             << quoted_cell(answer.refusal);
}

/// The answers of a file; none if there is no file.
inline std::vector<Answer> answers_in(const std::string& path) {
  std::ifstream file(path);
  std::vector<Answer> answers;
  std::string line;
  for (std::getline(file, line); std::getline(file, line);) {
    const auto cells = cells_of(line);
    if (cells.size() != 8) throw std::runtime_error(path + " has a line of other cells: " + line);
    Answer answer;
    answer.name = cells[0];
    answer.task = cells[1];
    answer.seed = std::stoi(cells[2]);
    answer.plan = cells[3];
    if (!cells[4].empty()) answer.lr = std::stod(cells[4]);
    answer.updates = std::stoll(cells[5]);
    answer.caveat = cells[6];
    answer.refusal = cells[7];
    answers.push_back(answer);
  }
  return answers;
}
