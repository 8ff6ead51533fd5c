#include <catch2.hpp>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <temporary_directory.hpp>

#include <lrfinder/curve.hpp>

using lrfinder::Decay;
using lrfinder::InvalidOption;
using lrfinder::PlotOptions;
using lrfinder::TrainingPlan;

namespace {

std::string picture_in(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("a plan is drawn into every kind of file", "[gnuplot]") {
  const TemporaryDirectory folder;
  const auto plan = GENERATE(TrainingPlan::one_cycle(1000),
                             TrainingPlan().steps(500).decay(Decay::cosine).warmup(50),
                             TrainingPlan::cyclical(400, 0.1, 50), TrainingPlan().steps(1));
  CAPTURE(to_string(plan));
  const auto [ending, begins] = GENERATE(table<const char*, const char*>({
      {"svg", "<?xml"},
      {"png", "\x89PNG"},
      {"pdf", "%PDF"},
      {"html", "<!DOCTYPE html>"},
      {"gp", "# "},
  }));
  const std::string path = folder / ("plan." + std::string(ending));
  plot(plan, path);
  CHECK(picture_in(path).rfind(begins, 0) == 0);
}

TEST_CASE("the picture of a plan has its words, its peak and its momentum", "[gnuplot]") {
  const TemporaryDirectory folder;
  const std::string path = folder / "plan.svg";
  plot(TrainingPlan::one_cycle(1000), path, {}, 0.25);
  const std::string with_peak = picture_in(path);
  CHECK_THAT(with_peak, contains("one cycle over 1000 steps, warm-up over 300"));
  CHECK_THAT(with_peak, contains("learning rate") && contains("0.25") && contains("momentum"));
  plot(TrainingPlan().steps(1000).decay(Decay::linear), path, PlotOptions().title("mine"));
  const std::string without = picture_in(path);
  CHECK_THAT(without, contains("mine") && contains("share of the peak"));
  CHECK(without.find("momentum") == std::string::npos);
}

TEST_CASE("a plan is drawn as text as large as it is asked to be", "[gnuplot]") {
  std::ostringstream out;
  plot(TrainingPlan().steps(100).decay(Decay::cosine), out, PlotOptions().text_size(60, 15));
  std::istringstream lines(out.str());
  std::size_t rows = 0;
  for (std::string line; std::getline(lines, line); ++rows) CHECK(line.size() <= 80);
  CHECK(rows >= 13);
  CHECK_THAT(out.str(), contains("cosine decay over 100 steps"));
}

TEST_CASE("the highest peak has an axis that ends") {
  const TemporaryDirectory folder;
  const std::string path = folder / "plan.gp";
  plot(TrainingPlan().steps(9), path, {}, std::numeric_limits<double>::max());
  CHECK_THAT(picture_in(path), contains("set yrange [") && !contains(":inf]"));
}

TEST_CASE("a plan that has no picture is refused, and no file is made") {
  const TemporaryDirectory folder;
  const std::string path = folder / "plan.svg";
  CHECK_THROWS_AS(plot(TrainingPlan(), path), InvalidOption);
  CHECK_THROWS_WITH(plot(TrainingPlan().steps(9), path, {}, -1.0), contains("the peak (-1)"));
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH(plot(TrainingPlan().steps(9), path, {}, infinity), contains("the peak (inf)"));
  CHECK_THROWS_AS(plot(TrainingPlan().steps(9), path, PlotOptions().size(1, 1)), InvalidOption);
  CHECK(picture_in(path).empty());
}
