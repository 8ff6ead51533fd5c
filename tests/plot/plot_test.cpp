#include <catch2.hpp>
#include <cmath>
#include <fake_gnuplot.hpp>
#include <filesystem>
#include <fstream>
#include <histories.hpp>
#include <hostile.hpp>
#include <iterator>
#include <limits>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <temporary_directory.hpp>

#include <lrfinder/plot/plot.hpp>
#include <lrfinder/suggest/recipes.hpp>

using lrfinder::History;
using lrfinder::NamedCurve;
using lrfinder::plot;
using lrfinder::PlotError;
using lrfinder::PlotOptions;

namespace {

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::set<std::string> names_in(const std::filesystem::path& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.insert(utf8(entry.path().filename()));
  }
  return names;
}

/// Makes a directory the working directory for as long as it lives.
class WorkingDirectory {
 public:
  explicit WorkingDirectory(const std::filesystem::path& directory) {
    std::filesystem::current_path(directory);
  }
  ~WorkingDirectory() { std::filesystem::current_path(old_); }

 private:
  std::filesystem::path old_ = std::filesystem::current_path();
};

}  // namespace

TEST_CASE("the ending of the file says what is drawn", "[gnuplot]") {
  const auto [ending, begin] =
      GENERATE(table<std::string, std::string>({{"svg", "<?xml"},
                                                {"png", "\x89PNG"},
                                                {"PNG", "\x89PNG"},
                                                {"pdf", "%PDF-"},
                                                {"html", "<!DOCTYPE html>"},
                                                {"txt", "   "},
                                                {"gp", "# Draw with"}}));
  const TemporaryDirectory directory;
  plot(histories::recorded({}), directory / ("lr." + ending));
  CHECK(contents(directory / ("lr." + ending)).substr(0, begin.size()) == begin);
  CHECK(names_in(directory.path()).size() == 1);
}

TEST_CASE("a file with an ending that is not known is refused") {
  const std::string path = GENERATE("lr.gif", "lr", "", "dir.svg/lr", ".");
  CHECK_THROWS_WITH(plot(histories::recorded({}), path),
                    contains("must end in .svg or .png or .pdf or .html or .txt or .gp"));
}

TEST_CASE("nothing a user names runs as a command", "[gnuplot]") {
  const TemporaryDirectory directory;
  const WorkingDirectory working(directory.path());
  History history = histories::recorded({});
  const std::string ending = GENERATE("svg", "png", "pdf", "html", "txt", "gp");
  for (const std::string& text : hostile_texts()) {
    CAPTURE(text);
    history.metrics.clear();
    history.metrics[text] = history.loss;
    PlotOptions options;
    options.title(text).metric(text).mark({0.01, 50, 1, text, text});
    std::string name = text + "." + ending;
    for (char& letter : name) {
      if (letter == '/' || letter == '\0') letter = '_';
    }
    plot({{text, history}, {text + "2", history}}, name, options);
    CHECK(names_in(".") == std::set<std::string>{name});
    std::filesystem::remove(name);
  }
}

TEST_CASE("text is drawn as it is", "[gnuplot]") {
  const TemporaryDirectory directory;
  const std::string path = directory / "lr.svg";
  const std::string text = "`x` {/:a}_2 @b \\n 'c' ü";
  History history = histories::recorded({});
  history.metrics[text] = history.loss;
  const lrfinder::Suggestion mark{0.01, 50, 1, text, text};
  plot({{text, history}, {"", history}}, path, PlotOptions().title(text).metric(text).mark(mark));
  const std::string svg = contents(path);
  std::size_t count = 0;
  for (auto at = svg.find(text); at != std::string::npos; at = svg.find(text, at + 1)) ++count;
  // Title and metric; the curve and the recipe, twice each; the caveat for each curve, once with
  // the name of the curve.
  CHECK(count == 9);
}

