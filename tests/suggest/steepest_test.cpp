#include <algorithm>
#include <catch2.hpp>
#include <cmath>
#include <curves.hpp>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <lrfinder/suggest/numeric.hpp>
#include <lrfinder/suggest/steepest.hpp>

using namespace lrfinder;
using detail::quantile;
using suggest::steepest;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

double share_within(const std::vector<double>& regrets, double limit) {
  const auto good = [limit](double regret) { return regret <= limit; };
  return static_cast<double>(std::count_if(regrets.begin(), regrets.end(), good)) /
         static_cast<double>(regrets.size());
}

History mapped(History history, const std::function<double(double)>& map) {
  for (double& loss : history.raw_loss) loss = map(loss);
  return history;
}

}  // namespace

TEST_CASE("steepest is safe to train with on 102 tasks, past divergence and stopped there") {
  const bool stopped = GENERATE(false, true);
  std::vector<double> all, images, trusted;
  for (const auto& task : curve_tasks()) {
    const auto suggestion = steepest(stopped ? stopped_at_divergence(task.history) : task.history);
    const double regret = task.regret(suggestion);
    all.push_back(regret);
    if (task.image) images.push_back(regret);
    if (suggestion.caveat.empty()) trusted.push_back(regret);
  }
  CHECK(quantile(all, 0.5) <= 0.013);
  CHECK(quantile(all, 0.9) <= 0.08);
  CHECK(share_within(all, 0.05) >= 0.85);
  CHECK(quantile(images, 0.9) <= 0.04);
  CHECK(quantile(images, 1) <= 0.10);
  CHECK(trusted.size() >= 83);
  CHECK(quantile(trusted, 1) <= 0.20);
}

TEST_CASE(
    "steepest finds the descent whatever the schedule, the range and the number of iterations") {
  MadeUpCurve curve;
  curve.num_iter = GENERATE(30, 100, 1000);
  SECTION("twelve decades") { curve.start_lr = 1e-10, curve.end_lr = 100; }
  SECTION("four decades") { curve.start_lr = 1e-4, curve.end_lr = 1; }
  SECTION("a linear schedule") {
    curve.schedule = RangeSchedule::linear, curve.start_lr = 1e-3, curve.end_lr = 1;
  }
  const auto suggestion = steepest(curve.history());
  CHECK(suggestion.lr > 5e-3);  // the steepest descent is at 1e-2,
  CHECK(suggestion.lr < 1e-1);  // the lowest loss at about 0.15
  CHECK(suggestion.recipe == "steepest");
}

TEST_CASE("steepest does not change when the loss is scaled or shifted") {
  const auto curve = MadeUpCurve{}.history();
  const double lr = steepest(curve);
  CHECK(steepest(mapped(curve, [](double l) { return 1000 * l; })) == Approx(lr));
  CHECK(steepest(mapped(curve, [](double l) { return l - 50; })) == Approx(lr));
  CHECK(steepest(mapped(curve, [](double l) { return 1e-3 * l - 7; })) == Approx(lr));
}

TEST_CASE(
    "where an optimizer averages gradients, the suggestion is the rate of some iterations "
    "before") {
  MadeUpCurve curve;
  curve.num_iter = GENERATE(100, 300, 1000);
  auto history = curve.history();
  const double lr = steepest(history);
  const double step = 8.0 / (curve.num_iter - 1);
  history.settings.gradient_age = 9;
  CHECK(std::log10(lr / steepest(history)) == Approx(3 * step));
  history.settings.gradient_age = 1e6;  // too old for the test to tell
  CHECK(std::log10(lr / steepest(history)) == Approx(1));
  history.settings.gradient_age = GENERATE(-1.0, std::nan(""));  // no age
  CHECK(steepest(history) == lr);
}

TEST_CASE("a caveat does not depend on whether the optimizer averages gradients") {
  MadeUpCurve curve;
  curve.noise = GENERATE(0.02, 1.0);
  CAPTURE(curve.noise);
  auto history = curve.history();
  const std::string caveat = steepest(history).caveat;
  history.settings.gradient_age = 9;
  CHECK(steepest(history).caveat == caveat);
}

