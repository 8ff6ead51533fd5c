#include <catch2.hpp>
#include <cmath>
#include <cstddef>
#include <csv.hpp>
#include <fstream>
#include <string>
#include <temporary_directory.hpp>
#include <vector>

#include <lrfinder/history/csv.hpp>
#include <lrfinder/history/foreign.hpp>

using lrfinder::ForeignFormat;
using lrfinder::ForeignTable;
using lrfinder::History;
using lrfinder::InvalidHistory;
using lrfinder::smoothing_of;

namespace {

/// What History::load() makes of a file with this text.
History loaded(const std::string& text, const ForeignFormat& format = {}) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "run.csv", std::ios::binary) << text;
  return History::load(directory / "run.csv", format);
}

std::string refusal_of(const std::string& text, const ForeignFormat& format = {}) {
  try {
    loaded(text, format);
  } catch (const InvalidHistory& fault) {
    const std::string message = fault.what();
    return message.substr(message.find("run.csv"));
  }
  return "nothing thrown";
}

ForeignFormat named(const std::string& lr, const std::string& loss) {
  ForeignFormat format;
  format.lr = lr;
  format.loss = loss;
  return format;
}

std::string sample(const std::string& name) { return LRFINDER_TEST_DATA "/foreign/" + name; }

/// Checks the losses that a tool measured before it smoothed them.
void check_measured(const std::string& tool, const History& history, double epsilon) {
  std::size_t i = 0;
  for (const auto& row : read_csv("foreign/measured.csv")) {
    if (row[0] != tool) continue;
    REQUIRE(i < history.size());
    CHECK(history.raw_loss[i++] == Approx(number(row[1])).epsilon(epsilon));
  }
  CHECK(i == history.size());
}

}  // namespace

TEST_CASE("the table of fastai is read, and its smoothing undone") {
  const History history = History::load(sample("fastai.csv"), {smoothing_of("fastai")});
  CHECK(history.loss[1] == 2.341085433959961);  // as in the file
  check_measured("fastai", history, 1e-4);      // which has single precision
  CHECK(History::load(sample("fastai.csv")).raw_loss == history.loss);
}

TEST_CASE("a chart of Weights & Biases is read") {
  const History history = History::load(sample("wandb.csv"));
  CHECK(history.lr.front() == 1e-7);
  check_measured("pytorch_lr_finder", history, 1e-15);
}

TEST_CASE("a scalar of TensorBoard is refused with the way to join two, and joined ones are read") {
  CHECK_THROWS_WITH(History::load(sample("tensorboard.csv")),
                    contains("tensorboard.csv:1: TensorBoard has saved one scalar. Save the rates "
                             "and the losses, and join them: pandas.read_csv("));
  const History history =
      History::load(sample("tensorboard_joined.csv"), named("Value_lr", "Value_loss"));
  check_measured("pytorch_lr_finder", history, 1e-15);
}

TEST_CASE("a table from elsewhere may have any separator, quotes and usual names") {
  const std::string text = GENERATE(
      "lr,loss\n0.1,2.5\n0.2,1.5\n", "learning_rate\ttrain_loss\n0.1\t2.5\n0.2\t1.5",
      "\xEF\xBB\xBFLearning Rate;Loss\r\n0,1;2,5\r\n0,2;1,5\r\n",
      "\"Step\",\"lrs\",\"losses\"\n\"0\",\"0.1\",\"2.5\"\n\"1\",\"0.2\",\"1.5\"\n",
      "\tlr\tloss\n0\t1e-1\t+2.5\n1\t2e-1\t+1.5\n",
      "# made elsewhere\n\nepoch | lr | train/loss\n# more\n0 | 0.1 | 2.5\n\n0 | 0.2 | 1.5\n",
      "\"a \"\"run\"\", 3 - LR\",\"a \"\"run\"\", 3 - loss\"\n0.1,2.5\n0.2,1.5\n",
      "iteration,lr,loss\n1,0.1,2.5\n2,0.2,1.5\n", "date,lr,loss\nMonday,0.1,2.5\n,0.2,1.5\n");
  INFO(text);
  const History history = loaded(text);
  CHECK(history.lr == std::vector<double>{0.1, 0.2});
  CHECK(history.loss == std::vector<double>{2.5, 1.5});
  CHECK(history.raw_loss == history.loss);
}

TEST_CASE("columns of other names are named by the caller") {
  const std::string text = "eta,objective,loss\n0.1,2.5,7\n0.2,1.5,8\n";
  CHECK(loaded(text, named("eta", "objective")).loss == std::vector<double>{2.5, 1.5});
  CHECK(loaded(text, named("eta", "")).loss == std::vector<double>{7, 8});
  CHECK(refusal_of(text) ==
        "run.csv:1: no column has a usual name of the learning rate; there is \"eta\", "
        "\"objective\", \"loss\"; name one with --lr NAME (ForeignFormat::lr)");
  CHECK(refusal_of(text, named("eta", "cost")) ==
        "run.csv:1: there is no column \"cost\"; there is \"eta\", \"objective\", \"loss\"");
}

TEST_CASE("of several columns that may be meant, one has to be named") {
  const std::string text = "lr,a - loss,b - loss\n0.1,2.5,7\n";
  CHECK_THAT(refusal_of(text), contains("run.csv:1: there are 2 columns of the loss among \"lr\", "
                                        "\"a - loss\", \"b - loss\"; keep one, or name it with "
                                        "--loss NAME"));
  CHECK(loaded(text, named("", "b - loss")).loss == std::vector<double>{7});
}