TEST_CASE("the path of a picture may have blanks and letters of any script") {
  const FakeGnuplot gnuplot("echo");
  const TemporaryDirectory directory;
  const std::string path = directory / "ü 学.svg";
  plot(histories::recorded({}), path);
  CHECK_THAT(lrfinder::detail::read_file(path), contains("set terminal svg"));
}

TEST_CASE("messages show no control characters of a path or a name") {
  const History history = histories::recorded({});
  const std::string name("a\0\x1b[31m", 7);
  CHECK_THROWS_WITH(plot(history, "lr." + name), contains("a\\x00\\x1b[31m"));
  CHECK_THROWS_WITH(plot(history, name + "/lr.gp"), contains("a\\x00\\x1b[31m"));
  CHECK_THROWS_WITH(plot({{name, History()}}, "lr.gp"), contains("a\\x00\\x1b[31m"));
  CHECK_THROWS_WITH(plot(history, "lr.gp", PlotOptions().metric(name)),
                    contains("a\\x00\\x1b[31m"));
}

TEST_CASE("a picture that cannot be written leaves what was there") {
  const FakeGnuplot gnuplot("echo");
  const TemporaryDirectory directory;
  const History history = histories::recorded({});
  CHECK_THROWS_WITH(plot(history, directory / "none/lr.svg"), contains("No such file"));
  std::ofstream(directory / "lr.svg") << "old";
  CHECK_THROWS_AS(plot(History(), directory / "lr.svg"), PlotError);
  CHECK(contents(directory / "lr.svg") == "old");
}

TEST_CASE("any curve can be drawn", "[gnuplot]") {
  const double infinity = std::numeric_limits<double>::infinity();
  const History history = GENERATE_COPY(
      History({0.1}, {1}), History({0.1}, {std::nan("")}), History({0.1, 0.1}, {1, 2}),
      History({0, 0.1, 0.2}, {3, 2, 1}), History({0, 0}, {1, 1}), History({1, 2}, {infinity, 1}),
      History({1, 2, 3}, {1, 1e300, -1e300}), History({1, 2, 3}, {0, 0, 0}),
      History({3, 2, 1}, {1, 2, 3}), History({5e-324, 1e308}, {5e-324, 1e308}),
      History({1, 2, 3, 4}, {-1, -2, -3, 5}), History({1, 2}, {-1.7e308, 1.7e308}),
      History({1, 1.0000001}, {1e15, 1e15 + 1}));
  const bool logarithmic = GENERATE(false, true);
  const std::string ending = GENERATE("svg", "txt");
  const TemporaryDirectory directory;
  CHECK_NOTHROW(plot(history, directory / ("lr." + ending), PlotOptions().log_loss(logarithmic)));
}

TEST_CASE("a mark that has no place on the axes is in the legend", "[gnuplot]") {
  const auto [loss, logarithmic] =
      GENERATE(table<double, bool>({{std::nan(""), false}, {-1, true}}));
  std::ostringstream out;
  plot(History({0.1, 0.2, 0.3}, {2, 1, loss}), out,
       PlotOptions().log_loss(logarithmic).mark({0.3, 2, loss, "mine", ""}));
  CHECK_THAT(out.str(), contains("mine: 0.3"));
}

TEST_CASE("an interval without an end can be drawn", "[gnuplot]") {
  lrfinder::Suggestion open{0.02, 50, 1, "mine", ""};
  open.high = std::numeric_limits<double>::infinity();
  open.trials = {{0.02, 50, 1, false, {}}};
  const TemporaryDirectory directory;
  CHECK_NOTHROW(plot(histories::recorded({}), directory / "lr.svg", PlotOptions().mark(open)));
}