TEST_CASE("steepest reads the raw loss, and names the nearest iteration") {
  auto curve = MadeUpCurve{}.history();
  curve.loss.assign(curve.size(), 0);
  const auto suggestion = steepest(curve);
  CHECK(suggestion.loss == curve.raw_loss[suggestion.index]);
  CHECK(std::fabs(std::log10(curve.lr[suggestion.index] / suggestion.lr)) < 0.05);
}

TEST_CASE("what comes after the divergence does not move the suggestion") {
  auto curve = MadeUpCurve{}.history();
  const double lr = steepest(curve);
  SECTION("one NaN at the end") { curve.raw_loss.back() = std::nan(""); }
  SECTION("infinity") { curve.raw_loss.back() = infinity; }
  SECTION("a huge loss") { curve.raw_loss.back() = 1e30; }
  CHECK(steepest(curve) == Approx(lr));
}

TEST_CASE("a first loss off the plateau does not move the suggestion by much") {
  auto curve = MadeUpCurve{}.history();
  const double lr = steepest(curve);
  curve.raw_loss.front() = GENERATE(1.8, 3.0);
  CHECK(std::fabs(std::log10(steepest(curve) / lr)) < 0.2);
}

TEST_CASE("a loss on the plateau below all others does not hide the descent") {
  auto curve = MadeUpCurve{}.history();
  const double lr = steepest(curve);
  const double lowest = *std::min_element(curve.raw_loss.begin(), curve.raw_loss.end());
  curve.raw_loss[GENERATE(0U, 1U, 2U, 5U, 20U)] = lowest - 0.001;
  CHECK(std::fabs(std::log10(steepest(curve) / lr)) < 0.05);
}

TEST_CASE("steepest has a caveat that says what is wrong") {
  MadeUpCurve curve;
  SECTION("the range ends in the descent") {
    curve.end_lr = 2e-2;
    CHECK_THAT(steepest(curve.history()).caveat, contains("still falling at end_lr"));
  }
  SECTION("the loss is noisy") {
    curve.noise = 1;
    CHECK_THAT(steepest(curve.history()).caveat, contains("within the noise"));
  }
  SECTION("the loss falls little and noisily") {
    const auto shallow = mapped(curve.history(), [](double l) { return 6 + l; });
    CHECK(steepest(shallow).caveat.empty());
    curve.noise = 0.3;
    const auto noisy = mapped(curve.history(), [](double l) { return 6 + l; });
    CHECK_THAT(steepest(noisy).caveat, contains("the loss falls by only"));
    CHECK(steepest(curve.history()).caveat.empty());
  }
  SECTION("the loss falls little and noisily, in one drop or gradually") {
    curve.num_iter = 1000;
    curve.noise = 0.2;
    curve.end_lr = 1e-4;  // nothing but the plateau and its noise
    const auto noise = curve.history().raw_loss;
    const auto drop = [&noise](double decades) {
      std::vector<double> lr, loss;
      for (const double l : noise) {
        lr.push_back(scheduled_lr(RangeSchedule::exponential, 1e-7, 10,
                                  static_cast<std::int64_t>(lr.size()), 1000));
        const double share = (std::log10(lr.back()) + 1 + decades) / decades;  // up to lr = 0.1
        loss.push_back(20 + l - 2 * std::clamp(share, 0.0, 1.0) + (lr.back() > 0.2 ? 5 : 0));
      }
      return History(lr, loss);
    };
    CHECK(steepest(drop(0.1)).caveat.empty());
    CHECK_THAT(steepest(drop(3)).caveat, contains("the loss falls by only"));
  }
  SECTION("the loss falls little, to a sharp edge") {
    curve.noise = 0.001;
    const auto edge = [](History history, double plateau) {
      for (std::size_t i = 0; i < history.size(); ++i) {
        if (history.lr[i] > 0.1) history.raw_loss[i] += 5;
        history.raw_loss[i] += plateau;
      }
      return history;
    };
    CHECK_THAT(steepest(edge(curve.history(), 6)).caveat, contains("sharp edge"));
    CHECK(steepest(edge(curve.history(), 0)).caveat.empty());
  }
  SECTION("a linear schedule passed over the descent") {
    curve.schedule = RangeSchedule::linear;
    curve.start_lr = 1e-6;
    curve.end_lr = 5;
    CHECK_THAT(steepest(curve.history()).caveat, contains("exponential schedule"));
  }
  SECTION("nothing is wrong") { CHECK(steepest(curve.history()).caveat.empty()); }
}

