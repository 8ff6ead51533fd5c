// The search for the best rate, with trials that are made up.

#include <algorithm>
#include <catch2.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include <lrfinder/race/rate_search.hpp>

using lrfinder::NoSuggestion;
using lrfinder::Suggestion;
using lrfinder::Trial;
using lrfinder::detail::RateSearch;
using lrfinder::detail::RateSearchSettings;

namespace {

constexpr double is_diverged = std::numeric_limits<double>::infinity();

RateSearchSettings settings() {
  RateSearchSettings result;
  result.around = 0.1;
  result.num_iter = 900;
  result.plan_steps = 3000;
  result.length_exponent = 0;
  result.untrained_loss = 2;
  result.diverge_th = 5;
  return result;
}

using Loss = std::function<double(double lr, std::int64_t num_iter)>;

Suggestion search(const RateSearchSettings& settings, const Loss& loss) {
  auto trials = [&](const std::vector<double>& rates, std::int64_t num_iter) {
    std::vector<Trial> results;
    for (const double lr : rates) {
      const double value = loss(lr, num_iter);
      results.push_back({lr, std::isfinite(value) ? num_iter : 1, value, false, {}});
    }
    return results;
  };
  return RateSearch(settings, trials)();
}

// A loss that falls with time and is lowest at `best`, on a parabola over log lr.
Loss valley(double best) {
  return [best](double lr, std::int64_t num_iter) {
    const double decades = std::log10(lr / best);
    return std::min(2.0, 3 / std::pow(static_cast<double>(num_iter), 0.25) + decades * decades);
  };
}

double decades(double a, double b) { return std::fabs(std::log10(a / b)); }

}  // namespace

TEST_CASE("a search finds the best rate between those that it tries") {
  const double best = GENERATE(0.003, 0.02, 0.07, 0.1, 0.37, 2.5);
  const Suggestion found = search(settings(), valley(best));
  INFO(best << ": " << found.lr);
  CHECK(decades(found.lr, best) < 0.02);
  CHECK(found.low < found.lr);
  CHECK(found.high > found.lr);
  CHECK(found.caveat.empty());
}

TEST_CASE("a search reports every trial and keeps to its updates") {
  for (const std::int64_t num_iter : {200, 900, 5000}) {
    auto given = settings();
    given.num_iter = num_iter;
    const Suggestion found = search(given, valley(0.5));
    std::int64_t updates = 0;
    for (const Trial& trial : found.trials) updates += trial.num_iter;
    CHECK(found.updates == updates);
    CHECK(updates <= num_iter);
  }
}

TEST_CASE("more updates make longer trials, at most as long as the training") {
  auto given = settings();
  const auto longest = [&](std::int64_t num_iter) {
    given.num_iter = num_iter;
    std::int64_t most = 0;
    for (const Trial& trial : search(given, valley(0.1)).trials) {
      most = std::max(most, trial.num_iter);
    }
    return most;
  };
  CHECK(longest(900) > 150);
  CHECK(longest(1800) > longest(900));
  CHECK(longest(1000000) == 3000);
}

TEST_CASE("the best rate is carried to the length of the training") {
  auto given = settings();
  const double short_of = search(given, valley(0.1)).lr;
  given.length_exponent = 0.2;
  const Suggestion found = search(given, valley(0.1));
  const double longer = 3000 / static_cast<double>(found.trials.back().num_iter);
  CHECK(decades(found.lr, short_of * std::pow(longer, -0.2)) < 0.02);
}

TEST_CASE("no rate is tried above where the range test diverged") {
  auto given = settings();
  given.highest_lr = 0.3;
  const Suggestion found = search(given, valley(0.6));
  for (const Trial& trial : found.trials) CHECK(trial.lr <= 0.3 * (1 + 1e-12));
  CHECK(found.lr <= 0.3);
}

TEST_CASE("trials that diverge are marked, and the rate stays below them") {
  const Loss edge = [](double lr, std::int64_t num_iter) {
    return lr > 0.5 ? is_diverged : valley(0.8)(lr, num_iter);
  };
  const Suggestion found = search(settings(), edge);
  CHECK(found.lr <= 0.5);
  CHECK(found.lr > 0.1);
  CHECK(std::any_of(found.trials.begin(), found.trials.end(),
                    [](const Trial& trial) { return trial.diverged; }));
}

TEST_CASE("past a divergence, where the loss is level, the search goes down") {
  auto given = settings();
  given.around = 30;
  const Loss level_above = [](double lr, std::int64_t num_iter) {
    return lr > 1 ? 2.0 + 0.01 * std::sin(100 * lr) : valley(0.05)(lr, num_iter);
  };
  CHECK(decades(search(given, level_above).lr, 0.05) < 0.1);
}

TEST_CASE("a training that begins slowly is looked at for longer") {
  // Short trials lower the loss by a hundredth, long ones by a fifth.
  const Loss slow = [](double lr, std::int64_t num_iter) {
    const double depth = num_iter < 100 ? 0.02 : 0.4;
    return std::min(2.0, 2 - depth + 0.02 * std::pow(std::log10(lr / 0.07), 2));
  };
  const Suggestion found = search(settings(), slow);
  CHECK(decades(found.lr, 0.07) < 0.05);
  CHECK(found.caveat.empty());
  CHECK(found.updates <= settings().num_iter);

  // Here they lower it no further.
  const Loss level = [&](double lr, std::int64_t) { return lr > 2 ? 3 : slow(lr, 1); };
  CHECK_THAT(search(settings(), level).caveat, contains("may know the data already"));
}

TEST_CASE("a longer look leaves enough for a model that knows its data") {
  auto given = settings();
  given.around = 0.001;
  const Loss level = [](double lr, std::int64_t) { return lr < 1e-6 ? 2 : lr > 0.05 ? 3 : 1.97; };
  const Suggestion found = search(given, level);
  CHECK(found.lr > 0.03);
  CHECK(found.lr <= 0.05);
  CHECK(found.updates <= given.num_iter);
}

TEST_CASE("a model that knows its data gets the highest rate that does little harm") {
  // No rate lowers the loss; it rises by a tenth at 0.01.
  const Loss harm = [](double lr, std::int64_t) { return 2 + 20 * lr; };
  const Suggestion found = search(settings(), harm);
  CHECK(decades(found.lr, 0.01) < 0.3);
  CHECK(found.caveat.find("may know the data already") != std::string::npos);

  auto decaying = settings();
  decaying.final_share = 0;
  CHECK(search(decaying, harm).lr > 2 * found.lr);
}

TEST_CASE("batches that are easier than those of the range test are no descent") {
  // All losses are 10 % below the untrained one, whatever the rate.
  const Loss easier = [](double lr, std::int64_t) { return 1.8 + 20 * lr; };
  CHECK(search(settings(), easier).caveat.find("may know the data already") != std::string::npos);
}

TEST_CASE("a model that nothing changes has no rate") {
  CHECK_THROWS_WITH(search(settings(), [](double, std::int64_t) { return 2.0; }),
                    contains("lowers the loss from the 2 before training"));
}

TEST_CASE("a model that every rate breaks has no rate") {
  CHECK_THROWS_AS(search(settings(), [](double, std::int64_t) { return is_diverged; }),
                  NoSuggestion);
}
