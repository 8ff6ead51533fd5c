// The race itself, with trials that are made up.

#include <algorithm>
#include <catch2.hpp>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <lrfinder/race/successive_halving.hpp>

using lrfinder::History;
using lrfinder::InvalidOption;
using lrfinder::NoSuggestion;
using lrfinder::RaceEntry;
using lrfinder::RaceOptions;
using lrfinder::RaceResult;
using lrfinder::StopReason;
using lrfinder::detail::RaceSettings;
using lrfinder::detail::resolve_race;
using lrfinder::detail::SuccessiveHalving;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

RaceSettings five_candidates() {
  RaceSettings settings;
  settings.candidates = {1e-3, 1e-2, 1e-1, 1, 10};
  settings.factor = 10;
  settings.num_iter = 600;
  settings.rungs = 3;
  settings.untrained_loss = 2;
  settings.diverge_th = 5;
  return settings;
}

// A trial whose loss is lowest at `best`, and which diverges from `edge` on.
auto made_up_heat(double best, double edge = infinity) {
  return [=](double lr, std::int64_t num_iter) {
    const double loss = lr >= edge ? infinity : 0.1 * std::fabs(std::log10(lr / best));
    return RaceEntry{lr, lr >= edge ? 1 : num_iter, loss};
  };
}

template <class Trial>
RaceResult run(const RaceSettings& settings, Trial trial) {
  auto trials = [&](const std::vector<double>& rates, std::int64_t num_iter) {
    std::vector<RaceEntry> results;
    for (const double lr : rates) results.push_back(trial(lr, num_iter));
    return results;
  };
  return SuccessiveHalving(settings, trials)();
}

// A plateau at 2.3, a descent at 1e-2, and divergence at 1.
History history(StopReason reason = StopReason::diverged) {
  std::vector<double> lr, loss;
  for (int i = 0; i < 101; ++i) {
    lr.push_back(std::pow(10, -7 + 0.07 * i));
    loss.push_back(2.3 - 1.8 / (1 + std::exp(-5 * std::log10(lr.back() / 1e-2))) + lr.back());
  }
  History history(lr, loss);
  history.stop_reason = reason;
  history.settings.diverge_th = 5;
  return history;
}

}  // namespace

TEST_CASE("the rate with the lowest loss wins, and the table has all") {
  const auto result = run(five_candidates(), made_up_heat(0.1));
  CHECK(result.lr == 0.1);
  CHECK(result.loss == 0);
  CHECK(result.recipe == "race");
  CHECK(result.caveat.empty());
  REQUIRE(result.table.size() == 5);
  CHECK(result.table.front().lr == 1e-3);
  CHECK(result.table.back().lr == 10);
}

TEST_CASE("the better half goes on to a longer trial") {
  const auto result = run(five_candidates(), made_up_heat(0.2));
  CHECK(result.table[0].num_iter == result.table[4].num_iter);
  CHECK(result.table[2].num_iter > result.table[1].num_iter);
  CHECK(result.table[3].num_iter == result.table[2].num_iter);
}

TEST_CASE("a longer trial overrules a shorter one") {
  const auto trial = [](double lr, std::int64_t num_iter) {
    return RaceEntry{lr, num_iter, num_iter < 20 ? 1 / lr / 1000 : lr};
  };
  auto settings = five_candidates();
  settings.highest_lr = 10;
  CHECK(run(settings, trial).lr == 0.1);  // the lowest of those that the first rung left
}

TEST_CASE("a lower rate wins as long as it lacks no more than the tolerance") {
  const double worse = GENERATE(0.05, 0.07);  // 3 % of the best one's gain are 0.06
  auto settings = five_candidates();
  settings.tolerance = 0.03;
  const auto trial = [=](double lr, std::int64_t num_iter) {
    return RaceEntry{lr, num_iter, lr == 1 ? 0 : lr == 0.1 ? worse : 1};
  };
  const auto result = run(settings, trial);
  if (worse < 0.06) {
    CHECK(result.lr == 0.1);
    CHECK(result.loss == worse);
  } else {  // on the line between the two
    CHECK(result.lr == Approx(std::pow(0.1, 0.06 / worse)));
    CHECK(result.loss == Approx(0.06));
  }
  CHECK(run(five_candidates(), trial).lr == 1);
}

