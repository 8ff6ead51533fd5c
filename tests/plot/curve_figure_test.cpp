#include <algorithm>
#include <catch2.hpp>
#include <cmath>
#include <histories.hpp>
#include <hostile.hpp>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include <lrfinder/plot/curve_figure.hpp>
#include <lrfinder/plot/plot_format.hpp>

using lrfinder::History;
using lrfinder::NamedCurve;
using lrfinder::PlotOptions;
using lrfinder::Suggestion;

namespace {

std::string script_of(const std::vector<NamedCurve>& curves, const PlotOptions& options = {},
                      const std::string& ending = "svg") {
  const auto& terminal = lrfinder::detail::plot_format_of("lr." + ending).terminal;
  const auto figure = lrfinder::detail::CurveFigure(curves, options, terminal.is_text).make();
  return lrfinder::detail::FigureScript(figure, terminal, options).write();
}

std::string script(const History& history, const PlotOptions& options = {}) {
  return script_of({{"", history}}, options);
}

/// Everything outside of gnuplot's single quotes, and of the constants for what they cannot hold.
std::string without_strings(std::string script_text) {
  for (const std::string constant : {R"('."\047".')", R"('."\n".')"}) {
    for (auto at = script_text.find(constant); at != std::string::npos;
         at = script_text.find(constant)) {
      script_text.replace(at, constant.size(), "x");
    }
  }
  std::string rest;
  bool quoted = false;
  for (const char letter : script_text) {
    if (letter == '\'') quoted = !quoted;
    if (!quoted) rest += letter;
  }
  return rest;
}

/// A text of the same shape in which nothing is special.
std::string harmless(std::string text) {
  std::string plain;
  for (const auto& character : lrfinder::detail::characters(text)) {
    plain += character == "\n" || character == " " ? character : "x";
  }
  return plain;
}

/// The ends of the first axis of this name: "x" or "y".
std::pair<double, double> range(const std::string& script_text, const std::string& axis) {
  const std::string command = "set " + axis + "range [";
  std::istringstream numbers(script_text.substr(script_text.find(command) + command.size()));
  double low = 0;
  double high = 0;
  char colon = 0;
  numbers >> low >> colon >> high;
  return {low, high};
}

std::size_t data_rows(const std::string& script_text) {
  const std::size_t begin = script_text.find("$curve0 << EOD\n") + 15;
  return static_cast<std::size_t>(std::count(
      script_text.begin() + static_cast<std::ptrdiff_t>(begin),
      script_text.begin() + static_cast<std::ptrdiff_t>(script_text.find("EOD\n", begin)), '\n'));
}

}  // namespace

TEST_CASE("no text of a user's becomes part of a command") {
  const auto drawn = [](const std::string& text, const std::string& ending) {
    History history = histories::recorded({});
    history.metrics[text] = history.loss;
    PlotOptions options;
    options.title(text)
        .metric(text)
        .mark({0.01, 50, 1, text, text})
        .mark({0.02, 52, 1, text, text});
    return without_strings(script_of({{text, history}}, options, ending)) +
           without_strings(script_of({{text, history}, {text, history}}, options, ending));
  };
  const std::string ending = GENERATE("svg", "txt");
  for (const std::string& text : hostile_texts()) {
    CAPTURE(text);
    CHECK(drawn(text, ending) == drawn(harmless(text), ending));
  }
}

TEST_CASE("a script names no file and runs no command") {
  const std::string text = script(histories::recorded({}));
  for (const char* word : {"set output", "load", "call", "system", "!", "shell", "pipe"}) {
    CHECK(text.find(word) == std::string::npos);
  }
}

TEST_CASE("an explosion does not flatten the descent") {
  histories::Shape shape;
  shape.diverge_th = 1e6;
  const History history = histories::recorded(shape);
  CHECK(*std::max_element(history.loss.begin(), history.loss.end()) > 100);
  const auto [low, high] = range(script(history), "y");
  CHECK(low < 0.5);
  CHECK(low > 0);
  CHECK(high > 2.4);
  CHECK(high < 3.5);
}

