#include <catch2.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <histories.hpp>
#include <iterator>
#include <limits>
#include <map>
#include <string>
#include <temporary_directory.hpp>
#ifndef _WIN32
#include <file_size_limit.hpp>
#endif
#include <vector>

#include <lrfinder/history/csv.hpp>

using lrfinder::from_csv;
using lrfinder::History;
using lrfinder::InvalidHistory;
using lrfinder::to_csv;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

std::string message_of(const std::string& csv) {
  try {
    from_csv(csv, "run.csv");
  } catch (const InvalidHistory& fault) {
    return fault.what();
  }
  return "nothing thrown";
}

std::size_t entries(const std::filesystem::path& directory) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(directory), {}));
}

}  // namespace

TEST_CASE("every number of a history survives CSV bit for bit") {
  History history({1e-7, 0.1, 1.0 / 3.0, 5e-324}, {not_a_number, infinity, -infinity, -0.0});
  history.raw_loss = {2.0 / 3.0, 1.7976931348623157e308, 2.2250738585072014e-308, 1e22};
  history.untrained_loss = {1.0 / 7.0, infinity, not_a_number, 3e-310};
  history.group_lr = {history.lr, {0, 1, 2, 3}};
  history.grad_norm = {1, infinity, not_a_number, 1e-300};
  history.metrics["accuracy"] = {0.1, 0.2, not_a_number, 0.3};
  const History read = from_csv(to_csv(history));
  CHECK(same_bits(read.lr, history.lr));
  CHECK(same_bits(read.untrained_loss, history.untrained_loss));
  CHECK(same_bits(read.loss, history.loss));
  CHECK(same_bits(read.raw_loss, history.raw_loss));
  REQUIRE(read.group_lr.size() == 2);
  CHECK(same_bits(read.group_lr[0], history.group_lr[0]));
  CHECK(same_bits(read.group_lr[1], history.group_lr[1]));
  CHECK(same_bits(read.grad_norm, history.grad_norm));
  REQUIRE(read.metrics.size() == 1);
  CHECK(same_bits(read.metrics.at("accuracy"), history.metrics.at("accuracy")));
}

TEST_CASE("settings, stop reason and wall time survive CSV") {
  History history({1e-3, 1e-2}, {2, 1});
  history.stop_reason =
      GENERATE(lrfinder::StopReason::completed, lrfinder::StopReason::diverged,
               lrfinder::StopReason::non_finite_loss, lrfinder::StopReason::stopped_by_caller,
               lrfinder::StopReason::failed);
  history.wall_seconds = 12.34567890123;
  history.settings.start_lr = {1e-7, 1e-8};
  history.settings.end_lr = {10, 1};
  history.settings.num_iter = 100;
  history.settings.schedule = lrfinder::RangeSchedule::linear;
  history.settings.smooth_f = 0.05;
  history.settings.diverge_th = 5;
  history.settings.accumulation_steps = 4;
  history.settings.gradient_age = 9;
  history.settings.validation = true;
  const History read = from_csv(to_csv(history));
  CHECK(read.stop_reason == history.stop_reason);
  CHECK(read.wall_seconds == history.wall_seconds);
  CHECK(read.settings.start_lr == history.settings.start_lr);
  CHECK(read.settings.end_lr == history.settings.end_lr);
  CHECK(read.settings.num_iter == 100);
  CHECK(read.settings.schedule == lrfinder::RangeSchedule::linear);
  CHECK(read.settings.smooth_f == 0.05);
  CHECK(read.settings.diverge_th == 5);
  CHECK(read.settings.accumulation_steps == 4);
  CHECK(read.settings.gradient_age == 9);
  CHECK(read.settings.validation);
}

// Time quadratic in the columns would not end before the time limit of the tests in CTest.
TEST_CASE("two hundred thousand columns of one table are read") {
  constexpr std::size_t count = 200000;
  History history({0.1}, {2.5});
  SECTION("metrics") {
    for (std::size_t i = 0; i < count; ++i) history.metrics["m" + std::to_string(i)] = {1.5};
  }
  SECTION("parameter groups") { history.group_lr.assign(count, {0.1}); }
  const History read = from_csv(to_csv(history));
  CHECK(read.metrics == history.metrics);
  CHECK(read.group_lr == history.group_lr);
}

TEST_CASE("an empty history survives CSV") { CHECK(from_csv(to_csv(History())).empty()); }

