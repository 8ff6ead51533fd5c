#include <catch2.hpp>
#include <string>
#include <vector>

#include <lrfinder/detail/text.hpp>

using namespace lrfinder::detail;

TEST_CASE("text is made of characters, whatever its bytes are") {
  CHECK(characters("aü\xff\xc3") == std::vector<std::string>{"a", "ü", "\uFFFD", "\uFFFD"});
  CHECK(characters("\xed\xa0\x80") == std::vector<std::string>(3, "\uFFFD"));
  CHECK(characters("\t\x7f\u0085\n") == std::vector<std::string>{" ", " ", " ", "\n"});
}

TEST_CASE("long text is wrapped at blanks, and cut with an ellipsis") {
  CHECK(wrapped("one two three", 8, 3) == std::vector<std::string>{"one two", "three"});
  CHECK(wrapped("abcdefgh", 3, 3) == std::vector<std::string>{"abc", "def", "gh"});
  CHECK(wrapped("abcdefgh", 3, 2) == std::vector<std::string>{"abc", "de…"});
  CHECK(wrapped("", 3, 2) == std::vector<std::string>{""});
  CHECK(wrapped("a\nb", 3, 2) == std::vector<std::string>{"a", "b"});
  CHECK(shortened("ü a\nlong one", 5) == "ü a…");
}

TEST_CASE("a message shows any text on one line, without control characters") {
  CHECK(printable("aü学") == "aü学");
  CHECK(printable(std::string("a\0b\n\x1b[31m\x7f\u0085", 12)) ==
        "a\\x00b\\x0a\\x1b[31m\\x7f\\xc2\\x85");
  CHECK(printable("\xff\xc3") == "\\xff\\xc3");
}