TEST_CASE("a flat curve looks flat") {
  histories::Shape shape;
  shape.descent = 0;
  shape.diverges_at = 1e9;
  shape.noise = 0.001;
  const auto [low, high] = range(script(histories::recorded(shape)), "y");
  CHECK(high - low > 0.2);
  CHECK((low + high) / 2 == Approx(2.3).epsilon(0.01));
}

TEST_CASE("a curve that only climbs is shown climbing") {
  const auto [low, high] = range(script(History({1, 2, 3, 4}, {1, 1.5, 4, 1e9})), "y");
  CHECK(low <= 1);
  CHECK(high >= 1.5);
  CHECK(high < 10);
  CHECK(range(script(History({1, 2}, {1, 1e9})), "y").second >= 1e9);
}

TEST_CASE("the changes of a curve that only climbs are shown as far as its losses") {
  const std::string text = script(History({1, 2, 3, 4, 5}, {1, 1.2, 1.4, 1.7, 1e9}));
  const auto [low, high] = range(text.substr(text.find("set tmargin")), "y");
  CHECK(low <= 0);
  CHECK(high > 0.2);
  CHECK(high < 1e6);
}

TEST_CASE("the change of a loss is drawn where the loss is") {
  const std::string text = script(History({1, 2, 3, 4, 5}, {2, 1, 1.5, 900, 1}));
  const double high = range(text, "y").second;
  CHECK_THAT(text, contains("using 1:($2>" + lrfinder::detail::to_text(high) + "?NaN:$4)"));
}

TEST_CASE("learning rates are on a logarithmic axis unless the schedule is linear") {
  histories::Shape shape;
  shape.start_lr = 1e-3;
  CHECK(contains("set logscale x").match(script(histories::recorded(shape))));
  shape.schedule = lrfinder::RangeSchedule::linear;
  const History linear = histories::recorded(shape);
  CHECK_FALSE(contains("\nset logscale x").match(script(linear)));
}

TEST_CASE("iterations at both ends can be left out") {
  const History history = histories::recorded({});
  CHECK(data_rows(script(history)) == history.size());
  CHECK(data_rows(script(history, PlotOptions().skip_start(10).skip_end(5))) ==
        history.size() - 15);
}

TEST_CASE("where a curve diverged is shaded") {
  const History diverged = histories::recorded({});
  REQUIRE(diverged.stop_reason == lrfinder::StopReason::diverged);
  CHECK_THAT(script(diverged), contains("set object rectangle from " +
                                        lrfinder::detail::to_text(diverged.lr.back()) + ","));
  histories::Shape shape;
  shape.end_lr = 0.1;
  CHECK_FALSE(contains("set object").match(script(histories::recorded(shape))));
  CHECK_THAT(script(History({1, 2, 3}, {2, 1, 9})), contains("set object rectangle from 3,"));
  CHECK_THAT(script(History({1, 2, 3, 4}, {2, std::nan(""), 1, 9})),
             contains("set object rectangle from 4,"));
}

TEST_CASE("a recipe without an answer leaves its reason and the rest of the picture") {
  PlotOptions options;
  options.recipes({[](const History&) -> Suggestion {
                     throw lrfinder::NoSuggestion("steepest: the loss never descends");
                   },
                   [](const History&) {
                     return Suggestion{0.01, 50, 1, "valley", "take care"};
                   }});
  const std::string text = script(histories::recorded({}), options);
  CHECK_THAT(text, contains("'steepest: the loss never descends'"));
  CHECK_THAT(text, contains("'valley: 0.01'"));
  CHECK_THAT(text, contains("'take care'"));
}

TEST_CASE("an exception of a recipe's own passes through") {
  PlotOptions options;
  options.recipes({[](const History&) -> Suggestion { throw std::domain_error("mine"); }});
  CHECK_THROWS_AS(script(histories::recorded({}), options), std::domain_error);
}

