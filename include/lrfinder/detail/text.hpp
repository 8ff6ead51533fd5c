#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

// Text of users, by its characters, for pictures and messages.
namespace lrfinder::detail {

/// Number of bytes of the UTF-8 character that a text begins with; 0 where it begins with none.
inline std::size_t character_size(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const std::size_t size = lead < 0x80                   ? 1
                           : lead >= 0xC2 && lead < 0xE0 ? 2
                           : lead >= 0xE0 && lead < 0xF0 ? 3
                           : lead >= 0xF0 && lead < 0xF5 ? 4
                                                         : 0;
  if (size == 0 || size > text.size()) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
  const bool surrogate = lead == 0xED && byte(1) >= 0xA0;
  const bool too_large = lead == 0xF4 && byte(1) >= 0x90;
  const bool no_character = lead == 0xEF && byte(1) == 0xBF && byte(2) >= 0xBE;
  return overlong || surrogate || too_large || no_character ? 0 : size;
}

/// Whether a character of a text is a control character; a line break is one.
inline bool is_control(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  return byte(0) < 0x20 || byte(0) == 0x7F ||
         (character.size() == 2 && byte(0) == 0xC2 && byte(1) < 0xA0);
}

/// The characters of a text. Bytes that are no UTF-8 become replacement characters, and control
/// characters blanks; only line breaks stay.
inline std::vector<std::string> characters(std::string_view text) {
  std::vector<std::string> result;
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(1, size));
    if (size == 0) {
      result.emplace_back("\uFFFD");
    } else if (is_control(character) && character != "\n") {
      result.emplace_back(" ");
    } else {
      result.emplace_back(character);
    }
    text.remove_prefix(character.size());
  }
  return result;
}

/// A text as an error message shows it: control characters and bytes that are no UTF-8 as `\xHH`,
/// so that they neither end the message nor act on a terminal.
inline std::string printable(std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string result;
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(1, size));
    text.remove_prefix(character.size());
    if (size > 0 && !is_control(character)) {
      result += character;
      continue;
    }
    for (const char letter : character) {
      const auto byte = static_cast<unsigned char>(letter);
      result += {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
    }
  }
  return result;
}

/// Breaks a text into lines of at most `width` characters, at blanks where it can. What `max_lines`
/// cannot hold is left out, and an ellipsis says so.
inline std::vector<std::string> wrapped(std::string_view text, std::size_t width,
                                        std::size_t max_lines) {
  std::vector<std::vector<std::string>> lines(1);
  for (auto& character : characters(text)) {
    if (character == "\n") {
      lines.emplace_back();
      continue;
    }
    if (lines.back().size() == width) {
      std::vector<std::string> next;
      auto& line = lines.back();
      std::size_t blank = line.size();
      while (blank > 0 && line[blank - 1] != " ") --blank;
      if (blank > 0 && character != " ") {
        next.assign(line.begin() + static_cast<std::ptrdiff_t>(blank), line.end());
        line.resize(blank - 1);
      }
      lines.push_back(std::move(next));
      if (character == " ") continue;
    }
    lines.back().push_back(std::move(character));
  }
  if (lines.size() > max_lines) {
    lines.resize(max_lines);
    auto& last = lines.back();
    if (last.size() == width) last.pop_back();
    last.emplace_back("\u2026");
  }
  std::vector<std::string> result;
  for (const auto& line : lines) {
    result.emplace_back();
    for (const auto& character : line) result.back() += character;
  }
  return result;
}

/// A text in one line of at most `width` characters.
inline std::string shortened(std::string_view text, std::size_t width) {
  std::string line(text);
  for (char& letter : line) {
    if (letter == '\n') letter = ' ';
  }
  return wrapped(line, width, 1).front();
}

/// Number of characters of a text that is UTF-8.
inline std::size_t length(std::string_view text) {
  std::size_t count = 0;
  for (const char letter : text) count += (static_cast<unsigned char>(letter) & 0xC0) != 0x80;
  return count;
}

}  // namespace lrfinder::detail
