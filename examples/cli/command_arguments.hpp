#pragma once

#include <string>
#include <vector>

#ifdef _WIN32
#include <filesystem>
#include <windows.h>
// After windows.h
#include <shellapi.h>
#else
#include <algorithm>
#include <fcntl.h>
#endif

/// The arguments of main() in UTF-8, without the name of the program. For the beginning of main():
/// it also makes sure that no file is opened in place of a standard one that is closed, and that
/// the console of Windows shows UTF-8.
#ifdef _WIN32
inline std::vector<std::string> command_arguments(int, char**) {
  ::SetConsoleOutputCP(CP_UTF8);
  int count = 0;
  wchar_t** const wide = ::CommandLineToArgvW(::GetCommandLineW(), &count);
  std::vector<std::string> result;
  for (int i = 1; i < count; ++i) {
    const auto text = std::filesystem::path(wide[i]).u8string();
    result.emplace_back(text.begin(), text.end());
  }
  ::LocalFree(wide);
  return result;
}
#else
inline std::vector<std::string> command_arguments(int argc, char** argv) {
  for (int number = 0; number < 3; ++number) {
    // Opened in the wrong mode, so that using it still fails.
    if (::fcntl(number, F_GETFD) < 0) ::open("/dev/null", number == 0 ? O_WRONLY : O_RDONLY);
  }
  return {argv + std::min(argc, 1), argv + argc};
}
#endif
