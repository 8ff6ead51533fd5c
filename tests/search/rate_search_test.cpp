// The search for the best rate, with trials that are made up.

#include <algorithm>
#include <catch2.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/search/rate_search.hpp>

using lrfinder::NoSuggestion;
using lrfinder::Suggestion;
using lrfinder::Trial;
using lrfinder::detail::noise_of_difference;
using lrfinder::detail::RateSearch;
using lrfinder::detail::SearchSettings;

namespace {

constexpr double is_diverged = std::numeric_limits<double>::infinity();

SearchSettings settings() {
  SearchSettings result;
  result.around = 0.1;
  result.updates = 900;
  result.plan_steps = 3000;
  result.length_exponent = 0;
  result.diverge_th = 5;
  return result;
}

using Loss = std::function<double(double lr, std::int64_t updates)>;

using Parts = std::function<std::vector<double>(double loss)>;

// `untrained_loss`: the loss at rate 0. `parts`: the parts of a loss.
Suggestion search(const SearchSettings& settings, const Loss& loss, double untrained_loss = 2,
                  const Parts& parts = {}) {
  auto trials = [&](const std::vector<double>& rates, std::int64_t updates,
                    const std::vector<double>&) {
    std::vector<Trial> results;
    for (const double lr : rates) {
      const double value = lr == 0 ? untrained_loss : loss(lr, updates);
      const std::int64_t made = lr == 0 ? 0 : std::isfinite(value) ? updates : 1;
      results.push_back({lr, made, value, false, {}});
      if (parts) results.back().loss_parts = parts(value);
    }
    return results;
  };
  return RateSearch(settings, trials).run();
}

// A loss that falls with time and is lowest at `best`, on a parabola over log lr.
Loss valley(double best) {
  return [best](double lr, std::int64_t updates) {
    const double decades = std::log10(lr / best);
    return std::min(2.0, 3 / std::pow(static_cast<double>(updates), 0.25) + decades * decades);
  };
}

double decades(double a, double b) { return std::fabs(std::log10(a / b)); }

}  // namespace

TEST_CASE("further out a search asks for rates that it has named before, with the same bits") {
  const double best = GENERATE(0.01, 1.0);
  const Loss loss = valley(best);
  std::set<std::pair<std::int64_t, double>> named;
  int further_out = 0;
  auto trials = [&](const std::vector<double>& rates, std::int64_t updates,
                    const std::vector<double>& likely_next) {
    std::vector<Trial> results;
    for (const double lr : rates) {
      results.push_back({lr, lr == 0 ? 0 : updates, lr == 0 ? 2 : loss(lr, updates), false, {}});
    }
    if (rates.size() == 1 && rates.front() > 0) {
      CHECK(named.count({updates, rates.front()}) == 1);
      ++further_out;
    }
    for (const double lr : likely_next) named.emplace(updates, lr);
    return results;
  };
  RateSearch(settings(), trials).run();
  CHECK(further_out > 0);
}

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
  for (const std::int64_t most : {200, 900, 5000}) {
    auto given = settings();
    given.updates = most;
    const Suggestion found = search(given, valley(0.5));
    std::int64_t updates = 0;
    for (const Trial& trial : found.trials) updates += trial.updates;
    CHECK(found.updates == updates);
    CHECK(updates <= most);
  }
}