TEST_CASE("several curves stand in the legend with what is suggested on them") {
  const History history = histories::recorded({});
  const std::string text = script_of({{"wd 0", history}, {"wd 1e-4", history}},
                                     PlotOptions().mark({0.012, 50, 1, "steepest", ""}));
  CHECK_THAT(text, contains("title 'wd 0: lr 0.012'"));
  CHECK_THAT(text, contains("title 'wd 1e-4: lr 0.012'"));
  CHECK_THAT(text, contains("title 'steepest'"));
}

TEST_CASE("whatever is drawn at a rate lies within the axis") {
  History history = histories::recorded({});
  history.found =
      histories::found(3e-9, 1e-9, 5e-9, {{4e-9, 50, 1, false, {}}, {30, 50, 1, false, {}}});
  const auto [low, high] = range(script(history, PlotOptions().show_lr(100)), "x");
  CHECK(low < 3e-9);
  CHECK(high > 100);
  const std::string without = script(history, PlotOptions().show_lr(0));
  CHECK_FALSE(contains("title 'lr 0'").match(without));
}

TEST_CASE("a rate beside the best trial is explained") {
  History history = histories::recorded({});
  history.found = histories::found(0.02, 0.01, 0.04,
                                   {{0.1, 50, 0.1, false, {}},
                                    {0.05, 180, 0.2, false, {}},
                                    {0.1, 180, 0.3, false, {}},
                                    {0.2, 180, 0.1, true, {}}});
  history.found->steps = 10000;
  const std::string reason =
      "find: the trials of 180 updates are best at lr 0.05; the rate is carried to 10000 steps";
  CHECK_THAT(script(history), contains(reason));
  history.found->steps = 180;
  CHECK_FALSE(contains("carried").match(script(history)));
}

TEST_CASE("a mark lies on the line between two iterations") {
  const std::string text = script(History({0.01, 0.1, 1}, {4, 2, 1}),
                                  PlotOptions().mark({std::sqrt(1e-3), 0, 1, "mine", ""}));
  CHECK_THAT(text, contains("using (" + lrfinder::detail::to_text(std::sqrt(1e-3)) + "):(3)"));
}

TEST_CASE("the line has points if they are asked for") {
  const History history = histories::recorded({});
  CHECK_THAT(script(history, PlotOptions().markers(true)), contains("with linespoints pt 7"));
  CHECK_FALSE(contains("linespoints").match(script(history)));
}

TEST_CASE("numbers that are not finite are gaps") {
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK_THAT(script(History({1, 2, 3}, {std::nan(""), infinity, 1})),
             contains("1 NaN NaN NaN NaN\n2 NaN NaN NaN"));
}

TEST_CASE("options and curves that cannot be drawn are refused with what to do") {
  const History history = histories::recorded({});
  CHECK_THROWS_WITH(script(History()), contains("run a range test first"));
  CHECK_THROWS_AS(script(history, PlotOptions().skip_start(history.size())), lrfinder::PlotError);
  const std::size_t most = std::numeric_limits<std::size_t>::max();
  CHECK_THROWS_AS(script(history, PlotOptions().skip_start(most).skip_end(5)), lrfinder::PlotError);
  CHECK_THROWS_AS(script(history, PlotOptions().skip_start(5).skip_end(most)), lrfinder::PlotError);
  CHECK_THROWS_AS(script_of({}), lrfinder::PlotError);
  const double no_rate = GENERATE(std::nan(""), std::numeric_limits<double>::infinity(), -1.0);
  CHECK_THROWS_WITH(script(history, PlotOptions().show_lr(no_rate)), contains("show_lr"));
  CHECK_THROWS_WITH(script(history, PlotOptions().size(100, 100)), contains("size 100 by 100"));
  CHECK_THROWS_WITH(script(history, PlotOptions().text_size(39, 9)), contains("text_size 39 by 9"));
  CHECK_THROWS_WITH(script(history, PlotOptions().metric("accuracy")),
                    contains("has no metric accuracy; it has none"));
  History cut = history;
  cut.raw_loss.pop_back();
  CHECK_THROWS_AS(script(cut), lrfinder::InvalidHistory);
}