TEST_CASE("a metric may have any name") {
  const std::string name = GENERATE("top-5, %", "a\nb\r\"c\"#\td", "", "Genauigkeit für Ü", "%41");
  History history({1, 2}, {2, 1});
  history.metrics[name] = {3, 4};
  const History read = from_csv(to_csv(history));
  REQUIRE(read.metrics.count(name) == 1);
  CHECK(read.metrics.at(name) == std::vector<double>{3, 4});
}

TEST_CASE("a history is a table with comment lines above it") {
  History history({0.1, 1}, {2.5, not_a_number});
  history.settings.schedule = lrfinder::RangeSchedule::linear;
  CHECK(to_csv(history) ==
        "# lrfinder range test\n"
        "# iterations: 2\n"
        "# stop_reason: completed\n"
        "# wall_seconds: 0\n"
        "# num_iter: 0\n"
        "# schedule: linear\n"
        "# smooth_f: 0\n"
        "# diverge_th: 0\n"
        "# accumulation_steps: 1\n"
        "# gradient_age: 0\n"
        "# validation: false\n"
        "# skipped_batches: 0\n"
        "iteration,lr,loss,raw_loss\n"
        "0,0.1,2.5,2.5\n"
        "1,1,nan,nan\n");
}

TEST_CASE("what a search has found survives CSV bit for bit") {
  History history({0.1, 0.3, 1}, {2.5, 2, 3});
  history.found = histories::found(1.0 / 3, 0.25, 0.5,
                                   {{0.1, 50, 2.0 / 3, false, {{"top-5: a = %", 0.1}, {"", 1}}},
                                    {10, 7, infinity, true, {{"accuracy", not_a_number}}, true},
                                    {0.2, 8, -0.0, false, {}, true}});
  history.found->loss = 2.0 / 7;
  history.found->updates = 1234567890123;
  const History read = from_csv(to_csv(history));
  REQUIRE(read.found.has_value());
  CHECK(to_csv(read) == to_csv(history));
  CHECK(read.found->lr == 1.0 / 3);
  CHECK(read.found->low == 0.25);
  CHECK(read.found->high == 0.5);
  CHECK(read.found->loss == 2.0 / 7);
  CHECK(read.found->updates == 1234567890123);
  CHECK(read.found->recipe == "find");
  CHECK(read.found->caveat.empty());
  CHECK(read.found->index == 1);  // the iteration at 0.3
  REQUIRE(read.found->trials.size() == 3);
  CHECK(read.found->trials[0].lr == 0.1);
  CHECK(read.found->trials[0].updates == 50);
  CHECK(read.found->trials[0].loss == 2.0 / 3);
  CHECK_FALSE(read.found->trials[0].diverged);
  CHECK_FALSE(read.found->trials[0].unsteady);
  CHECK(read.found->trials[0].metrics ==
        std::map<std::string, double>{{"", 1}, {"top-5: a = %", 0.1}});
  CHECK(read.found->trials[1].loss == infinity);
  CHECK(read.found->trials[1].diverged);
  CHECK(read.found->trials[1].unsteady);
  CHECK(std::isnan(read.found->trials[1].metrics.at("accuracy")));
  CHECK(std::signbit(read.found->trials[2].loss));
  CHECK_FALSE(read.found->trials[2].diverged);
  CHECK(read.found->trials[2].unsteady);
  CHECK_FALSE(from_csv(to_csv(History({0.1}, {2}))).found);
}

TEST_CASE("a caveat and the name of a recipe may hold any byte") {
  std::string every_byte;
  for (int byte = 0; byte < 256; ++byte) every_byte += static_cast<char>(byte);
  const std::string text =
      GENERATE_COPY(values<std::string>({every_byte, "\r\n", " # a: b, \"c\" %41 ", "%", "\xff"}));
  History history({0.1, 1}, {2.5, 2});
  history.found = histories::found(0.1, 0, 0, {});
  history.found->caveat = text;
  history.found->recipe = text;
  const History read = from_csv(to_csv(history));
  CHECK(read.found->caveat == text);
  CHECK(read.found->recipe == text);
}

