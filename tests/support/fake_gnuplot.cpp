// A program that stands in for gnuplot. The environment variable FAKE_DRAWING says what it does:
// "echo" its arguments and its input, "complain" and fail, "crash", or "hang".
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <string>

#ifdef _WIN32
#include <windows.h>
#else
#include <unistd.h>
#endif

namespace {

[[noreturn]] void crash() {
#ifdef _WIN32
  ::TerminateProcess(::GetCurrentProcess(), 0xC0000005);
#else
  std::raise(SIGKILL);
#endif
  std::abort();
}

[[noreturn]] void hang() {
  for (;;) {
#ifdef _WIN32
    ::Sleep(1000);
#else
    ::sleep(1);
#endif
  }
}

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string drawing = variable("FAKE_DRAWING");
  if (drawing == "crash") crash();
  if (drawing == "hang") hang();
  if (drawing == "complain") {
    std::cerr << "\nplot x\n     ^\n\x1b[31mno x\n";
    return 3;
  }
  for (int i = 1; i < argc; ++i) std::cout << '<' << argv[i] << ">\n";
  std::cout << std::string(std::istreambuf_iterator<char>(std::cin), {});
}
