// Reading the losses some iterations late. The device is the CPU here, where nothing is really
// late; what is dropped, and when, is the same.

#include <catch2.hpp>
#include <everything.hpp>
#include <limits>
#include <stdexcept>
#include <training.hpp>

#include <lrfinder/lrfinder.hpp>

using lrfinder::History;
using lrfinder::Iteration;
using lrfinder::LRFinder;
using lrfinder::RangeTestOptions;
using lrfinder::StopReason;
using lrfinder::TrainingOptions;

namespace {

// Batches of one value, which is the loss of weight_of_one().
std::vector<TensorBatch> losses(const std::vector<double>& values) {
  std::vector<TensorBatch> batches;
  for (const double value : values) {
    batches.emplace_back(torch::full({1, 1}, value), torch::zeros({1}));
  }
  return batches;
}

torch::Tensor output_as_loss(const torch::Tensor& output, const torch::Tensor&) {
  return output.mean();
}

// Throws when it is asked for the batch after the last.
struct EndingInError {
  struct Iterator {
    const TensorBatch& operator*() const { return *position; }
    Iterator& operator++() {
      if (++position == end) throw std::runtime_error("the disk is gone");
      return *this;
    }
    bool operator!=(const Iterator& other) const { return position != other.position; }
    std::vector<TensorBatch>::const_iterator position, end;
  };
  Iterator begin() const { return {batches.begin(), batches.end()}; }
  Iterator end() const { return {batches.end(), batches.end()}; }
  std::vector<TensorBatch> batches;
};

RangeTestOptions late(std::int64_t iterations) {
  return RangeTestOptions()
      .start_lr(1e-12)
      .end_lr(1e-11)
      .num_iter(12)
      .smooth_f(0)
      .iterations_in_flight(iterations)
      .paired(false);
}

}  // namespace

TEST_CASE("iterations in flight leave the history as it is") {
  const double infinity = std::numeric_limits<double>::infinity();
  struct Case {
    std::vector<double> losses;
    StopReason reason;
    std::size_t size;
  };
  const auto expected = GENERATE_COPY(values<Case>({
      {{3, 2, 1}, StopReason::completed, 12},
      {{3, 2, 1, 2, 6, 1, 1, 1, 1, 1, 1, 1}, StopReason::diverged, 5},
      {{3, 2, infinity, 1, 1, 1, 1, 1, 1, 1, 1, 1}, StopReason::non_finite_loss, 2},
      {{3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 9}, StopReason::diverged, 12},
  }));
  const auto in_flight = GENERATE(1, 2, 5, 100);
  auto model = weight_of_one();
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(1e-12).momentum(0.9));
  const Everything before(*model, optimizer);
  const auto finite_without_training = [](const torch::Tensor& output,
                                          const torch::Tensor& target) {
    const torch::Tensor loss = output_as_loss(output, target);
    return torch::GradMode::is_enabled() ? loss : torch::zeros_like(loss);
  };
  LRFinder finder(model, optimizer, finite_without_training,
                  TrainingOptions().record_grad_norm(true).metric("output", output_as_loss));
  const History& history = finder.range_test(losses(expected.losses), late(in_flight));

  CHECK(history.stop_reason == expected.reason);
  REQUIRE(history.size() == expected.size);
  CHECK(history.grad_norm.size() == expected.size);
  CHECK(history.metrics.at("output").size() == expected.size);
  for (std::size_t i = 0; i < history.size(); ++i) {
    const double loss = expected.losses[i % expected.losses.size()];
    CHECK(history.raw_loss[i] == Approx(loss));
    CHECK(history.grad_norm[i] == Approx(loss));
    CHECK(history.metrics.at("output")[i] == Approx(loss));
  }
  CHECK(before.differences(Everything(*model, optimizer)).empty());
}

TEST_CASE("what fails after the end of the test does not count") {
  auto model = weight_of_one();
  torch::optim::SGD optimizer(model->parameters(), 1e-12);
  LRFinder finder(model, optimizer, output_as_loss);
  const EndingInError loader{losses({3, 2, 1, 9, 1})};

  CHECK(finder.range_test(loader, late(1)).stop_reason == StopReason::diverged);
  CHECK(finder.range_test(loader, late(8)).stop_reason == StopReason::diverged);
  CHECK(finder.history().size() == 4);
}

TEST_CASE("what fails before the end of the test arrives, after what came before it is recorded") {
  auto model = weight_of_one();
  torch::optim::SGD optimizer(model->parameters(), 1e-12);
  const Everything before(*model, optimizer);
  LRFinder finder(model, optimizer, output_as_loss);
  const EndingInError loader{losses({3, 2, 1, 2})};

  CHECK_THROWS_WITH(finder.range_test(loader, late(8)), "the disk is gone");
  CHECK(finder.history().stop_reason == StopReason::failed);
  CHECK(finder.history().size() == 4);
  CHECK(before.differences(Everything(*model, optimizer)).empty());
}

TEST_CASE("a callback is called in order, and no more once it has thrown or stopped the test") {
  auto model = weight_of_one();
  torch::optim::SGD optimizer(model->parameters(), 1e-12);
  LRFinder finder(model, optimizer, output_as_loss);
  std::vector<std::int64_t> seen;

  SECTION("stopped") {
    const auto stop = [&](const Iteration& iteration) {
      seen.push_back(iteration.index);
      return iteration.index < 3;
    };
    CHECK(finder.range_test(losses({3, 2, 1}), late(4).on_iteration(stop)).stop_reason ==
          StopReason::stopped_by_caller);
  }
  SECTION("thrown") {
    const auto fail = [&](const Iteration& iteration) {
      seen.push_back(iteration.index);
      if (iteration.index == 3) throw std::runtime_error("enough");
    };
    CHECK_THROWS_WITH(finder.range_test(losses({3, 2, 1}), late(4).on_iteration(fail)), "enough");
  }
  CHECK(seen == std::vector<std::int64_t>{0, 1, 2, 3});
  CHECK(finder.history().size() == 4);
}