TEST_CASE("what a search has found is saved as comment lines") {
  History history({0.1, 1}, {2.5, 2});
  history.found =
      histories::found(0.02, 0.01, 0.04,
                       {{0.01, 50, 1.5, false, {{"accuracy", 0.5}}}, {0.1, 7, infinity, true, {}}});
  history.found->loss = 1.5;
  history.found->updates = 157;
  history.found->steps = 10000;
  history.found->caveat = "raise num_iter:\nthe loss is noisy";
  CHECK_THAT(to_csv(history), contains("# found_lr: 0.02\n"
                                       "# found_low: 0.01\n"
                                       "# found_high: 0.04\n"
                                       "# found_loss: 1.5\n"
                                       "# found_updates: 157\n"
                                       "# found_steps: 10000\n"
                                       "# found_recipe: find\n"
                                       "# found_caveat: raise num_iter:%0Athe loss is noisy\n"
                                       "# found_trials: 0.01:50:1.5:accuracy=0.5 "
                                       "0.1:7:inf:diverged\n"
                                       "iteration,"));
  CHECK(from_csv(to_csv(history)).found->steps == 10000);
}

TEST_CASE("a malformed result of a search is refused with its line") {
  const auto [setting, value] = GENERATE(table<std::string, std::string>({
      {"found_lr", "x"},
      {"found_lr", "-1"},
      {"found_high", "inf"},
      {"found_loss", ""},
      {"found_updates", "-5"},
      {"found_steps", "-5"},
      {"found_caveat", "100 %"},
      {"found_trials", "0.1:5"},
      {"found_trials", "-0.1:5:2"},
      {"found_trials", "0.1:-5:2"},
      {"found_trials", "0.1:5:x"},
      {"found_trials", "0.1:5:2:exploded"},
      {"found_trials", "0.1:5:2:a=1:a=2"},
      {"found_trials", "0.1:5:2:%4=1"},
      {"found_trials", "0.1:5:2  0.1:5:2"},
  }));
  const std::string csv = "# " + setting + ": " + value + "\nlr,loss\n0.1,2\n";
  CHECK_THAT(message_of(csv), contains("run.csv:1: " + setting + " is \"" + value));
}

TEST_CASE("columns of different lengths are not written") {
  History history({1, 2}, {2, 1});
  history.grad_norm = {1};
  CHECK_THROWS_WITH(to_csv(history),
                    "History: column grad_norm has 1 values but lr has 2; give one for each "
                    "iteration");
}

TEST_CASE("a byte-order mark before the table is ignored") {
  const std::string csv = GENERATE("lr,loss\n0.1,2.5\n", "# iterations: 1\nlr,loss\n0.1,2.5\n");
  const History read = from_csv("\xEF\xBB\xBF" + csv);
  CHECK(read.lr == std::vector<double>{0.1});
  CHECK(read.loss == std::vector<double>{2.5});
}

TEST_CASE("messages about CSV escape control characters and bytes that are no UTF-8") {
  using namespace std::string_literals;
  CHECK(message_of("lr,loss,\x1b[31m\0red\xff\n"s) ==
        "run.csv:1: column \"\\x1b[31m\\x00red\\xff\" is not known; the columns are iteration, lr, "
        "loss, raw_loss, untrained_loss, group_lr_0, group_lr_1 and so on, grad_norm, and "
        "metric_NAME for anything else");
  CHECK_THROWS_WITH(from_csv("", "a\x1b[2J\0b"s),
                    contains("a\\x1b[2J\\x00b:0: there is no header"));
  History history({1, 2}, {2, 1});
  history.metrics["\xc2\x9b\xff"] = {1};
  CHECK_THROWS_WITH(to_csv(history), contains("column metric_\\xc2\\x9b\\xff has 1 values"));
}

TEST_CASE("a table from elsewhere needs the columns lr and loss only") {
  const std::string csv =
      GENERATE("loss,lr\n2.5,0.1\n1.5,0.2\n", "loss,lr\r\n2.5,0.1\r\n1.5,0.2",
               "# from somewhere: else\n\nloss,lr\n\n2.5,0.1\n# more\n1.5,0.2\n");
  const History read = from_csv(csv);
  CHECK(read.lr == std::vector<double>{0.1, 0.2});
  CHECK(read.loss == std::vector<double>{2.5, 1.5});
  CHECK(read.raw_loss == read.loss);
}