TEST_CASE("several curves fit into one picture", "[gnuplot]") {
  const TemporaryDirectory directory;
  std::vector<NamedCurve> curves;
  for (int i = 0; i < 12; ++i) {
    curves.push_back(
        {"a model with a rather long name, number " + std::to_string(i), histories::recorded({})});
  }
  CHECK_NOTHROW(plot(curves, directory / "lr.png"));
  const History h0 = histories::recorded({});
  CHECK_NOTHROW(plot({{"wd 0", h0}, {"wd 1e-4", h0}}, directory / "lr.png"));
}

TEST_CASE("the legend has room of its own, whatever it says", "[gnuplot]") {
  namespace suggest = lrfinder::suggest;
  const TemporaryDirectory directory;
  const std::string path = directory / "lr.html";
  const auto [width, height] = GENERATE(table<int, int>({{800, 600}, {320, 240}, {1600, 500}}));
  plot(histories::recorded({}), path,
       PlotOptions()
           .size(width, height)
           .show_lr(0.3)
           .recipes({suggest::steepest, suggest::steep, suggest::valley, suggest::minimum,
                     suggest::slide, suggest::gradient_argmin}));
  const std::string page = contents(path);
  const auto number_after = [&](const std::string& text, std::size_t from) {
    return std::stod(page.substr(page.find(text, from) + text.size()));
  };
  const double panels_top = number_after("top: ", page.find("const area"));
  for (const char* entry : {"smoothed loss", "gradient_argmin: ", "minimum: ", "lr 0.3"}) {
    CAPTURE(entry);
    const std::size_t at = page.find(">" + std::string(entry));
    REQUIRE(at != std::string::npos);
    CHECK(number_after(",", page.rfind("translate(", at)) < panels_top);
  }
}

namespace {

/// The history of a search, whose picture has a long legend and a remark.
History searched(double lr = 0.021) {
  histories::Shape shape;
  shape.noise = 0;
  History history = histories::recorded(shape);
  history.found = histories::found(lr, 0.9 * lr, 1.1 * lr,
                                   {{0.01, 50, 1.2, false, {}},
                                    {0.1, 50, 0.9, false, {}},
                                    {0.05, 180, 0.1, false, {}},
                                    {0.1, 180, 0.15, false, {}}});
  history.found->steps = 10000;
  return history;
}

struct Text {
  double x, y;
  std::string anchor, text;
};

/// The texts of an svg of gnuplot, without those that stand upright.
std::vector<Text> texts_of(const std::string& svg) {
  static const std::regex pattern(
      R"re(translate\(([\d.]+),([\d.]+)\)" [^>]*text-anchor="(\w+)"[^>]*>\s*<text>(?:<tspan[^>]*>)?([^<]*))re");
  std::vector<Text> texts;
  for (auto at = std::sregex_iterator(svg.begin(), svg.end(), pattern);
       at != std::sregex_iterator(); ++at) {
    texts.push_back({std::stod((*at)[1]), std::stod((*at)[2]), (*at)[3], (*at)[4]});
  }
  return texts;
}

/// The upper and lower ends of the panels of an svg of gnuplot, which begin at the left axis.
std::set<std::pair<double, double>> panels_of(const std::string& svg) {
  static const std::regex pattern(R"(d='M(\d\d\d?)\.\d+,([\d.]+) L\1\.\d+,([\d.]+) L[\d.]+,\3 )");
  std::set<std::pair<double, double>> panels;
  for (auto at = std::sregex_iterator(svg.begin(), svg.end(), pattern);
       at != std::sregex_iterator(); ++at) {
    if (std::stod((*at)[1]) < 200) panels.insert({std::stod((*at)[2]), std::stod((*at)[3])});
  }
  return panels;
}

}  // namespace