TEST_CASE("rows out of order are sorted before smoothing is undone") {
  const History history = loaded("lr,loss\n0.4,1.25\n0.1,2\n0.2,1.5\n", {{0.5, 0}});
  CHECK(history.lr == std::vector<double>{0.1, 0.2, 0.4});
  CHECK(history.loss == std::vector<double>{2, 1.5, 1.25});
  CHECK(history.raw_loss == std::vector<double>{2, 1, 1});
}

TEST_CASE("a rate far above all others is refused with its row") {
  CHECK(refusal_of("lr,loss\n1e-7,2\n5.2e8,1.7\n1e-6,1.9\n1e-5,1.8\n") ==
        "run.csv:3: the learning rate is 5.2e+08, 5.2e13 times the next lower one; correct the row "
        "or leave it out");
  CHECK(loaded("lr,loss\n1e-6,2\n1e-3,1.9\n1,1.8\n").size() == 3);  // a coarse test
  CHECK(loaded("lr,loss\n0,2\n0.5,1.9\n1,1.8\n").size() == 3);
  CHECK(loaded("lr,loss\n1e-9,2\n1,1.9\n").size() == 2);
}

TEST_CASE("rows of other values are passed over, and a loss that is missing is NaN") {
  const History history = loaded("lr,loss,val_loss\n0.1,2.5,\n,,2.6\n0.2,,\n");
  CHECK(history.lr == std::vector<double>{0.1, 0.2});
  CHECK(std::isnan(history.loss[1]));
}

TEST_CASE("a table from elsewhere that is malformed is refused with its line") {
  const auto [text, message] = GENERATE(table<std::string, std::string>({
      {"", "run.csv: there is no header"},
      {"# lr\n", "run.csv:1: there is no header"},
      {"lr\tloss\n0.1\n", "run.csv:2: there are 1 values for 2 columns"},
      {"lr;loss\n\n0.1;two\n", "run.csv:3: value 2, \"two\", is not a number; write it as"},
      {"lr,loss\n0.1,1.2.3\n", "run.csv:2: value 2, \"1.2.3\""},
      {"lr,loss\n0.1,\"2\n", "run.csv:2: a quote is not closed"},
      {"lr,loss\n-0.1,2\n", "run.csv:2: the learning rate is -0.1; it must be finite"},
      {"lr,loss\ninf,2\n", "run.csv:2: the learning rate is inf"},
      {",lr,loss\n0,0.1,2\n1,,3\n", "run.csv:3: there is a loss, but no learning rate"},
      {"0.1,2\n0.2,1\n", "run.csv:1: no column has a usual name of the learning rate"},
      {"lr\x1b[31m,loss\n", "there is \"lr\\x1b[31m\", \"loss\""},
      {"\n {\"lr\": [0.1, 0.1], \"loss\": [1, 1]}",
       "run.csv: this is JSON; the command lrfinder reads it, or save the table as CSV"},
      {"[1, 1]", "run.csv: this is JSON"},
  }));
  INFO(text);
  CHECK_THAT(refusal_of(text), contains(message));
}

TEST_CASE("JSON is read with the caller's help") {
  ForeignFormat format{smoothing_of("0.5")};
  format.json = [](const std::string& text) -> ForeignTable {
    if (text != "{\"lr\": 1}") throw InvalidHistory("not the JSON of this test");
    return {{"lr", "loss"}, {{"0.2", "0.1"}, {"1.5", "2"}}, {}};
  };
  CHECK(loaded("{\"lr\": 1}", format).raw_loss == std::vector<double>{2, 1});
  CHECK(refusal_of("{}", format) == "run.csv: not the JSON of this test");
  format.json = [](const std::string&) -> ForeignTable {
    return {{"lr", "loss"}, {{"0.2", "x"}, {"1.5", "2"}}, {}};
  };
  CHECK_THAT(refusal_of("{}", format), contains("run.csv: row 2: value 1, \"x\", is not a number"));
  format.json = [](const std::string&) -> ForeignTable {
    return {{"lr", "loss"}, {{"0.2"}, {"1.5", "2"}}, {}};
  };
  CHECK_THAT(refusal_of("{}", format), contains("there are 1 learning rates but 2 losses"));
}

TEST_CASE("a history of our own is read as it is, whatever is said of foreign ones") {
  History history({0.2, 0.1, 5e8}, {2, 1, 3});
  history.raw_loss = {4, 5, 6};
  history.metrics["accuracy"] = {0.1, 0.2, 0.3};
  const ForeignFormat format{smoothing_of("fastai"), "rate", "cost"};
  CHECK(lrfinder::to_csv(loaded(lrfinder::to_csv(history), format)) == lrfinder::to_csv(history));
  CHECK(loaded("lr,loss,metric_a\n0.1,2,3\n").metrics.at("a") == std::vector<double>{3});
  CHECK_THAT(refusal_of("lr,loss,grad_norm\n0.1,2\n"), contains("run.csv:2: there are 2 values"));
  CHECK(loaded("lr,loss,grad_norm,epoch\n0.1,2,3,4\n").grad_norm.empty());
}
