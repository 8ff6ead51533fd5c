// A program that stands in for gnuplot. Environment variables say what it does:
//   FAKE_VERSION   what it answers to --version
//   FAKE_DRAWING   what it does else: "echo" its arguments and its input, "complain" and fail,
//                  "crash", or "hang"
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
  if (argc > 1 && argv[1] == std::string("--version")) {
    std::cout << variable("FAKE_VERSION") << "\n";
    return 0;
  }
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
