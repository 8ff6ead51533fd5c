#include <catch2.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <lrfinder/race/trials_on_ranks.hpp>

using lrfinder::Trial;
using lrfinder::detail::to_text;
using lrfinder::detail::TrialAssignment;
using lrfinder::detail::trials_from;

namespace {

using Row = std::deque<std::size_t>;

Trial trial_at(double lr) { return {lr, 7, 1.5}; }

}  // namespace

TEST_CASE("trials are dealt to the ranks in turn") {
  const TrialAssignment trials(5, 3);
  CHECK(trials.of(0) == Row{0, 3});
  CHECK(trials.of(1) == Row{1, 4});
  CHECK(trials.of(2) == Row{2});
}

TEST_CASE("a rank that has trials left goes on with them") {
  TrialAssignment trials(5, 3);
  trials.finish({{{0, trial_at(0.1)}}, {}, {}});
  CHECK(trials.of(0) == Row{3});
  CHECK(trials.of(1) == Row{1, 4});
  CHECK(trials.of(2) == Row{2});
}

TEST_CASE("a rank without trials gets the last one of the rank with the most") {
  TrialAssignment trials(8, 3);
  trials.finish({{}, {}, {{2, trial_at(0.3)}, {5, trial_at(0.6)}}});
  CHECK(trials.of(0) == Row{0, 3});
  CHECK(trials.of(1) == Row{1, 4, 7});
  CHECK(trials.of(2) == Row{6});
}

TEST_CASE("the trial that a rank has begun stays with it") {
  TrialAssignment trials(3, 3);
  trials.finish({{{0, trial_at(0.1)}}, {}, {}});
  CHECK(trials.of(0).empty());
  CHECK(trials.of(1) == Row{1});
  CHECK(trials.of(2) == Row{2});
}

TEST_CASE("trials are finished when each has a result, kept by trial") {
  TrialAssignment trials(5, 2);
  trials.finish({{}, {{1, trial_at(0.2)}, {3, trial_at(0.4)}}});
  CHECK(trials.of(0) == Row{0, 2});
  CHECK(trials.of(1) == Row{4});
  trials.finish({});
  CHECK_FALSE(trials.is_finished());
  trials.finish({{{0, trial_at(0.1)}, {2, trial_at(0.3)}}, {{4, trial_at(0.5)}}});
  CHECK(trials.is_finished());
  const double rates[] = {0.1, 0.2, 0.3, 0.4, 0.5};
  for (std::size_t i = 0; i < 5; ++i) CHECK(trials.results()[i].lr == rates[i]);
}

TEST_CASE("more ranks than trials leave some without any") {
  const TrialAssignment trials(1, 3);
  CHECK(trials.of(0) == Row{0});
  CHECK(trials.of(1).empty());
  CHECK(TrialAssignment(0, 3).is_finished());
}

TEST_CASE("ended trials read back from their text with the same bits") {
  const Trial trial{0.1 + 0.2,
                    1234567890123,
                    std::numeric_limits<double>::infinity(),
                    false,
                    {{"of two\nlines", 1e-300}, {"", -1 / 3.0}, {"a b", 0}}};
  const Trial bad{1, 0, std::numeric_limits<double>::quiet_NaN()};
  const auto back = trials_from(to_text({{3, trial}, {7, bad}}));
  REQUIRE(back.size() == 2);
  CHECK(back.at(3).lr == trial.lr);
  CHECK(back.at(3).num_iter == trial.num_iter);
  CHECK(back.at(3).loss == trial.loss);
  CHECK(back.at(3).metrics == trial.metrics);
  CHECK(std::isnan(back.at(7).loss));
  CHECK(back.at(7).metrics.empty());
  CHECK(to_text(TrialAssignment::Results{}).empty());
  CHECK(trials_from("").empty());
}

namespace {

/// One rank that counts what is asked of it.
class CountedRank final : public lrfinder::Ranks {
 public:
  std::int64_t rank() const override { return 0; }
  std::int64_t size() const override { return 1; }
  std::vector<double> sum(std::vector<double> values) override {
    ++sums;
    return values;
  }
  std::vector<std::string> gather(const std::string& text, std::size_t) override { return {text}; }
  std::function<void()> begin_sum(const torch::Tensor&) override {
    return [] {};
  }
  void broadcast(const torch::Tensor&) override {}
  int sums = 0;
};

}  // namespace

TEST_CASE("a rank that has ranks in both senses leaves once, as the others expect") {
  using lrfinder::detail::SearchSessions;
  using lrfinder::detail::Session;
  const auto rank = std::make_shared<CountedRank>();
  SearchSessions sessions{Session(rank), Session(rank)};
  CHECK_THROWS_AS(sessions.run([] { return 0; }), lrfinder::InvalidOption);
  CHECK(rank->sums == 1);
}
