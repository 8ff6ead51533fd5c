#include "../../benchmarks/hard_trainings/verdict.hpp"

#include <limits>
#include <optional>
#include <sstream>
#include <vector>

#include "../../benchmarks/hard_trainings/answers_file.hpp"
#include "catch2.hpp"

namespace {

constexpr double diverging = std::numeric_limits<double>::infinity();

/// Losses after 1,000 steps at the rates 0.01, 0.1, 1 and so on.
LossByRate losses_of(const std::vector<double>& losses) {
  LossByRate by_rate;
  double lr = 0.01;
  for (const double loss : losses) {
    by_rate[lr] = loss;
    lr *= 10;
  }
  return by_rate;
}

PlanOutcomes plan_with(const std::vector<double>& losses) {
  return {2, {{1000, losses_of(losses)}}};
}

Verdict verdict_on(double lr, bool has_caveat = false) {
  return verdict(plan_with({1.5, 1, 1.5, diverging}), lr, has_caveat);
}

bool are_noise(const std::vector<double>& first, const std::vector<double>& second) {
  return is_noise(plan_with(first), losses_of(second));
}

}  // namespace

TEST_CASE("an answer is good within half a decade of the best rate, and wrong beyond") {
  CHECK(verdict_on(0.1) == Verdict::good);
  CHECK(verdict_on(0.3) == Verdict::good);
  CHECK(verdict_on(0.04) == Verdict::good);
  CHECK(verdict_on(0.4) == Verdict::wrong);
  CHECK(verdict_on(0.03) == Verdict::wrong);
  CHECK(verdict_on(100) == Verdict::wrong);
}

TEST_CASE("an answer far from the best rate is good if its regret is small") {
  const auto flat = plan_with({1.02, 1, 1.04, diverging});
  CHECK(verdict(flat, 0.01, false) == Verdict::good);
  CHECK(verdict(flat, 1, false) == Verdict::good);
  CHECK(verdict(flat, 1.1, false) == Verdict::wrong);  // beside a diverged rate
}

TEST_CASE("a wrong answer may have a caveat, and none is a refusal") {
  CHECK(verdict_on(5, true) == Verdict::wrong_with_caveat);
  CHECK(verdict_on(0.1, true) == Verdict::good);
  CHECK(verdict(PlanOutcomes(), std::nullopt, false) == Verdict::refused);
}

TEST_CASE("the outcomes of two seeds are averaged, and diverge if one does") {
  const auto mean = mean_outcomes(plan_with({1, 3, 1}), losses_of({2, 1, diverging}));
  CHECK(mean.loss_at(0.01) == 1.5);
  CHECK(mean.loss_at(0.1) == 2);
  CHECK(mean.loss_at(1) == diverging);
}

TEST_CASE("outcomes are noise if no rate trains, or if the seeds disagree on the best rate") {
  CHECK_FALSE(are_noise({1.5, 1, 1.5}, {1.4, 1.1, 1.5}));
  CHECK_FALSE(are_noise({1.05, 1, 1.5}, {1, 1.09, 1.5}));
  CHECK(are_noise({1.5, 1, 1.5}, {1.5, 1.5, 1}));
  CHECK(are_noise({1.5, 1, 1.5}, {1, diverging, 1.5}));
  CHECK(are_noise({2.1, 2.2, 2.3}, {2.1, 2.2, 2.3}));
}

TEST_CASE("a tally counts verdicts, and knows their shares") {
  Tally tally;
  CHECK(tally.share(Verdict::good) == 0);
  for (const Verdict verdict : {Verdict::good, Verdict::refused, Verdict::good, Verdict::wrong}) {
    tally.add(verdict);
  }
  CHECK(tally.total() == 4);
  CHECK(tally.count(Verdict::good) == 2);
  CHECK(tally.share(Verdict::refused) == 0.25);
  CHECK(tally.share(Verdict::wrong_with_caveat) == 0);
}

TEST_CASE("a line of answers is read as it was written") {
  Answer answer;
  answer.name = "find";
  answer.task = "weighted_sgd";
  answer.caveat = "a \"quoted\", long\ncaveat";
  std::ostringstream line;
  line << answer;
  const auto cells = cells_of(line.str());
  REQUIRE(cells.size() == 8);
  CHECK(cells[0] == "find");
  CHECK(cells[4].empty());
  CHECK(cells[6] == "a \"quoted\", long caveat");
  CHECK(cells[7].empty());
}
