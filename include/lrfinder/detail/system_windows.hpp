#pragma once

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <io.h>
#include <sys/stat.h>
#include <windows.h>
// After windows.h
#include <psapi.h>

#include <lrfinder/detail/system.hpp>

// The functions of system.hpp on Windows 10 and newer.
namespace lrfinder {

namespace detail {
inline HANDLE handle_of(int file) { return reinterpret_cast<HANDLE>(::_get_osfhandle(file)); }
}  // namespace detail

inline bool is_terminal(std::FILE* file) {
  const HANDLE console = detail::handle_of(::_fileno(file));
  DWORD mode = 0;
  constexpr DWORD ansi = 0x0004;  // ENABLE_VIRTUAL_TERMINAL_PROCESSING
  return ::GetConsoleMode(console, &mode) && ::SetConsoleMode(console, mode | ansi);
}

inline TerminalSize terminal_size(std::FILE* file) {
  const HANDLE console = detail::handle_of(::_fileno(file));
  CONSOLE_SCREEN_BUFFER_INFO info{};
  if (!::GetConsoleScreenBufferInfo(console, &info)) return {};
  return {info.srWindow.Right - info.srWindow.Left + 1,
          info.srWindow.Bottom - info.srWindow.Top + 1};
}

namespace detail {

inline void* find_symbol(const char* name) {
  HMODULE modules[1024];
  DWORD size = 0;
  if (!::EnumProcessModules(::GetCurrentProcess(), modules, sizeof(modules), &size)) return nullptr;
  const std::size_t count = std::min(sizeof(modules), std::size_t{size}) / sizeof(HMODULE);
  for (std::size_t i = 0; i < count; ++i) {
    const auto function = ::GetProcAddress(modules[i], name);
    if (function != nullptr) return reinterpret_cast<void*>(function);
  }
  return nullptr;
}

inline int open_file(const std::filesystem::path& path, FileAccess access) {
  const int flags = access == FileAccess::read     ? _O_RDONLY
                    : access == FileAccess::write  ? _O_WRONLY | _O_CREAT
                    : access == FileAccess::create ? _O_RDWR | _O_CREAT | _O_EXCL
                                                   : _O_RDWR | _O_CREAT | _O_EXCL | _O_TEMPORARY;
  return uninterrupted([&] {
    return ::_wopen(path.c_str(), flags | _O_BINARY | _O_NOINHERIT, _S_IREAD | _S_IWRITE);
  });
}

inline void seek_file(int file, std::uint64_t position) noexcept {
  ::_lseeki64(file, static_cast<std::int64_t>(position), SEEK_SET);
}

inline constexpr std::size_t max_size = std::size_t{1} << 30;  // that one call takes

inline std::size_t read_some(int file, void* data, std::size_t size) {
  const auto part = static_cast<unsigned>(std::min(size, max_size));
  return static_cast<std::size_t>(uninterrupted([&] { return ::_read(file, data, part); }));
}

inline std::size_t write_some(int file, const void* data, std::size_t size) {
  const auto part = static_cast<unsigned>(std::min(size, max_size));
  return static_cast<std::size_t>(uninterrupted([&] { return ::_write(file, data, part); }));
}

inline void sync_file(int file) {
  uninterrupted([&] { return ::_commit(file); });
}

inline bool has_same_owner(int, int) { return true; }

inline void close_file(int file) noexcept { ::_close(file); }

inline int run_program(std::vector<std::string> command, const int (&files)[3],
                       std::chrono::milliseconds time_limit) {
  // Found on PATH only: CreateProcessW would prefer a program in the current folder.
  std::wstring program(32768, L'\0');
  const std::filesystem::path name = command.front();
  if (::SearchPathW(::_wgetenv(L"PATH"), name.c_str(), L".exe", 32768, program.data(), nullptr) ==
      0) {
    throw failure(std::errc::no_such_file_or_directory);
  }
  std::wstring line;
  for (const std::string& argument : command) {
    line += std::filesystem::path(argument).wstring() + L' ';
  }
  for (const int file : files) {
    seek_file(file, 0);
    ::SetHandleInformation(handle_of(file), HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
  }
  STARTUPINFOW startup{};
  startup.cb = sizeof(startup);
  startup.dwFlags = STARTF_USESTDHANDLES;
  startup.hStdInput = handle_of(files[0]);
  startup.hStdOutput = handle_of(files[1]);
  startup.hStdError = handle_of(files[2]);
  PROCESS_INFORMATION child{};
  if (!::CreateProcessW(program.c_str(), line.data(), nullptr, nullptr, TRUE, CREATE_NO_WINDOW,
                        nullptr, nullptr, &startup, &child)) {
    throw std::system_error(static_cast<int>(::GetLastError()), std::system_category());
  }
  ::CloseHandle(child.hThread);
  const auto limit = static_cast<DWORD>(std::min<std::int64_t>(time_limit.count(), INFINITE - 1));
  const bool in_time = ::WaitForSingleObject(child.hProcess, limit) == WAIT_OBJECT_0;
  if (!in_time) {
    ::TerminateProcess(child.hProcess, 1);
    ::WaitForSingleObject(child.hProcess, INFINITE);
  }
  DWORD status = 0;
  ::GetExitCodeProcess(child.hProcess, &status);
  ::CloseHandle(child.hProcess);
  if (!in_time) throw failure(std::errc::timed_out);
  return static_cast<int>(status);
}

}  // namespace detail
}  // namespace lrfinder