TEST_CASE("more updates make longer trials, at most as long as the training") {
  auto given = settings();
  const auto longest = [&](std::int64_t updates) {
    given.updates = updates;
    std::int64_t most = 0;
    for (const Trial& trial : search(given, valley(0.1)).trials) {
      most = std::max(most, trial.updates);
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
  const double longer = 3000 / static_cast<double>(found.trials.back().updates);
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
  const Loss edge = [](double lr, std::int64_t updates) {
    return lr > 0.5 ? is_diverged : valley(0.8)(lr, updates);
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
  const Loss level_above = [](double lr, std::int64_t updates) {
    return lr > 1 ? 2.0 + 0.01 * std::sin(100 * lr) : valley(0.05)(lr, updates);
  };
  CHECK(decades(search(given, level_above).lr, 0.05) < 0.1);
}

TEST_CASE("a training that begins slowly is looked at for longer") {
  // Short trials lower the loss by a hundredth, long ones by a fifth.
  const Loss slow = [](double lr, std::int64_t updates) {
    const double depth = updates < 100 ? 0.02 : 0.4;
    return std::min(2.0, 2 - depth + 0.1 * std::pow(std::log10(lr / 0.07), 2));
  };
  const Suggestion found = search(settings(), slow);
  CHECK(decades(found.lr, 0.07) < 0.05);
  CHECK(found.caveat.empty());
  CHECK(found.updates <= settings().updates);

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
  CHECK(found.updates <= given.updates);
}

TEST_CASE("a model that knows its data gets the highest rate that does little harm") {
  // No rate lowers the loss; it rises by a tenth at 0.01.
  const Loss harm = [](double lr, std::int64_t) { return 2 + 20 * lr; };
  const Suggestion found = search(settings(), harm);
  CHECK(decades(found.lr, 0.01) < 0.3);
  CHECK(found.caveat.find("may know the data already") != std::string::npos);

  auto decaying = settings();
  decaying.mean_late_factor = 0;
  CHECK(search(decaying, harm).lr > 2 * found.lr);
}

TEST_CASE("a short training has less time to repair harm than a long one") {
  const Loss harm = [](double lr, std::int64_t) { return 2 + 20 * lr; };
  auto brief = settings();
  brief.plan_steps = 500;
  CHECK(search(brief, harm).lr < search(settings(), harm).lr / 2);
}

TEST_CASE("if all rates up to the divergence do little harm, the highest one is the answer") {
  auto given = settings();
  given.highest_lr = 0.5;
  const Suggestion found = search(given, [](double lr, std::int64_t) { return 2 + 0.1 * lr; });
  CHECK(found.lr > 0.1);
  CHECK(found.lr <= 0.5);
  CHECK_FALSE(found.caveat.empty());
}

TEST_CASE("a search goes on past a level at which the model has died") {
  // Above 1, the units are dead, and only the frequencies of the targets are learnt.
  const Loss text = [](double lr, std::int64_t updates) {
    if (lr > 10) return is_diverged;
    if (lr > 0.8) return 3.29 + 0.001 * std::fabs(std::log10(lr / 5));
    return std::min(4.6, valley(0.1)(lr, updates) + 1);
  };
  auto given = settings();
  given.around = 5;
  given.highest_lr = 20;
  CHECK(decades(search(given, text, 4.64).lr, 0.1) < 0.1);
}

TEST_CASE("if no lower rate is clearly worse, a caveat says so") {
  const Loss plateau = [](double lr, std::int64_t) {
    return lr > 0.1 ? is_diverged : 1 - 1e-6 * std::log10(lr);
  };
  CHECK_THAT(search(settings(), plateau).caveat, contains("the best rate may be lower"));
}

TEST_CASE("if the rates on a side are worse by no more than the noise, a caveat says so") {
  const bool is_below = GENERATE(false, true);
  // A divergence closes the other side.
  const Loss half_valley = [&](double lr, std::int64_t updates) {
    const bool is_lost = is_below ? lr > 0.15 : lr < 0.07;
    return is_lost ? is_diverged : valley(0.1)(lr, updates);
  };
  auto given = settings();
  given.plan_steps = 200;  // so that no trial nearby counts as unsteady
  const auto found_in_noise = [&](double noise) {
    return search(given, half_valley, 2, [noise, trial = 0](double loss) mutable {
      std::vector<double> parts(64, loss / 64);
      parts[static_cast<std::size_t>(trial++ % 64)] += noise;  // each trial has its own
      return parts;
    });
  };
  CHECK(found_in_noise(0.001).caveat.empty());
  CHECK_THAT(found_in_noise(10).caveat,
             contains(is_below ? "the best rate may be lower" : "the best rate may be higher"));
}

TEST_CASE("an unsteady trial near the rate gets a caveat, unless the training is no longer") {
  const double unsteady_from = GENERATE(0.1, 0.15, 1.0);
  auto given = settings();
  auto trials = [&](const std::vector<double>& rates, std::int64_t updates,
                    const std::vector<double>&) {
    std::vector<Trial> results;
    for (const double lr : rates) {
      const double loss = lr == 0 ? 2 : valley(0.1)(lr, updates);
      results.push_back({lr, lr == 0 ? 0 : updates, loss, false, {}, lr > unsteady_from});
    }
    return results;
  };
  const Suggestion found = RateSearch(given, trials).run();
  CHECK((found.caveat.find("was unsteady") != std::string::npos) == (unsteady_from < 1));
  given.plan_steps = 200;
  CHECK(RateSearch(given, trials).run().caveat.empty());
}

TEST_CASE("for a very long training the search also tries a rate as low as its answer") {
  auto given = settings();
  given.plan_steps = 100'000'000;
  given.length_exponent = 0.3;
  const Suggestion found = search(given, valley(0.1));
  CHECK(found.lr < 0.01);
  CHECK(std::any_of(found.trials.begin(), found.trials.end(),
                    [&](const Trial& trial) { return trial.lr <= found.lr * (1 + 1e-9); }));
}

TEST_CASE("a model that nothing changes has no rate") {
  CHECK_THROWS_WITH(search(settings(), [](double, std::int64_t) { return 2.0; }),
                    contains("lowers the loss from the 2 before training"));
}

TEST_CASE("a model that every rate breaks has no rate") {
  CHECK_THROWS_AS(search(settings(), [](double, std::int64_t) { return is_diverged; }),
                  NoSuggestion);
}

TEST_CASE("the interval stays below a rate that diverged") {
  // Nothing lowers the loss, and one step above the highest harmless rate it diverges.
  const Loss cliff = [](double lr, std::int64_t) {
    return lr > 0.15 ? is_diverged : 2.0 + lr / 10;
  };
  const Suggestion found = search(settings(), cliff);
  double lowest_diverged = is_diverged;
  for (const Trial& trial : found.trials) {
    if (trial.diverged) lowest_diverged = std::min(lowest_diverged, trial.lr);
  }
  REQUIRE(std::isfinite(lowest_diverged));
  CHECK(found.lr <= 0.15);
  CHECK(found.high < lowest_diverged);
}

TEST_CASE("the interval ends where the range test diverged") {
  auto given = settings();
  given.highest_lr = 0.1;
  CHECK(search(given, valley(0.1)).high <= 0.1 * (1 + 1e-12));
}

TEST_CASE("a search goes down where long trials diverge and short ones do not") {
  const Loss breaks_late = [](double lr, std::int64_t updates) {
    return lr > 0.01 && updates > 100 ? is_diverged : valley(0.05)(lr, updates);
  };
  const Suggestion found = search(settings(), breaks_late);
  CHECK(found.lr <= 0.01);
  CHECK(found.high <= 0.01);
  CHECK(std::isfinite(found.loss));
}

TEST_CASE("a search whose long trials all diverge has no rate") {
  const Loss breaks_late = [](double lr, std::int64_t updates) {
    return updates > 100 ? is_diverged : valley(0.05)(lr, updates);
  };
  CHECK_THROWS_AS(search(settings(), breaks_late), NoSuggestion);
}

TEST_CASE("a loss that returns to 0 in longer trials does not measure progress") {
  // Like the surrogate loss of a policy gradient: lowest in the middle of the training.
  const Loss surrogate = [](double lr, std::int64_t updates) {
    const double done = lr * static_cast<double>(updates);
    return 0.01 - 3 * std::exp(-std::pow(std::log(done / 5), 2));
  };
  CHECK_THROWS_WITH(search(settings(), surrogate, 0.01),
                    contains("does not measure the progress of the training"));
  auto validated = settings();
  validated.validates = true;
  CHECK_NOTHROW(search(validated, surrogate, 0.01));
}

TEST_CASE("a signed loss that falls further in longer trials measures progress") {
  const Loss likelihood = [](double lr, std::int64_t updates) {
    const double decades = std::log10(lr / 0.05);
    return std::min(0.01, decades * decades - std::log10(static_cast<double>(updates)));
  };
  CHECK(decades(search(settings(), likelihood, 0.01).lr, 0.05) < 0.1);
}

TEST_CASE("a loss that is not finite before any update has no rate") {
  CHECK_THROWS_WITH(search(settings(), valley(0.1), std::nan("")),
                    contains("the loss is nan before any update"));
}

namespace {

// A random search on a random loss: a valley with noise, plateaus, cliffs, and losses that are not
// finite, of any size and sign.
class Surface {
 public:
  explicit Surface(std::uint32_t seed) : seed_(seed), random_(seed) {
    settings.around = std::pow(10, uniform(-8, 2));
    if (one_in(2)) settings.highest_lr = settings.around * std::pow(10, uniform(-1, 3));
    settings.updates = static_cast<std::int64_t>(4 * std::pow(10, uniform(0, 4)));
    settings.plan_steps = static_cast<std::int64_t>(std::pow(10, uniform(0, 6)));
    settings.mean_late_factor = uniform(0, 1);
    settings.length_exponent = one_in(2) ? 0 : uniform(0, 0.4);
    settings.diverge_th = one_in(4) ? 0 : one_in(4) ? is_diverged : uniform(1, 10);
    size_ = pick({0, 1, 1, 1, 1e-300, 1e300});
    offset_ = pick({0, 0, 1, 2, -1});
    depth_ = pick({0, 0.01, 0.1, 1, 3});
    best_ = uniform(-9, 3);
    curvature_ = pick({0.01, 0.1, 1, 10});
    noise_ = pick({0, 0, 0.01, 0.3, 3});
    plateau_ = best_ + uniform(-2, 3);
    cliff_ = best_ + uniform(-4, 6);
    beyond_ = pick({is_diverged, -is_diverged, std::nan(""), 1e30, 1.0});
    broken_ = pick({0, 0, 0.05, 0.5, 1});
    untrained_loss =
        one_in(8) ? pick({std::nan(""), is_diverged, -is_diverged, 0}) : size_ * offset_;
  }

  // The same for the same arguments, as a trial.
  double operator()(double lr, std::int64_t updates) {
    const double at = std::log10(lr), reach = 1 - 1 / static_cast<double>(updates + 1);
    random_.seed(seed_ ^ static_cast<std::uint32_t>(std::llround(at * 1e6) * 7919 + updates));
    if (uniform(0, 1) < broken_) return pick({is_diverged, -is_diverged, std::nan("")});
    if (at > cliff_) return beyond_;
    const double off = at - best_;
    double loss = offset_ - depth_ * reach * std::max(0.0, 1 - curvature_ * off * off);
    if (at > plateau_) loss = offset_;
    return size_ * (loss + noise_ * uniform(-1, 1));
  }

  // The loss of the trial just made, in parts that differ between the trials.
  std::vector<double> parts(double loss) {
    std::vector<double> parts(one_in(4) ? 1 : 8);
    const auto count = static_cast<double>(parts.size());
    for (double& part : parts) part = loss / count + size_ * noise_ / count * uniform(-1, 1);
    return parts;
  }

  SearchSettings settings;
  double untrained_loss;

 private:
  double uniform(double low, double high) {
    return low + (high - low) * static_cast<double>(random_()) / 4294967296.0;
  }
  bool one_in(int count) { return random_() % static_cast<std::uint32_t>(count) == 0; }
  double pick(const std::vector<double>& values) { return values[random_() % values.size()]; }

  std::uint32_t seed_;
  std::mt19937 random_;
  double size_, offset_, depth_, best_, curvature_, noise_, plateau_, cliff_, beyond_, broken_;
};

// Whether a long trial below the best one and one above it are worse by more than the noise, or the
// answer lies below what the range test allows.
bool is_bracketed(const Suggestion& found, const SearchSettings& settings, double spacing) {
  std::int64_t longest = 0;
  for (const Trial& trial : found.trials) longest = std::max(longest, trial.updates);
  const Trial* best = nullptr;
  for (const Trial& trial : found.trials) {
    if (trial.updates != longest || trial.diverged) continue;
    const auto order = [](const Trial& one) { return std::pair(one.loss, one.lr); };
    if (!best || order(trial) < order(*best)) best = &trial;
  }
  if (!best) return false;
  bool below = false, above = false;
  for (const Trial& trial : found.trials) {
    const bool is_worse =
        trial.diverged ||
        (trial.updates == longest && trial.loss > best->loss + noise_of_difference(trial, *best));
    if (is_worse && trial.lr < best->lr) below = true;
    if (is_worse && trial.lr > best->lr) above = true;
    if (trial.updates == longest && trial.lr * std::pow(10, spacing) > settings.highest_lr) {
      above = true;
    }
  }
  return below && above;
}

// What is wrong with an answer, in words.
std::string faults_of(const Suggestion& found, const SearchSettings& settings) {
  std::string faults;
  const auto require = [&](bool holds, const char* fault) {
    if (!holds) faults += std::string(fault) + "; ";
  };
  constexpr double rounding = 1 + 1e-9;
  double lowest = is_diverged, highest = 0;
  std::int64_t updates = 0, longest = 0, shortest = settings.updates;
  for (const Trial& trial : found.trials) {
    require(std::isfinite(trial.lr) && trial.lr > 0, "a trial at no rate");
    require(trial.lr <= settings.highest_lr * rounding, "a trial above the highest rate");
    // By chance a short trial may have diverged at the very rate.
    const bool is_answer = std::fabs(std::log10(trial.lr / found.lr)) < 1e-9;
    require(!trial.diverged || is_answer || trial.lr < found.low || trial.lr > found.high,
            "a diverged rate in the interval");
    lowest = std::min(lowest, trial.lr);
    highest = std::max(highest, trial.lr);
    updates += trial.updates;
    longest = std::max(longest, trial.updates);
    shortest = std::min(shortest, trial.updates);
  }
  require(std::isfinite(found.lr) && std::isfinite(found.loss), "not finite");
  require(found.lr * rounding >= lowest && found.lr <= highest * rounding,
          "a rate out of what was tried");
  require(0 < found.low && found.low <= found.lr && found.lr <= found.high,
          "an interval without the rate");
  require(found.high <= settings.highest_lr * rounding, "an interval above the highest rate");
  require(found.updates == updates, "other updates than those of the trials");
  require(updates <= settings.updates + 3 * longest + shortest, "more updates than allowed");
  if (found.caveat.empty() && shortest < longest) {
    require(is_bracketed(found, settings, 0.3), "no caveat where one side is open");
  }
  return faults;
}

}  // namespace

TEST_CASE(
    "whatever the losses are, a search answers within what it tried, or says that it cannot") {
  int answers = 0;
  for (std::uint32_t seed = 0; seed < 100'000; ++seed) {
    Surface surface(seed);
    try {
      const Suggestion found = search(surface.settings, std::ref(surface), surface.untrained_loss,
                                      [&](double loss) { return surface.parts(loss); });
      const std::string faults = faults_of(found, surface.settings);
      if (!faults.empty()) FAIL_CHECK("surface " << seed << ": " << faults << found);
      ++answers;
    } catch (const NoSuggestion&) {
    }
  }
  CHECK(answers > 25'000);
  CHECK(answers < 95'000);
}
