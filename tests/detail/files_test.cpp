#include <array>
#include <catch2.hpp>
#include <filesystem>
#include <string>
#include <system_error>
#include <temporary_directory.hpp>
#ifndef _WIN32
#include <csignal>
#include <pthread.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#endif

#include <lrfinder/detail/files.hpp>

using namespace lrfinder::detail;

namespace {

std::size_t files_in(const TemporaryDirectory& directory) {
  const std::filesystem::directory_iterator files(directory.path());
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

}  // namespace

TEST_CASE("a temporary file reads what was written to it, and has no name") {
  const TemporaryDirectory directory;
  {
    File file = temporary_file(directory.path());
    file.write_at(0, "hello", 5);
    file.write_at(3, "p me", 4);
    std::array<char, 16> read{};
    CHECK(file.read_at(1, read.data(), read.size()) == 6);
    CHECK(std::string(read.data()) == "elp me");
    CHECK(file.read_at(100, read.data(), read.size()) == 0);
    CHECK(file.contents() == "help me");
  }
  CHECK(files_in(directory) == 0);
}

TEST_CASE("a temporary file needs a folder that is there, which the error names") {
  const TemporaryDirectory directory;
  try {
    temporary_file(directory.path() / "none");
    FAIL("it was made");
  } catch (const std::filesystem::filesystem_error& fault) {
    CHECK(fault.path1() == directory.path() / "none");
  }
}

TEST_CASE("a new file takes the place of no other") {
  const TemporaryDirectory directory;
  const File file(directory.path() / "new", FileAccess::create);
  CHECK_THROWS_AS(File(directory.path() / "new", FileAccess::create), std::system_error);
}

TEST_CASE("a path with a NUL is refused, not cut") {
  const TemporaryDirectory directory;
  const std::string path = std::string(directory / "lr") + '\0' + ".svg";
  CHECK_THROWS_AS(replace_file(path, "x"), std::system_error);
  CHECK_THROWS_AS(read_file(path), std::system_error);
  CHECK(files_in(directory) == 0);
}

TEST_CASE("a file with blanks and letters of any script in its name is replaced") {
  const TemporaryDirectory directory;
  const std::string path = directory / "ü 学 run.csv";
  replace_file(path, "old");
  replace_file(path, "new");
  CHECK(read_file(path) == "new");
  CHECK(files_in(directory) == 1);
}

#ifndef _WIN32
TEST_CASE("a replaced file keeps its permissions and stays where a link leads") {
  namespace fs = std::filesystem;
  const TemporaryDirectory directory;
  const fs::path file = directory.path() / "file", link = directory.path() / "link";
  replace_file(file.string(), "old");
  fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read);
  fs::create_symlink(file, link);
  replace_file(link.string(), "new");
  CHECK(fs::is_symlink(link));
  CHECK(read_file(file.string()) == "new");
  CHECK(static_cast<int>(fs::status(file).permissions()) == 0640);
}

TEST_CASE("a link to a file that is not there makes that file") {
  namespace fs = std::filesystem;
  const TemporaryDirectory directory;
  fs::create_symlink("file", directory.path() / "link");
  replace_file(directory / "link", "new");
  CHECK(fs::is_symlink(directory.path() / "link"));
  CHECK(read_file(directory / "file") == "new");
  fs::create_symlink("loop", directory.path() / "loop");
  CHECK_THROWS_AS(replace_file(directory / "loop", "new"), std::system_error);
}

TEST_CASE("all names of a file lead to what is written to one of them") {
  const TemporaryDirectory directory;
  replace_file(directory / "a", "an old text");
  std::filesystem::create_hard_link(directory / "a", directory / "b");
  replace_file(directory / "b", "new");
  CHECK(read_file(directory / "a") == "new");
  CHECK(files_in(directory) == 2);
}

TEST_CASE("a file is written to if the user may do so, whatever its folder allows") {
  namespace fs = std::filesystem;
  const TemporaryDirectory directory;
  const std::string path = directory / "file";
  replace_file(path, "an old text");
  const auto as_user = [](auto action) {  // root may do everything
    const auto user = ::geteuid();
    if (user == 0) REQUIRE(::seteuid(65534) == 0);
    std::error_code fault;
    try {
      action();
    } catch (const std::system_error& failure) {
      fault = failure.code();
    }
    if (user == 0) REQUIRE(::seteuid(0) == 0);
    return fault;
  };
  const auto write = [&] { replace_file(path, "new"); };
  fs::permissions(path, fs::perms(0444));
  fs::permissions(directory.path(), fs::perms(0777));
  CHECK(as_user(write) == std::errc::permission_denied);
  CHECK(read_file(path) == "an old text");
  CHECK(files_in(directory) == 1);

  fs::permissions(path, fs::perms(0666));
  fs::permissions(directory.path(), fs::perms(0555));
  CHECK(as_user(write) == std::error_code());
  CHECK(read_file(path) == "new");

  replace_file(path, "an old text");
  fs::permissions(directory.path(), fs::perms(0777));
  struct ::stat before {
  }, after{};
  REQUIRE(::stat(path.c_str(), &before) == 0);
  CHECK(as_user(write) == std::error_code());
  REQUIRE(::stat(path.c_str(), &after) == 0);
  CHECK(after.st_uid == before.st_uid);
  CHECK(read_file(path) == "new");
  CHECK(files_in(directory) == 1);
}

TEST_CASE("signals do not end the writing to a pipe") {
  const TemporaryDirectory directory;
  const std::string path = directory / "pipe";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  struct ::sigaction ignored {
  }, before{};
  ignored.sa_handler = [](int) {};  // without SA_RESTART: system calls fail with EINTR
  ::sigaction(SIGUSR1, &ignored, &before);
  const std::string sent(1 << 20, 'x');
  std::string received;
  const auto interrupt = [writer = ::pthread_self()] {
    ::pthread_kill(writer, SIGUSR1);
    std::this_thread::yield();
  };
  std::thread reader([&] {
    for (int i = 0; i < 1000; ++i) interrupt();
    const File pipe(path, FileAccess::read);
    char block[1000];
    while (const std::size_t size = pipe.read_at(0, block, sizeof(block))) {
      interrupt();
      received.append(block, size);
    }
  });
  CHECK_NOTHROW(replace_file(path, sent));
  reader.join();
  ::sigaction(SIGUSR1, &before, nullptr);
  CHECK(received == sent);
}
#endif
