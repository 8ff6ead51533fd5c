#pragma once

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <io.h>
#include <share.h>
#include <sys/stat.h>
#include <windows.h>
// After windows.h
#include <psapi.h>
#include <shellapi.h>

#include <lrfinder/detail/system.hpp>

// The functions of system.hpp on Windows 10 and newer.
namespace lrfinder {

namespace detail {

/// The error of the system call that failed last.
inline std::system_error windows_failure() {
  return std::system_error(static_cast<int>(::GetLastError()), std::system_category());
}

/// A UTF-8 text in UTF-16.
inline std::wstring to_wide(const std::string& text) {
  const int size = static_cast<int>(text.size());
  std::wstring wide(text.size(), L'\0');  // never longer in UTF-16 than in UTF-8
  wide.resize(static_cast<std::size_t>(
      ::MultiByteToWideChar(CP_UTF8, 0, text.data(), size, wide.data(), size)));
  return wide;
}

/// A UTF-16 text in UTF-8.
inline std::string to_utf8(const std::wstring& wide) {
  const int size = static_cast<int>(wide.size());
  std::string text(3 * wide.size(), '\0');  // the most there can be
  text.resize(static_cast<std::size_t>(
      ::WideCharToMultiByte(CP_UTF8, 0, wide.data(), size, text.data(),
                            static_cast<int>(text.size()), nullptr, nullptr)));
  return text;
}

/// What a function of Windows writes into a buffer: `fill(buffer, size)` returns the length, or the
/// size that it needs, or 0 where it fails.
template <class Fill>
std::wstring filled(const Fill& fill) {
  std::wstring buffer(MAX_PATH, L'\0');
  for (;;) {
    const std::size_t length = fill(buffer.data(), static_cast<DWORD>(buffer.size()));
    const bool fits = length < buffer.size();
    buffer.resize(length);
    if (fits) return buffer;
  }
}

/// A path as the system takes it. One with a NUL would be cut there.
inline std::wstring system_path(const std::string& path) {
  if (path.find('\0') != std::string::npos) throw errno_failure(EINVAL);
  return to_wide(path);
}

inline HANDLE handle_of(std::FILE* file) {
  return reinterpret_cast<HANDLE>(::_get_osfhandle(::_fileno(file)));
}

}  // namespace detail

inline bool is_terminal(std::FILE* file) {
  const HANDLE console = detail::handle_of(file);
  DWORD mode = 0;
  constexpr DWORD ansi = 0x0004;  // ENABLE_VIRTUAL_TERMINAL_PROCESSING
  return ::GetConsoleMode(console, &mode) && ::SetConsoleMode(console, mode | ansi);
}

inline TerminalSize terminal_size(std::FILE* file) {
  CONSOLE_SCREEN_BUFFER_INFO info{};
  if (!::GetConsoleScreenBufferInfo(detail::handle_of(file), &info)) return {};
  return {info.srWindow.Right - info.srWindow.Left + 1,
          info.srWindow.Bottom - info.srWindow.Top + 1};
}

namespace detail {

inline std::int64_t process_id() { return ::GetCurrentProcessId(); }

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

inline std::vector<std::string> command_arguments(int, char**) {
  ::SetConsoleOutputCP(CP_UTF8);
  int count = 0;
  wchar_t** const arguments = ::CommandLineToArgvW(::GetCommandLineW(), &count);
  if (arguments == nullptr) throw windows_failure();
  std::vector<std::string> result;
  for (int i = 1; i < count; ++i) result.push_back(to_utf8(arguments[i]));
  ::LocalFree(arguments);
  return result;
}

/// Opens a file by the C library.
inline std::FILE* open_by_flags(const std::string& path, int flags, const char* mode) {
  int number = -1;
  const int error = ::_wsopen_s(&number, system_path(path).c_str(),
                                flags | _O_BINARY | _O_NOINHERIT, _SH_DENYNO, _S_IREAD | _S_IWRITE);
  if (error != 0) throw errno_failure(error);
  std::FILE* const file = ::_fdopen(number, mode);
  if (file == nullptr) throw errno_failure(errno);
  return file;
}

inline std::FILE* open_file(const std::string& path, const char* mode) {
  const bool reads = *mode == 'r';
  return open_by_flags(path, reads ? _O_RDONLY : _O_WRONLY | _O_CREAT | _O_TRUNC, mode);
}

inline std::FILE* create_file(const std::string& path) {
  return open_by_flags(path, _O_WRONLY | _O_CREAT | _O_EXCL, "wb");
}

inline void sync_file(std::FILE* file) {
  // EBADF, EINVAL: a device that has nothing to wait for.
  if (::_commit(::_fileno(file)) != 0 && errno != EBADF && errno != EINVAL) {
    throw errno_failure(errno);
  }
}

inline void move_file(const std::string& from, const std::string& to) {
  if (!::MoveFileExW(system_path(from).c_str(), system_path(to).c_str(),
                     MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH)) {
    throw windows_failure();
  }
}

inline void remove_file(const std::string& path) noexcept {
  try {
    ::DeleteFileW(to_wide(path).c_str());
  } catch (const std::bad_alloc&) {  // it stays
  }
}

inline std::optional<ExistingFile> existing_file(const std::string& path) {
  const HANDLE file = ::CreateFileW(system_path(path).c_str(), FILE_READ_ATTRIBUTES,
                                    FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
                                    OPEN_EXISTING, 0, nullptr);
  if (file == INVALID_HANDLE_VALUE) return std::nullopt;
  const bool regular = ::GetFileType(file) == FILE_TYPE_DISK;
  const std::wstring real = filled([&](wchar_t* buffer, DWORD size) {
    return regular ? ::GetFinalPathNameByHandleW(file, buffer, size, 0) : 0;
  });
  ::CloseHandle(file);
  return ExistingFile{real.empty() ? path : to_utf8(real), regular, 0};
}

inline void copy_permissions(const ExistingFile&, std::FILE*) {}  // the folder has them

inline std::string temporary_folder(const std::string& folder) {
  if (!folder.empty()) return folder;
  return to_utf8(filled([](wchar_t* buffer, DWORD size) { return ::GetTempPathW(size, buffer); }));
}

/// As create_unique_file(); `flags` as CreateFileW takes them.
inline UniqueFile create_unique_file_with(const std::string& folder, DWORD flags) {
  const std::wstring place = system_path(temporary_folder(folder));
  for (unsigned attempt = 0;; ++attempt) {
    const std::wstring path = place + L"\\lrfinder-" + std::to_wstring(::GetCurrentProcessId()) +
                              L"-" + std::to_wstring(::GetTickCount() + attempt);
    const HANDLE file =
        ::CreateFileW(path.c_str(), GENERIC_READ | GENERIC_WRITE | DELETE,
                      FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr, CREATE_NEW, flags, nullptr);
    if (file != INVALID_HANDLE_VALUE) return {file, to_utf8(path)};
    if (::GetLastError() != ERROR_FILE_EXISTS || attempt == 1000) throw windows_failure();
  }
}

inline UniqueFile create_unique_file(const std::string& folder) {
  return create_unique_file_with(folder, FILE_ATTRIBUTE_NORMAL);
}

inline FileHandle open_temporary_file(const std::string& folder) {
  return create_unique_file_with(folder, FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE).file;
}

inline OVERLAPPED at_position(std::uint64_t position) {
  OVERLAPPED place{};
  place.Offset = static_cast<DWORD>(position);
  place.OffsetHigh = static_cast<DWORD>(position >> 32);
  return place;
}

/// A size that one call takes.
inline DWORD piece_of(std::size_t size) {
  return static_cast<DWORD>(std::min(size, std::size_t{1} << 30));
}

inline std::size_t read_some(FileHandle file, std::uint64_t position, void* data,
                             std::size_t size) {
  OVERLAPPED place = at_position(position);
  DWORD done = 0;
  if (!::ReadFile(file, data, piece_of(size), &done, &place) &&
      ::GetLastError() != ERROR_HANDLE_EOF) {
    throw windows_failure();
  }
  return done;
}

inline std::size_t write_some(FileHandle file, std::uint64_t position, const void* data,
                              std::size_t size) {
  OVERLAPPED place = at_position(position);
  DWORD done = 0;
  if (!::WriteFile(file, data, piece_of(size), &done, &place)) throw windows_failure();
  return done;
}

inline void close_file(FileHandle file) noexcept { ::CloseHandle(file); }

/// An argument in a command line, as CommandLineToArgvW and the C library read it.
inline std::wstring quoted_argument(const std::string& argument) {
  std::wstring quoted = L"\"";
  std::size_t backslashes = 0;
  for (const wchar_t letter : to_wide(argument)) {
    if (letter == L'"') quoted.append(backslashes + 1, L'\\');
    backslashes = letter == L'\\' ? backslashes + 1 : 0;
    quoted += letter;
  }
  return quoted.append(backslashes, L'\\') + L'"';
}

/// A program on PATH; never one in the current folder, which CreateProcessW would prefer.
inline std::wstring program_on_path(const std::string& name) {
  const std::wstring path = filled(
      [](wchar_t* buffer, DWORD size) { return ::GetEnvironmentVariableW(L"PATH", buffer, size); });
  const std::wstring program = filled([&](wchar_t* buffer, DWORD size) {
    return ::SearchPathW(path.c_str(), to_wide(name).c_str(), L".exe", size, buffer, nullptr);
  });
  if (program.empty()) throw errno_failure(ENOENT);
  return program;
}

inline int run_with_files(std::vector<std::string> command, const FileHandle (&files)[3],
                          std::chrono::milliseconds time_limit) {
  const std::wstring program = program_on_path(command.front());
  std::wstring line;
  for (const std::string& argument : command) line += quoted_argument(argument) + L' ';
  for (const FileHandle file : files) {
    ::SetFilePointerEx(file, LARGE_INTEGER{}, nullptr, FILE_BEGIN);
    ::SetHandleInformation(file, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
  }
  STARTUPINFOW startup{};
  startup.cb = sizeof(startup);
  startup.dwFlags = STARTF_USESTDHANDLES;
  startup.hStdInput = files[0];
  startup.hStdOutput = files[1];
  startup.hStdError = files[2];
  PROCESS_INFORMATION child{};
  if (!::CreateProcessW(program.c_str(), line.data(), nullptr, nullptr, TRUE, CREATE_NO_WINDOW,
                        nullptr, nullptr, &startup, &child)) {
    throw windows_failure();
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
  if (!in_time) throw errno_failure(ETIMEDOUT);
  return static_cast<int>(status);
}

}  // namespace detail
}  // namespace lrfinder
