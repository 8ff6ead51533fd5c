#include <catch2.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <lrfinder/search/trial_runner.hpp>

namespace {

// A training whose batches have these losses before any update.
struct Untrained {
  double evaluate_without_update() { return losses[next++]; }
  bool validates() const { return false; }
  lrfinder::detail::DeviceMeasurement validation_loss() { return {}; }

  std::vector<double> losses;
  std::size_t next = 0;
};

lrfinder::detail::UntrainedBatches evaluated(std::vector<double> losses) {
  Untrained training{std::move(losses)};
  const auto updates = static_cast<std::int64_t>(training.losses.size());
  return lrfinder::detail::evaluate_untrained(training, updates, [] {});
}

// A training whose batches have these losses in a trial.
struct Trained : Untrained {
  struct Loss {
    lrfinder::Measurement read() const {
      lrfinder::Measurement measured;
      measured.raw_loss = value;
      return measured;
    }
    double value;
  };

  void follow(const lrfinder::TrainingPlan&, std::int64_t, const std::vector<double>&) {}
  void step() {}
  Loss training_loss() { return {losses[next++]}; }
  bool validates() const { return has_validation; }
  Loss validation_loss() { return {7}; }

  bool has_validation = false;
};

lrfinder::Trial trained(const std::vector<double>& untrained, std::vector<double> losses) {
  Trained training{{std::move(losses)}};
  return lrfinder::detail::run_trial(training, lrfinder::TrainingPlan().steps(4), {0.1},
                                     evaluated(untrained), [](double) {});
}

bool is_unsteady(const std::vector<double>& untrained, std::vector<double> losses) {
  return trained(untrained, std::move(losses)).unsteady;
}

}  // namespace

TEST_CASE("a trial is unsteady if a loss rises by more than two usual losses") {
  CHECK_FALSE(is_unsteady({1, 1, 1, 1}, {1, 2.9, 0.5, 0.5}));
  CHECK(is_unsteady({1, 1, 1, 1}, {1, 3.1, 0.5, 0.5}));
  // A batch that is hard without training, too, is no sign.
  CHECK_FALSE(is_unsteady({1, 3, 1, 1}, {1, 4, 0.5, 0.5}));
  // Losses around 0 differ by 1 without training.
  CHECK_FALSE(is_unsteady({1, -1, 1, -1}, {1, 0.9, 1, -1}));
  CHECK(is_unsteady({1, -1, 1, -1}, {1, 1.1, 1, -1}));
}

TEST_CASE("the last quarter of the updates gives the loss of a trial") {
  const auto batches = evaluated({9, 9, 9, 9, 9, 9, 1, 3});
  CHECK(batches.weights == std::vector<double>{0.5, 0.5});
  CHECK(batches.loss == 2);
}

TEST_CASE("the parts of the loss of a trial add up to it, if it has one") {
  const std::vector<double> untrained(8, 1);
  const auto trial = trained(untrained, {9, 9, 9, 9, 9, 9, 1, 3});
  CHECK(trial.loss_parts == std::vector<double>{0.5, 1.5});
  CHECK(trial.loss == 2);
  CHECK(trained(untrained, {9, 9, 9, 9, 9, 9, 1, std::nan("")}).loss_parts.empty());

  // With a validation loader, too, the parts are of the training losses.
  Trained validated{{{9, 9, 9, 9, 9, 9, 1, 3}}};
  validated.has_validation = true;
  const auto by_validation = lrfinder::detail::run_trial(
      validated, lrfinder::TrainingPlan().steps(8), {0.1}, evaluated(untrained), [](double) {});
  CHECK(by_validation.loss_parts == trial.loss_parts);
  CHECK(by_validation.loss == 7);
}

TEST_CASE("a rare large loss counts less in a trial") {
  std::vector<double> losses(12, 7);
  losses.insert(losses.end(), {1, 1, 60, 1});
  const auto batches = evaluated(losses);
  CHECK(batches.weights[2] == Approx(0.05 * batches.weights[0]));  // 3 of 60
  CHECK(batches.loss == Approx((1 + 1 + 3 + 1) / 3.05));
}

TEST_CASE("batches without a loss leave the others their weight") {
  std::vector<double> losses(12, 7);
  losses.insert(losses.end(), {0, 0, 2, 0});
  const auto batches = evaluated(losses);
  CHECK(batches.weights == std::vector<double>(4, 0.25));
  CHECK(batches.loss == 0.5);
  CHECK(evaluated(std::vector<double>(8, 0)).loss == 0);
}

TEST_CASE("losses of both signs count alike in a trial") {
  std::vector<double> losses(12, 7);
  losses.insert(losses.end(), {-1, 0.1, 60, 0.1});
  CHECK(evaluated(losses).weights == std::vector<double>(4, 0.25));
}