TEST_CASE("a test that ended by diverging does not ask for a higher end_lr") {
  MadeUpCurve curve;
  curve.end_lr = 5e-2;
  auto history = curve.history();
  history.stop_reason = GENERATE(StopReason::diverged, StopReason::non_finite_loss);
  CHECK(steepest(history).caveat.empty());
}

TEST_CASE("steepest refuses a curve without a suggestion and says what to change") {
  const auto [lr, loss, remedy] =
      GENERATE(table<std::vector<double>, std::vector<double>, std::string>({
          {{}, {}, "raise num_iter"},
          {{1e-3, 1e-2}, {2, 1}, "raise num_iter"},
          {{1e-3, 1e-2, 1e-1}, {2, std::nan(""), infinity}, "lower start_lr"},
          {{1e-4, 1e-3, 1e-2, 1e-1}, {1, 1, 1, 1}, "raise end_lr"},
          {{1e-4, 1e-3, 1e-2, 1e-1}, {1, 2, 4, 8}, "lower start_lr"},
          {{1, 1, 1}, {3, 2, 1}, "raise end_lr"},
          {{1, 1.2, 1.5, 9}, {3, 1, 3, 9}, "lower start_lr"},
      }));
  CHECK_THROWS_AS(steepest(History(lr, loss)), NoSuggestion);
  CHECK_THROWS_WITH(steepest(History(lr, loss)), contains(remedy));
}

TEST_CASE("steepest stays near the descent where the loss is level after it") {
  std::vector<double> lr, loss;
  for (int i = 0; i < 100; ++i) {
    lr.push_back(scheduled_lr(RangeSchedule::exponential, 1e-7, 10, i, 100));
    loss.push_back(1 / (1 + std::exp(5 * std::log10(lr.back() / 1e-4))));
  }
  const auto suggestion = steepest(History(lr, loss));
  CHECK(suggestion.lr > 1e-4);
  CHECK(suggestion.lr < 1e-3);
  CHECK_THAT(suggestion.caveat, contains("did not rise again"));
}

TEST_CASE("a level curve is refused however its losses round") {
  const double level = GENERATE(2.3, -0.1, 1e6, 0.0);
  auto curve = MadeUpCurve{}.history();
  curve.raw_loss.assign(curve.size(), level);
  CHECK_THROWS_WITH(steepest(curve), contains("raise end_lr"));
}

TEST_CASE("noise alone gives no suggestion that can be trusted") {
  MadeUpCurve curve;
  curve.end_lr = 1e-4;  // before the descent
  curve.num_iter = GENERATE(100, 1000);
  int refused = 0;
  for (curve.seed = 1; curve.seed <= 40; ++curve.seed) {
    try {
      const auto suggestion = steepest(curve.history());
      CHECK_FALSE(suggestion.caveat.empty());
    } catch (const NoSuggestion&) {
      ++refused;
    }
  }
  CHECK(refused >= 20);
}

TEST_CASE("the bounds reach from the first of the descent to nearly its last") {
  const auto history = MadeUpCurve{}.history();  // descends around 1e-2, diverges from 0.3 on
  const auto bounds = suggest::bounds(history);
  CHECK(bounds.base_lr > 1e-3);
  CHECK(bounds.base_lr < 1e-2);
  CHECK(bounds.max_lr > 1e-2);
  CHECK(bounds.max_lr < 0.2);
}

TEST_CASE("the suggestion lies within the bounds on nearly every task") {
  int within = 0;
  for (const auto& task : curve_tasks()) {
    const auto bounds = suggest::bounds(task.history);
    CHECK(bounds.base_lr < bounds.max_lr);
    const double lr = suggest::steepest(task.history);
    within += bounds.base_lr <= lr && lr <= bounds.max_lr ? 1 : 0;
  }
  CHECK(within >= 92);
}

TEST_CASE("a curve that never descends has no bounds") {
  const History rising({1e-4, 1e-3, 1e-2, 1e-1}, {1, 2, 3, 4});
  CHECK_THROWS_AS(suggest::bounds(rising), NoSuggestion);
  CHECK_THROWS_WITH(suggest::bounds(rising), contains("bounds: the loss never falls"));
}
