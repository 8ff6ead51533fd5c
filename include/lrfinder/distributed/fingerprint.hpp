#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/error.hpp>

namespace lrfinder::detail {

/// What all ranks of a test have to agree on: names with values, as text.
class Fingerprint {
 public:
  /// Adds a value by its name: a number, a text, or a list of them.
  template <class Value>
  Fingerprint& add(const std::string& name, const Value& value) {
    std::ostringstream text;
    text.precision(std::numeric_limits<double>::max_digits10);
    write(text, value);
    lines_.push_back(line(one_line(name), one_line(text.str())));
    return *this;
  }

  /// All of it as one text.
  std::string text() const {
    std::string all;
    for (const std::string& line : lines_) all += line;
    return all;
  }

  /// Throws InvalidOption for the first value that differs from that of rank 0, whose text() is
  /// given. `demand`: how the message ends.
  void require_same(
      const std::string& of_rank_0, std::int64_t rank,
      const std::string& demand = "all ranks have to run the same test on the same model") const {
    std::istringstream text(of_rank_0);
    for (std::size_t i = 0;; ++i) {
      std::string name, value;
      const bool there = std::getline(text, name) && std::getline(text, value);
      if (!there && i == lines_.size()) return;
      if (there && i < lines_.size() && lines_[i] == line(name, value)) continue;
      const auto [my_name, my_value] = i < lines_.size() ? split(lines_[i]) : split("nothing\n\n");
      std::ostringstream message;
      message << "LRFinder: ";
      if (there && my_name == name) {
        message << name << " is " << my_value << " on rank " << rank << " and " << value;
      } else {
        message << "there is " << my_name << " on rank " << rank << " and "
                << (there ? name : "nothing");
      }
      message << " on rank 0; " << demand;
      throw InvalidOption(message.str());
    }
  }

 private:
  template <class Value>
  static void write(std::ostream& out, const Value& value) {
    out << value;
  }
  template <class Value>
  static void write(std::ostream& out, const std::vector<Value>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) out << (i > 0 ? ", " : "") << values[i];
  }
  template <class Value>
  static void write(std::ostream& out, const std::optional<Value>& value) {
    if (value) {
      write(out, *value);
    } else {
      out << "none";
    }
  }

  static std::string line(std::string name, const std::string& value) {
    return name.append("\n").append(value).append("\n");
  }

  static std::string one_line(std::string text) {
    for (char& letter : text) {
      if (letter == '\n') letter = ' ';
    }
    return text;
  }

  static std::pair<std::string, std::string> split(const std::string& line) {
    const std::size_t end = line.find('\n');
    return {line.substr(0, end), line.substr(end + 1, line.size() - end - 2)};
  }

  std::vector<std::string> lines_;
};

}  // namespace lrfinder::detail
