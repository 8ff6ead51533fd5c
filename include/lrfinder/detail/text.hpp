#pragma once

#include <algorithm>
#include <cstddef>
#include <locale>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <lrfinder/error.hpp>

// Functions that prepare the user's text for plots and messages.
namespace lrfinder::detail {

/// Joins the parts into one text. Each is written with operator<<, in the classic locale.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  (text << ... << parts);
  return text.str();
}

/// Throws InvalidOption if `holds` is false. The message consists of the parts.
template <class... Parts>
void require_option(bool holds, const Parts&... parts) {
  if (!holds) throw InvalidOption(concat(parts...));
}

/// A character of a text.
struct Character {
  std::string_view bytes;
  bool is_utf8;     ///< if it is not, it is a single byte
  bool is_control;  ///< a line break is one
};

/// The character that a text begins with.
inline Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  const std::size_t size = lead < 0x80   ? 1
                           : lead < 0xC0 ? 0
                           : lead < 0xE0 ? 2
                           : lead < 0xF0 ? 3
                                         : 4;
  std::size_t read = 1;
  char32_t code = lead & (0xFFU >> size);
  for (; read < size && read < text.size() && (byte(read) & 0xC0) == 0x80; ++read) {
    code = code << 6 | (byte(read) & 0x3F);
  }
  constexpr char32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};  // a longer form is no UTF-8
  const bool is_surrogate = code >= 0xD800 && code < 0xE000;
  const bool is_utf8 = read == size && lead < 0xF8 && code >= smallest[size] && code <= 0x10FFFF &&
                       !is_surrogate && code != 0xFFFE && code != 0xFFFF;
  const bool is_control = code < 0x20 || (code >= 0x7F && code < 0xA0);
  return {text.substr(0, is_utf8 ? size : 1), is_utf8, is_utf8 && is_control};
}

/// Calls `use` with each Character of a text.
template <class Use>
void each_character(std::string_view text, Use&& use) {
  while (!text.empty()) {
    const Character character = first_character(text);
    use(character);
    text.remove_prefix(character.bytes.size());
  }
}

/// The characters of a text. A byte that is not UTF-8 becomes a replacement character. A control
/// character becomes a blank, unless it is a line break.
inline std::vector<std::string> characters(std::string_view text) {
  std::vector<std::string> result;
  each_character(text, [&](const Character& character) {
    const bool is_blank = character.is_control && character.bytes != "\n";
    result.emplace_back(!character.is_utf8 ? "\uFFFD" : is_blank ? " " : character.bytes);
  });
  return result;
}

/// A text for an error message. Control characters and bytes that are not UTF-8 become `\xHH`, so
/// that they cannot end the message or control the terminal.
inline std::string printable(std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string result;
  each_character(text, [&](const Character& character) {
    const bool is_shown = character.is_utf8 && !character.is_control;
    if (is_shown) result += character.bytes;
    for (const char letter : is_shown ? "" : character.bytes) {
      const auto byte = static_cast<unsigned char>(letter);
      result += {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
    }
  });
  return result;
}

/// A piece of a text in quotes, for a message.
inline std::string in_quotes(std::string_view text) {
  return concat('"', printable(text.substr(0, 40)), text.size() > 40 ? "...\"" : "\"");
}

/// Breaks a text into lines of at most `width` characters, at blanks if possible: at least one
/// line, at most `max_lines`. A longer text is cut off and ends with an ellipsis.
inline std::vector<std::string> wrapped(std::string_view text, std::size_t width,
                                        std::size_t max_lines) {
  const std::vector<std::string> all = characters(text);
  std::vector<std::string> lines;
  std::size_t begin = 0;
  for (bool is_cut = false, more = true; more && !is_cut;) {
    std::size_t end = begin;
    while (end < std::min(all.size(), begin + width) && all[end] != "\n") ++end;
    more = end < all.size();
    const bool in_word = more && all[end] != "\n" && all[end] != " ";
    std::size_t word = end;
    while (in_word && word > begin && all[word - 1] != " ") --word;
    if (in_word && word > begin) end = word - 1;
    is_cut = more && lines.size() + 1 == max_lines;
    if (is_cut && end - begin == width) --end;
    lines.emplace_back();
    while (begin < end) lines.back() += all[begin++];
    if (is_cut) lines.back() += "\u2026";
    if (more && (all[begin] == " " || all[begin] == "\n")) ++begin;
  }
  return lines;
}

/// A text as one line of at most `width` characters. A longer text is cut off.
inline std::string shortened(std::string_view text, std::size_t width) {
  std::string line(text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return wrapped(line, width, 1).front();
}

}  // namespace lrfinder::detail
