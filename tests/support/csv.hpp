#pragma once

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

/// The rows of a CSV file below LRFINDER_TEST_DATA, without its header.
inline std::vector<std::vector<std::string>> read_csv(const std::string& name,
                                                      bool has_header = true) {
  std::ifstream file(LRFINDER_TEST_DATA "/" + name);
  if (!file) throw std::runtime_error("no test data " + name);
  std::vector<std::vector<std::string>> rows;
  std::string line, field;
  if (has_header) std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    rows.emplace_back();
    while (std::getline(fields, field, ',')) rows.back().push_back(field);
  }
  return rows;
}

/// A field as a number; reads "nan" and "inf" too.
inline double number(const std::string& field) { return std::strtod(field.c_str(), nullptr); }