TEST_CASE("a malformed table is refused with its name, the line and the reason") {
  const auto [csv, message] = GENERATE(table<std::string, std::string>({
      {"", "run.csv:0: there is no header"},
      {"# only a comment\n", "run.csv:1: there is no header"},
      {"lr\n1\n", "run.csv:1: there is no column loss"},
      {"loss,iteration\n", "run.csv:1: there is no column lr"},
      {"lr,loss,lr\n", "run.csv:1: column \"lr\" appears twice"},
      {"lr,loss,metric_a,metric_%61\n", "run.csv:1: metric \"a\" appears twice"},
      {"lr,loss,group_lr_00\n", "column \"group_lr_00\" is not known"},
      {"lr,loss,metric_%0A,metric_%0A\n", "run.csv:1: column \"metric_%0A\" appears twice"},
      {"lr,loss,epoch\n", "run.csv:1: column \"epoch\" is not known; the columns are"},
      {"lr,loss,metric_%4\n", "column \"metric_%4\" is not known"},
      {"lr,loss,metric_%zz\n", "column \"metric_%zz\" is not known"},
      {"lr,loss,group_lr_1\n", "column \"group_lr_1\" is not known"},
      {"lr,loss,group_lr_99999999999999999999\n", "is not known"},
      {"lr,loss\n1\n", "run.csv:2: there are 1 values for 2 columns"},
      {"lr,loss\n1,2\n1,2,3\n", "run.csv:3: there are 3 values for 2 columns"},
      {"lr,loss\n1,two\n", "run.csv:2: value 2, \"two\", is not a number"},
      {"lr,loss\n1,\n", "run.csv:2: value 2, \"\", is not a number"},
      {"lr,loss\n1, 2\n", "run.csv:2: value 2, \" 2\", is not a number"},
      {"lr,loss\n1,1e999\n", "run.csv:2: value 2, \"1e999\", is not a number"},
      {"lr,loss\n1,0,5\n", "run.csv:2: there are 3 values for 2 columns"},
      {"lr,loss\nnan,2\n", "run.csv:2: lr is nan; it must be finite and not negative"},
      {"lr,loss\ninf,2\n", "run.csv:2: lr is inf"},
      {"lr,loss\n-1,2\n", "run.csv:2: lr is -1"},
      {"lr,loss,group_lr_0\n1,2,-3\n", "run.csv:2: group_lr_0 is -3"},
      {"iteration,lr,loss\n0,1,2\n2,1,2\n", "run.csv:3: iteration is 2; here it must be 1"},
      {"# iterations: 2\nlr,loss\n1,2\n", "run.csv:3: there are 1 iterations but 2 were saved"},
      {"# iterations: 1\nlr,loss\n1,2", "run.csv:3: the last line is cut short"},
      {"# iterations: x\nlr,loss\n", "run.csv:1: iterations is \"x\"; it must be a number"},
      {"# smooth_f: 1\nlr,loss\n", "run.csv:1: smooth_f is \"1\"; it must be a number from 0"},
      {"# smooth_f: nan\nlr,loss\n", "smooth_f is \"nan\""},
      {"# diverge_th: 0.5\nlr,loss\n", "diverge_th is \"0.5\"; it must be a number, at least 1"},
      {"# num_iter: -1\nlr,loss\n", "num_iter is \"-1\"; it must be a whole number"},
      {"# num_iter: 1.5\nlr,loss\n", "num_iter is \"1.5\""},
      {"# start_lr: 1 x\nlr,loss\n", "start_lr is \"1 x\"; it must be learning rates"},
      {"# schedule: cosine\nlr,loss\n", "it must be exponential or linear"},
      {"# validation: yes\nlr,loss\n", "it must be true or false"},
      {"# stop_reason: \x01\nlr,loss\n", "stop_reason is \"\\x01\"; it must be completed"},
      {"# schedule: linear\n# schedule: linear\nlr,loss\n",
       "run.csv:2: setting schedule appears twice"},
  }));
  INFO(csv);
  CHECK_THAT(message_of(csv), contains(message));
}

TEST_CASE("a history cut off anywhere is refused") {
  histories::Shape shape;
  shape.num_iter = 5;
  const std::string csv = to_csv(histories::recorded(shape));
  for (std::size_t length = csv.find("iteration,lr"); length < csv.size(); ++length) {
    CAPTURE(length);
    CHECK_THROWS_AS(from_csv(csv.substr(0, length)), InvalidHistory);
  }
}

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

TEST_CASE("messages about files escape control characters in the path") {
  const TemporaryDirectory directory;
  const std::string path = directory / "\x1b[2J/run.csv";
  CHECK_THROWS_WITH(History::load(path), contains("\\x1b[2J/run.csv: "));
  CHECK_THROWS_WITH(History({1, 2}, {2, 1}).save(path), contains("\\x1b[2J/run.csv: "));
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
