#include <catch2.hpp>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>

#include <lrfinder/race/trials_on_ranks.hpp>

using lrfinder::Trial;
using lrfinder::detail::to_text;
using lrfinder::detail::trial_from;
using lrfinder::detail::TrialAssignment;

TEST_CASE("a rank that has ended its trial gets the next one that waits") {
  TrialAssignment trials(5, 3);
  CHECK(trials.of(0) == 0U);
  CHECK(trials.of(1) == 1U);
  CHECK(trials.of(2) == 2U);
  trials.finish({{}, Trial{0.1, 7, 1.5}, {}});
  CHECK(trials.of(0) == 0U);
  CHECK(trials.of(1) == 3U);
  trials.finish({Trial{0.2, 7, 1.4}, {}, Trial{0.3, 7, 1.3}});
  CHECK(trials.of(0) == 4U);
  CHECK_FALSE(trials.of(2).has_value());
  trials.finish({});
  CHECK_FALSE(trials.is_finished());
  trials.finish({Trial{0.5, 7, 1.1}, Trial{0.4, 7, 1.2}, {}});
  CHECK(trials.is_finished());
  CHECK_FALSE(trials.of(0).has_value());
  const double rates[] = {0.2, 0.1, 0.3, 0.4, 0.5};
  for (std::size_t i = 0; i < 5; ++i) CHECK(trials.results()[i].lr == rates[i]);
}

TEST_CASE("more ranks than trials leave some without any") {
  TrialAssignment trials(1, 3);
  CHECK(trials.of(0) == 0U);
  CHECK_FALSE(trials.of(1).has_value());
  CHECK(TrialAssignment(0, 3).is_finished());
}

TEST_CASE("a trial reads back from its text with the same bits") {
  const Trial trial{0.1 + 0.2,
                    1234567890123,
                    std::numeric_limits<double>::infinity(),
                    false,
                    {{"of two\nlines", 1e-300}, {"", -1 / 3.0}, {"a b", 0}}};
  const Trial back = trial_from(to_text(trial));
  CHECK(back.lr == trial.lr);
  CHECK(back.num_iter == trial.num_iter);
  CHECK(back.loss == trial.loss);
  CHECK(back.metrics == trial.metrics);
  const Trial bad = trial_from(to_text(Trial{1, 0, std::numeric_limits<double>::quiet_NaN()}));
  CHECK(std::isnan(bad.loss));
  CHECK(bad.metrics.empty());
}