TEST_CASE("the legend takes the room that was left for it", "[gnuplot]") {
  const TemporaryDirectory directory;
  const std::string path = directory / "lr.svg";
  namespace suggest = lrfinder::suggest;
  PlotOptions options;
  if (GENERATE(true, false)) {
    options.recipes({suggest::steepest, suggest::valley, suggest::minimum, suggest::slide,
                     suggest::gradient_argmin});
  }
  const int width = GENERATE(800, 1000, 1300);
  plot(searched(), path, options.size(width, 600));
  const std::string svg = contents(path);
  const auto panels = panels_of(svg);
  REQUIRE(panels.size() == 2);
  const auto [top, middle] = *panels.begin();
  const double upper = middle - top;
  const double lower = panels.rbegin()->second - panels.rbegin()->first;
  CHECK(upper / lower == Approx(1.6).margin(0.05));
  int entries = 0;
  for (const Text& text : texts_of(svg)) {
    if (text.anchor != "start" || text.y > top) continue;
    ++entries;
    CHECK(text.y < top - 8);
    CHECK(text.x + 7.5 * static_cast<double>(text.text.size()) < width);
  }
  CHECK(entries >= 6);
}

TEST_CASE("the names of the axes do not stand on the numbers", "[gnuplot]") {
  const TemporaryDirectory directory;
  const std::string path = directory / "lr.svg";
  const double unit = GENERATE(1, 1e-9, 1e12);
  histories::Shape shape;
  shape.start_loss *= unit;
  shape.descent = GENERATE(1.9, 0) * unit;
  shape.noise = 0.001 * unit;
  shape.diverges_at = 1e9;
  plot(histories::recorded(shape), path);
  int numbers = 0;
  for (const Text& text : texts_of(contents(path))) {
    if (text.anchor != "end") continue;
    ++numbers;
    CAPTURE(text.text);
    const auto length = static_cast<double>(lrfinder::detail::characters(text.text).size());
    CHECK(text.x - 8 * length > 22);
  }
  CHECK(numbers >= 4);
}

TEST_CASE("a terminal shows the trials and the rate wherever they lie", "[gnuplot]") {
  const double lr = GENERATE(0.021, 3e-9, 50.0);
  const int columns = GENERATE(60, 100, 200);
  std::ostringstream out;
  plot(searched(lr), out, PlotOptions().text_size(columns, 30));
  const std::string inside = out.str().substr(0, out.str().find("learning rate"));
  CAPTURE(out.str());
  for (const char sign : {'S', 'L', 'A', '*'}) {
    CAPTURE(sign);
    CHECK(inside.find(sign) != std::string::npos);
  }
  CHECK_THAT(out.str(), contains("find: ") && contains("carried to 10000"));
}

TEST_CASE("a page needs nothing but itself, and shows values", "[gnuplot]") {
  const TemporaryDirectory directory;
  const std::string path = directory / "lr.html";
  plot(histories::recorded({}), path, PlotOptions().title("</script><b>&\"title\""));
  const std::string page = contents(path);
  CHECK_THAT(page,
             contains("<title>&#x3c;/script&#x3e;&#x3c;b&#x3e;&#x26;&#x22;title&#x22;</title>"));
  CHECK_THAT(page, contains("[\"lr\", [1e-07,"));
  for (const char* attribute : {"src=", "href='http", "href=\"http", "@import", "url(http"}) {
    CHECK(page.find(attribute) == std::string::npos);
  }
}

TEST_CASE("a terminal gets text", "[gnuplot]") {
  std::ostringstream out;
  plot(histories::recorded({}), out,
       PlotOptions().text_size(100, 20).mark({0.01, 50, 1, "steepest", ""}));
  CHECK_THAT(out.str(), contains("steepest: 0.01") && contains("learning rate"));
  std::istringstream lines(out.str());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    CHECK(lrfinder::detail::characters(line).size() <= 100);
  }
  CHECK(count <= 21);
}

TEST_CASE("a script left for another machine draws the picture there", "[gnuplot]") {
  const TemporaryDirectory directory;
  plot(histories::recorded({}), directory / "lr.gp");
  CHECK_THAT(lrfinder::detail::run_gnuplot(contents(directory / "lr.gp")), contains("<svg"));
}
