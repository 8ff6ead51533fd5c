#include <catch2.hpp>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include <lrfinder/history/smoothing.hpp>

using lrfinder::Smoothing;
using lrfinder::smoothing_of;
using lrfinder::detail::without_smoothing;

namespace {

/// Losses as a tool saves them.
std::vector<double> smoothed(const std::vector<double>& losses, const Smoothing& smoothing) {
  std::vector<double> result;
  double mean = smoothing.bias_correction > 0 ? 0 : losses.front();
  for (const double loss : losses) {
    mean += smoothing.factor * (loss - mean);
    const auto age = static_cast<double>(result.size()) + smoothing.bias_correction;
    result.push_back(
        smoothing.bias_correction > 0 ? mean / (1 - std::pow(1 - smoothing.factor, age)) : mean);
  }
  return result;
}

}  // namespace

TEST_CASE("smoothing is undone, with a bias correction or without") {
  const std::vector<double> losses{2.3, 2.5, 2.1, 1.7, 0.4, 0.9, 12};
  const Smoothing smoothing = GENERATE(Smoothing{0.05, 0}, Smoothing{0.02, 1}, Smoothing{0.02, 2},
                                       Smoothing{0.9, 0}, Smoothing{1, 0}, Smoothing{1, 1});
  const auto raw = without_smoothing(smoothed(losses, smoothing), smoothing);
  REQUIRE(raw.size() == losses.size());
  for (std::size_t i = 0; i < raw.size(); ++i) CHECK(raw[i] == Approx(losses[i]).epsilon(1e-12));
}

TEST_CASE("losses that were not smoothed stay as they are, whatever they are") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  CHECK(without_smoothing({2, infinity, 1}, {}) == std::vector<double>{2, infinity, 1});
  CHECK(without_smoothing({}, {0.05, 0}).empty());
}

TEST_CASE("tools are known by their names, and a factor by its value") {
  CHECK(smoothing_of("pytorch-lr-finder").factor == 0.05);
  CHECK(smoothing_of("ignite").bias_correction == 0);
  CHECK(smoothing_of("fastai").factor == 0.02);
  CHECK(smoothing_of("fastai").bias_correction == 1);
  CHECK(smoothing_of("lightning").bias_correction == 2);
  CHECK(smoothing_of("0.1").factor == 0.1);
  CHECK(smoothing_of("1").factor == 1);
}

TEST_CASE("a smoothing that is none is refused with what is allowed") {
  const std::string text = GENERATE("keras", "0", "1.5", "nan", "-0.1", "");
  CHECK_THROWS_WITH(smoothing_of(text),
                    contains("smoothing is \"" + text +
                             "\"; it must be the weight of the newest "
                             "loss, above 0 and at most 1, or the name of a tool: "
                             "pytorch-lr-finder, ignite, fastai or lightning"));
}