TEST_CASE("the tolerance reaches to the next rate, which must not have diverged or run shorter") {
  auto settings = five_candidates();
  settings.tolerance = 0.9;
  settings.highest_lr = 10;
  settings.rungs = 1;
  const double exploding = GENERATE(0.1, 1.0);
  const auto trial = [=](double lr, std::int64_t num_iter) {
    return RaceEntry{lr, num_iter, lr == exploding ? infinity : 1 / lr / 1000};
  };
  CHECK(run(settings, trial).lr == (exploding == 1 ? 10 : 1));
  settings.rungs = 3;
  const auto result = run(settings, made_up_heat(0.2));
  CHECK(result.lr == 0.1);
  CHECK(result.table[1].num_iter < result.table[2].num_iter);
}

TEST_CASE("the race goes on outwards while the best rate is the highest or the lowest") {
  const double best = GENERATE(1e-6, 1e-5, 1e-4, 100.0, 1e3, 1e4);
  const auto result = run(five_candidates(), made_up_heat(best));
  CHECK(std::fabs(std::log10(result.lr / best)) < 1e-6);
  CHECK(result.caveat.empty());
}

TEST_CASE("a race of one rung says where the best rate may lie outside") {
  auto settings = five_candidates();
  settings.rungs = 1;
  CHECK_THAT(run(settings, made_up_heat(1e12)).caveat, contains("highest of those tried"));
  CHECK_THAT(run(settings, made_up_heat(1e-12)).caveat, contains("lowest of those tried"));
}

TEST_CASE("however far a race looks, the last rung has most of the updates") {
  const double best = GENERATE(1e-12, 1e-9, 0.1, 1e12);
  std::int64_t last = 0, longest = 0;
  const auto trial = [&](double lr, std::int64_t num_iter) {
    last = num_iter > longest ? num_iter : last + num_iter;
    longest = std::max(longest, num_iter);
    return made_up_heat(best)(lr, num_iter);
  };
  auto settings = five_candidates();
  settings.rungs = 2;
  const auto result = run(settings, trial);
  CHECK(std::fabs(std::log10(result.lr / best)) < 1e-6);
  CHECK(last >= 240);  // four fifths at best, and at least half of that
  CHECK(result.total_iter > 580);
}

TEST_CASE("no rate past the divergence of the range test is tried") {
  auto settings = five_candidates();
  settings.highest_lr = 50;
  const auto result = run(settings, made_up_heat(1e5));
  CHECK(result.lr == 10);
  CHECK(result.table.back().lr == 10);
  CHECK(result.caveat.empty());
}

TEST_CASE("a rate that explodes never wins") {
  const auto result = run(five_candidates(), made_up_heat(1, /*edge=*/0.5));
  CHECK(result.lr == 0.1);
  CHECK(result.table.back().diverged);

  const auto late = [](double lr, std::int64_t num_iter) {
    return RaceEntry{lr, num_iter, num_iter > 60 ? 1e9 : 1 / lr / 1000};
  };
  CHECK_FALSE(run(five_candidates(), late).loss >= 2);
}

TEST_CASE("rates far below the candidates are found where all of those explode") {
  CHECK(run(five_candidates(), made_up_heat(1e-5, /*edge=*/5e-4)).lr == Approx(1e-5));
}

TEST_CASE("where no rate lowers the loss there is no suggestion") {
  const auto explodes = [](double lr, std::int64_t) { return RaceEntry{lr, 1, std::nan("")}; };
  CHECK_THROWS_AS(run(five_candidates(), explodes), NoSuggestion);
  const auto rises = [](double lr, std::int64_t n) { return RaceEntry{lr, n, 2 + lr}; };
  CHECK_THROWS_WITH(run(five_candidates(), rises), contains("lowers the loss from the 2"));
}

