#include <catch2.hpp>
#include <cstring>
#include <histories.hpp>
#include <limits>
#include <string>
#include <utility>
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

}  // namespace

TEST_CASE("every number of a history survives CSV bit for bit") {
  History history({1e-7, 0.1, 1.0 / 3.0, 5e-324}, {not_a_number, infinity, -infinity, -0.0});
  history.raw_loss = {2.0 / 3.0, 1.7976931348623157e308, 2.2250738585072014e-308, 1e22};
  history.group_lr = {history.lr, {0, 1, 2, 3}};
  history.grad_norm = {1, infinity, not_a_number, 1e-300};
  history.metrics["accuracy"] = {0.1, 0.2, not_a_number, 0.3};
  const History read = from_csv(to_csv(history));
  CHECK(same_bits(read.lr, history.lr));
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
  history.settings.schedule = lrfinder::Schedule::linear;
  history.settings.smooth_f = 0.05;
  history.settings.diverge_th = infinity;
  history.settings.accumulation_steps = 4;
  history.settings.gradient_age = 9;
  history.settings.validation = true;
  const History read = from_csv(to_csv(history));
  CHECK(read.stop_reason == history.stop_reason);
  CHECK(read.wall_seconds == history.wall_seconds);
  CHECK(read.settings.start_lr == history.settings.start_lr);
  CHECK(read.settings.end_lr == history.settings.end_lr);
  CHECK(read.settings.num_iter == 100);
  CHECK(read.settings.schedule == lrfinder::Schedule::linear);
  CHECK(read.settings.smooth_f == 0.05);
  CHECK(read.settings.diverge_th == infinity);
  CHECK(read.settings.accumulation_steps == 4);
  CHECK(read.settings.gradient_age == 9);
  CHECK(read.settings.validation);
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
  history.settings.schedule = lrfinder::Schedule::linear;
  CHECK(to_csv(history) ==
        "# lrfinder range test\n"
        "# iterations: 2\n"
        "# stop_reason: completed\n"
        "# wall_seconds: 0\n"
        "# start_lr: \n"
        "# end_lr: \n"
        "# num_iter: 0\n"
        "# schedule: linear\n"
        "# smooth_f: 0\n"
        "# diverge_th: 0\n"
        "# accumulation_steps: 1\n"
        "# gradient_age: 0\n"
        "# validation: false\n"
        "iteration,lr,loss,raw_loss\n"
        "0,0.1,2.5,2.5\n"
        "1,1,nan,nan\n");
}

TEST_CASE("columns of different lengths are not written") {
  History history({1, 2}, {2, 1});
  history.grad_norm = {1};
  CHECK_THROWS_WITH(to_csv(history),
                    "History: column grad_norm has 1 values but lr has 2; give one for each "
                    "iteration");
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
      {"# num_iter: -1\nlr,loss\n", "num_iter is \"-1\"; it must be a whole number"},
      {"# num_iter: 1.5\nlr,loss\n", "num_iter is \"1.5\""},
      {"# start_lr: 1 x\nlr,loss\n", "start_lr is \"1 x\"; it must be learning rates"},
      {"# schedule: cosine\nlr,loss\n", "it must be exponential or linear"},
      {"# validation: yes\nlr,loss\n", "it must be true or false"},
      {"# stop_reason: \x01\nlr,loss\n", "stop_reason is \"?\"; it must be completed, diverged"},
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