TEST_CASE("losses that were not smoothed are drawn once") {
  const std::string text = script(History({1, 2, 3}, {3, 2, 1}));
  CHECK_THAT(text, contains("title 'loss'"));
  CHECK_FALSE(contains("raw loss'").match(text));
}

TEST_CASE("a curve recorded far beyond divergence keeps its axis") {
  histories::Shape shape;
  shape.diverge_th = 1e12;
  History history = histories::recorded(shape);
  history.settings.diverge_th = 5;
  const auto [low, high] = range(script(history), "x");
  CHECK(high == Approx(10));
  CHECK(low == Approx(1e-7));
}

TEST_CASE("the trials that followed a range test are drawn, and their interval is shaded") {
  History history = histories::recorded({});
  history.found =
      histories::found(0.02, 0.01, 0.04, {{0.01, 50, 1, false, {}}, {0.1, 180, 0.1, false, {}}});
  const std::string text = script(history);
  // The rate, and the loss for the point and for the line.
  CHECK_THAT(text, contains("$short_trials << EOD\n0.01 1 1\nEOD"));
  CHECK_THAT(text, contains("$long_trials << EOD\n0.1 0.1 0.1\nEOD"));
  CHECK_THAT(text, contains("'shorter trials'") && contains("'trials of 180 updates'"));
  CHECK_THAT(text, contains("'interval 0.01 to 0.04'"));
  CHECK(text.find("rectangle from 0.01,graph 0 to 0.04,graph 1") != std::string::npos);
  CHECK(text.find("'find: 0.02'") != std::string::npos);
  CHECK(range(text, "y").first < 0.1);
}

TEST_CASE("the interval is shaded as far as the axis goes") {
  const History history = histories::recorded({});
  Suggestion open;
  open.lr = 0.02;
  open.index = 50;
  open.loss = 1;
  open.recipe = "mine";
  open.high = std::numeric_limits<double>::infinity();
  open.trials = {{0.02, 50, 1, false, {}}};
  const std::string text = script(history, PlotOptions().mark(open));
  const auto [low, high] = range(text, "x");
  using lrfinder::detail::to_text;
  CHECK_THAT(text, contains("rectangle from " + to_text(low) + ",graph 0 to " + to_text(high) +
                            ",graph 1 behind fs solid border"));
  open.low = 20;
  CHECK_FALSE(contains("rectangle from 20").match(script(history, PlotOptions().mark(open))));
}

TEST_CASE("of a trial only finite numbers are drawn") {
  History history = histories::recorded({});
  const double infinity = std::numeric_limits<double>::infinity();
  history.found = histories::found(0.02, 0.01, 0.04, {{0.01, 50, -infinity, false, {}}});
  CHECK_THAT(script(history), contains("$long_trials << EOD\n0.01 NaN NaN\nEOD"));
}

TEST_CASE("a trial that diverged stands at the top of the picture") {
  History history = histories::recorded({});
  history.found = histories::found(0.02, 0.01, 0.04,
                                   {{1, 7, std::numeric_limits<double>::infinity(), true, {}}});
  const std::string text = script(history);
  const auto data = text.find("$long_trials << EOD\n1 ");
  REQUIRE(data != std::string::npos);
  CHECK(std::stod(text.substr(data + 22)) == Approx(range(text, "y").second));
}

TEST_CASE("pictures of several curves have no trials") {
  History history = histories::recorded({});
  history.found = histories::found(0.02, 0.01, 0.04, {{0.01, 50, 1, false, {}}});
  const std::string text = script_of({{"a", history}, {"b", history}});
  CHECK(text.find("trials") == std::string::npos);
}
