#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <locale>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>

namespace lrfinder::detail {

/// The settings that must be equal on all ranks of a test: names with values, as text.
class Fingerprint {
 public:
  /// Adds a name with its value: a number, a text, or a list of numbers or texts.
  template <class Value>
  Fingerprint& add(const std::string& name, const Value& value) {
    std::ostringstream text;
    text.imbue(std::locale::classic());
    text.precision(std::numeric_limits<double>::max_digits10);
    write(text, value);
    for (std::string line : {name, text.str()}) {
      std::replace(line.begin(), line.end(), '\n', ' ');
      text_ += line + '\n';
    }
    return *this;
  }

  /// All names and values as one text: a line for each name, followed by a line for its value.
  const std::string& text() const noexcept { return text_; }

  /// Throws InvalidOption if a value differs from rank 0. The message names the first such value.
  /// `of_rank_0`: the text() of rank 0. `demand`: the end of the message.
  void require_same(
      const std::string& of_rank_0, std::int64_t rank,
      const std::string& demand = "all ranks have to run the same test on the same model") const {
    if (text_ == of_rank_0) return;
    std::istringstream here(text_), there(of_rank_0);
    for (;;) {
      const auto [name, value] = next(here);
      const auto [other_name, other_value] = next(there);
      require_option(name == other_name, "LRFinder: there is ", name, " on rank ", rank, " and ",
                     other_name, " on rank 0; ", demand);
      require_option(value == other_value, "LRFinder: ", name, " is ", value, " on rank ", rank,
                     " and ", other_value, " on rank 0; ", demand);
    }
  }

 private:
  static std::pair<std::string, std::string> next(std::istream& text) {
    std::string name, value;
    if (!std::getline(text, name) || !std::getline(text, value)) return {"nothing", ""};
    return {name, value};
  }

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
    value ? out << *value : out << "none";
  }

  std::string text_;
};

}  // namespace lrfinder::detail
