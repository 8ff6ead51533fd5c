#pragma once

#include <string>
#include <system_error>

#include <lrfinder/detail/files.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/csv.hpp>
#include <lrfinder/history/history.hpp>

namespace lrfinder {

inline void History::save(const std::string& path) const {
  const std::string csv = to_csv(*this);
  try {
    from_csv(csv, path);
  } catch (const InvalidHistory& fault) {
    throw InvalidHistory(std::string("History::save: what would be saved could not be loaded: ") +
                         fault.what());
  }
  try {
    detail::replace_file(path, csv);
  } catch (const std::system_error& fault) {
    throw Error("History::save: cannot write " + path + ": " + fault.code().message());
  }
}

inline History History::load(const std::string& path) {
  std::string csv;
  try {
    csv = detail::read_file(path);
  } catch (const std::system_error& fault) {
    throw InvalidHistory("History::load: cannot read " + path + ": " + fault.code().message());
  }
  return from_csv(csv, path);
}

}  // namespace lrfinder
