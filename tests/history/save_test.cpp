#include <catch2.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <histories.hpp>
#include <iterator>
#include <string>
#include <temporary_directory.hpp>
#ifndef _WIN32
#include <sys/resource.h>
#endif

#include <lrfinder/history/save.hpp>

using lrfinder::History;

namespace {

std::size_t entries(const std::filesystem::path& directory) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(directory), {}));
}

}  // namespace

TEST_CASE("a saved history is loaded as it was") {
  const TemporaryDirectory directory;
#ifdef _WIN32
  const std::string path = directory / GENERATE("run.csv", "a 'b' $(c) ü 学.csv");
#else
  const std::string path = directory / GENERATE("run.csv", "a \"b\" 'c' $(d) \\ ü\n.csv");
#endif
  const History history = histories::recorded({});
  history.save(path);
  const History read = History::load(path);
  CHECK(read.lr == history.lr);
  CHECK(read.loss == history.loss);
  CHECK(read.raw_loss == history.raw_loss);
  CHECK(read.stop_reason == history.stop_reason);
  CHECK(entries(directory.path()) == 1);
}

TEST_CASE("a file that is missing, or no file, cannot be loaded") {
  const TemporaryDirectory directory;
  CHECK_THROWS_WITH(History::load(directory / "none.csv"), contains("none.csv: No such file"));
  CHECK_THROWS_AS(History::load(directory.name()), lrfinder::InvalidHistory);
}

TEST_CASE("a malformed file is refused with its path") {
  const TemporaryDirectory directory;
  std::ofstream(directory / "bad.csv") << "lr,loss\n1,x\n";
  CHECK_THROWS_WITH(History::load(directory / "bad.csv"), contains("bad.csv:2: value 2"));
}

TEST_CASE("saving where nothing can be written says why") {
  const TemporaryDirectory directory;
  const History history = histories::recorded({});
  CHECK_THROWS_WITH(history.save(directory / "none/run.csv"),
                    contains("No such file or directory"));
  CHECK_THROWS_AS(history.save(directory.name()), lrfinder::Error);
}

TEST_CASE("a history that could not be loaded again is not saved") {
  const TemporaryDirectory directory;
  History history({1, 2}, {2, 1});
  history.lr[1] = -1;
  CHECK_THROWS_WITH(history.save(directory / "run.csv"), contains("lr is -1"));
  CHECK(entries(directory.path()) == 0);
}

TEST_CASE("a name as long as names can be is no obstacle") {
  const TemporaryDirectory directory;
  const std::string path = directory / (std::string(251, 'x') + ".csv");
  History({1, 2}, {2, 1}).save(path);
  CHECK(History::load(path).size() == 2);
}

#ifndef _WIN32
namespace {

/// Lets this process write no file longer than `bytes`, as a full disk would.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_action_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_limit_);
    const ::rlimit limit{bytes, old_limit_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_limit_);
    std::signal(SIGXFSZ, old_action_);
  }

 private:
  ::rlimit old_limit_{};
  void (*old_action_)(int);
};

}  // namespace

TEST_CASE("saving to what is no file says why") {
  const TemporaryDirectory directory;
  const History history = histories::recorded({});
  CHECK_THROWS_WITH(history.save(directory.name()), contains("Is a directory"));
  CHECK_THROWS_WITH(history.save("/dev/full"), contains("No space left on device"));
}

TEST_CASE("a disk that fills up leaves the file that was there before, and nothing else") {
  const TemporaryDirectory directory;
  const std::string path = directory / "run.csv";
  History({1, 2}, {2, 1}).save(path);
  {
    const FileSizeLimit limit(1000);
    CHECK_THROWS_WITH(histories::recorded({}).save(path), contains("File too large"));
  }
  CHECK(History::load(path).size() == 2);
  CHECK(entries(directory.path()) == 1);
}

TEST_CASE("saving through a link keeps the link") {
  const TemporaryDirectory directory;
  std::ofstream(directory / "real.csv") << "old";
  std::filesystem::create_symlink("real.csv", directory / "link.csv");
  History({1, 2}, {2, 1}).save(directory / "link.csv");
  CHECK(std::filesystem::is_symlink(directory / "link.csv"));
  CHECK(History::load(directory / "real.csv").size() == 2);
}

TEST_CASE("saving keeps the permissions of the file it replaces") {
  const TemporaryDirectory directory;
  const std::string path = directory / "run.csv";
  std::ofstream(path) << "old";
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  histories::recorded({}).save(path);
  CHECK(std::filesystem::status(path).permissions() == std::filesystem::perms::owner_all);
}
#endif