TEST_CASE("the budget holds, and what explodes does not win, whatever the trials do") {
  std::mt19937 random(1);
  const auto below = [&](int end) {
    return std::uniform_int_distribution<int>(0, end - 1)(random);
  };
  for (int i = 0; i < 2000; ++i) {
    const auto options = RaceOptions()
                             .budget(1 + below(20))
                             .rungs(1 + below(4))
                             .spacing(0.1 * (1 + below(10)))
                             .decades_down(0.5 * below(4))
                             .decades_up(0.5 * below(4));
    RaceSettings settings;
    try {
      settings = resolve_race(options, history());
    } catch (const InvalidOption&) {
      continue;
    }
    std::int64_t taken = 0;
    const auto trial = [&](double lr, std::int64_t num_iter) {
      REQUIRE(num_iter >= 1);
      REQUIRE(lr <= settings.highest_lr);
      const bool explodes = below(4) == 0;
      const auto done = explodes ? 1 + below(static_cast<int>(num_iter)) : num_iter;
      taken += done;
      return RaceEntry{lr, done, explodes ? infinity : 0.01 * below(100)};
    };
    try {
      const auto result = run(settings, trial);
      CHECK(result.loss < settings.untrained_loss);
      CHECK(result.total_iter == taken);
    } catch (const NoSuggestion&) {
    }
    REQUIRE(taken <= settings.num_iter);
  }
}

TEST_CASE("the first candidates lie half a decade apart around the suggestion") {
  const double suggested = lrfinder::suggest::steepest(history()).lr;
  const auto settings = resolve_race(RaceOptions(), history(StopReason::completed));
  REQUIRE(settings.candidates.size() == 5);
  CHECK(settings.candidates[0] == Approx(suggested / 10));
  CHECK(settings.candidates[1] == Approx(suggested / std::sqrt(10)));
  CHECK(settings.candidates[4] == Approx(suggested * 10));
  CHECK(settings.num_iter == 606);
  CHECK(std::isinf(settings.highest_lr));
}

TEST_CASE("candidates end where the range test diverged") {
  const auto reason = GENERATE(StopReason::diverged, StopReason::non_finite_loss);
  const auto settings = resolve_race(RaceOptions().around(0.2), history(reason));
  CHECK(settings.highest_lr == Approx(1));
  CHECK(settings.candidates.back() == Approx(0.2 * std::sqrt(10)));
}

TEST_CASE("where the curve carries no suggestion, the race starts a decade below its end") {
  auto level = history();
  level.raw_loss.assign(level.size(), 2.3);
  const auto settings = resolve_race(RaceOptions(), level);
  CHECK(settings.candidates[2] == Approx(0.1));
}

TEST_CASE("options of a race that make no sense are refused") {
  const auto [options, words] = GENERATE(table<RaceOptions, std::string>({
      {RaceOptions().budget(0), "budget (0) must be positive"},
      {RaceOptions().budget(std::nan("")), "budget (nan)"},
      {RaceOptions().budget(infinity), "budget (inf)"},
      {RaceOptions().budget(0.1), "too few for 5 candidates and 2 rungs"},
      {RaceOptions().spacing(0), "spacing (0) must be positive"},
      {RaceOptions().spacing(1e-9), "too few"},
      {RaceOptions().decades_down(-1), "decades_down (-1)"},
      {RaceOptions().decades_up(infinity), "decades_up (inf)"},
      {RaceOptions().rungs(0), "rungs (0) must be at least 1"},
      {RaceOptions().rungs(1000), "too few"},
      {RaceOptions().tolerance(1), "tolerance (1) must be at least 0 and less than 1"},
      {RaceOptions().around(0.0), "around (0) must be positive"},
      {RaceOptions().around(1e3), "lie past 1, where the range test diverged"},
  }));
  CHECK_THROWS_AS(resolve_race(options, history()), InvalidOption);
  CHECK_THROWS_WITH(resolve_race(options, history()), contains(words));
}
