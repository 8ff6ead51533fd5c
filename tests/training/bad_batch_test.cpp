// Batches whose loss is not finite before any update.

#include <catch2.hpp>
#include <cmath>
#include <everything.hpp>
#include <limits>
#include <string>
#include <training.hpp>
#include <vector>
#include <warnings.hpp>

#include <lrfinder/lrfinder.hpp>

using namespace lrfinder;

namespace {

// Sample 2 of the batch `index` has a NaN.
std::vector<TensorBatch> batches_with_nan(int index, int count = 30) {
  auto batches = class_batches(count, 6, 4, 3);
  batches[static_cast<std::size_t>(index)].data[2][1] = std::nan("");
  return batches;
}

struct Problem {
  torch::nn::Sequential model = (torch::manual_seed(6), small_classifier());
  torch::optim::SGD optimizer{model->parameters(), torch::optim::SGDOptions(1e-3).momentum(0.9)};
  Everything before{*model, optimizer};

  LRFinder<torch::nn::Sequential, torch::optim::SGD, torch::nn::CrossEntropyLoss> finder(
      const TrainingOptions& options = {}) {
    return {model, optimizer, torch::nn::CrossEntropyLoss(), options};
  }
  std::string differences() { return before.differences(Everything(*model, optimizer)); }
};

RangeTestOptions range_test() { return RangeTestOptions().start_lr(1e-7).num_iter(30); }

// Calls `test`, which must throw a BadBatch for the batch `index`. Returns the message.
template <class Test>
std::string message_of(std::int64_t index, Test&& test) {
  try {
    test();
  } catch (const BadBatch& bad) {
    CHECK(bad.index() == index);
    return bad.what();
  }
  FAIL_CHECK("no BadBatch");
  return "";
}

}  // namespace

TEST_CASE("a range test names the batch and the sample that are not finite before any update") {
  const bool paired = GENERATE(true, false);
  const auto steps = GENERATE(1, 3);
  Problem problem;
  auto finder = problem.finder(TrainingOptions().accumulation_steps(steps));
  const auto data = batches_with_nan(7);
  const std::string message =
      message_of(7, [&] { finder.range_test(data, range_test().paired(paired)); });
  CHECK_THAT(message, contains("loss of batch 7 (counted from 0) is nan before any update"));
  CHECK_THAT(message, contains("its sample 2 holds a value that is not finite"));
  CHECK_THAT(message, contains("skip_bad_batches(true)"));
  CHECK_THAT(message, contains("The range test met it at lr "));
  CHECK(problem.differences() == "");
}

TEST_CASE("a bad training batch is named when the loss is that of a validation loader") {
  Problem problem;
  auto finder = problem.finder();
  const auto data = batches_with_nan(7), held_back = class_batches(2, 6, 4, 3, 1);
  message_of(7, [&] { finder.range_test(data, held_back, range_test()); });
  CHECK(problem.differences() == "");
}

TEST_CASE("find names a bad batch that only its trials reach, before any of them") {
  const bool validates = GENERATE(false, true);
  Problem problem;
  auto finder = problem.finder();
  const auto data = batches_with_nan(57, 400), held_back = class_batches(2, 6, 4, 3, 1);
  const auto options =
      FindOptions().plan(TrainingPlan().steps(1000)).range_test(range_test()).budget(20);
  message_of(
      57, [&] { validates ? finder.find(data, held_back, options) : finder.find(data, options); });
  CHECK(problem.differences() == "");
}

TEST_CASE("a criterion that is not finite on finite data is named as the reason") {
  Problem problem;
  LRFinder finder(problem.model, problem.optimizer,
                  [](const torch::Tensor& output, const torch::Tensor& target) {
                    return (output.sum() * 0 + target.ne(1).any()).log();  // of 0 if all are 1
                  });
  auto data = class_batches(10, 6, 4, 3);
  data[4].target.fill_(1);
  CHECK_THAT(message_of(4, [&] { finder.range_test(data, range_test()); }),
             contains("its values are finite, so look at the criterion"));
}

TEST_CASE("a rate that breaks the model is not blamed on the data") {
  const bool paired = GENERATE(true, false);
  Problem problem;
  auto finder = problem.finder();
  finder.range_test(class_batches(30, 6, 4, 3),
                    range_test().end_lr(1e30).diverge_th(0).paired(paired));
  CHECK(finder.history().stop_reason == StopReason::non_finite_loss);
}

TEST_CASE("with skip_bad_batches a test is as it would be without these batches") {
  const bool validates = GENERATE(false, true);
  const auto steps = GENERATE(1, 2);
  auto data = batches_with_nan(3);
  auto good = data;
  good.erase(good.begin() + 3);
  const auto held_back = class_batches(2, 6, 4, 3, 1);
  const auto test = [&](const std::vector<TensorBatch>& batches) {
    Problem problem;
    auto finder =
        problem.finder(TrainingOptions().skip_bad_batches(true).accumulation_steps(steps));
    const auto options = range_test().num_iter(20 / steps);
    validates ? finder.range_test(batches, held_back, options)
              : finder.range_test(batches, options);
    CHECK(problem.differences() == "");
    return finder.history();
  };
  const History skipping = test(data), without = test(good);
  CHECK(skipping.raw_loss == without.raw_loss);
  CHECK(skipping.untrained_loss == without.untrained_loss);
  CHECK(skipping.settings.skipped_batches == 1);
  CHECK(without.settings.skipped_batches == 0);
}

TEST_CASE("without pairing skip_bad_batches records no untrained losses") {
  Problem problem;
  auto finder = problem.finder(TrainingOptions().skip_bad_batches(true));
  finder.range_test(batches_with_nan(3), range_test().paired(false));
  CHECK(finder.history().untrained_loss.empty());
  CHECK(finder.history().settings.skipped_batches == 1);
}

TEST_CASE("a bad batch is named by a test that does not restore, too, and that restores then") {
  Problem problem;
  auto finder = problem.finder();
  message_of(7, [&] { finder.range_test(batches_with_nan(7), range_test().restore(false)); });
  CHECK(problem.differences() == "");
}

TEST_CASE("with skip_bad_batches a search leaves out the same batches in every trial") {
  Problem problem;
  auto finder = problem.finder(TrainingOptions().skip_bad_batches(true));
  const auto found = finder.find(batches_with_nan(7, 20), TrainingPlan().steps(300));
  CHECK(std::isfinite(found.loss));
  CHECK_THAT(found.caveat, contains("batches were left out"));
  CHECK(problem.differences() == "");
}

TEST_CASE("a program that throws at a warning gets everything restored") {
  struct Throwing : Warnings {
#if TORCH_VERSION_MAJOR >= 2
    void process(const c10::Warning&) override { throw std::runtime_error("a warning"); }
#else
    void process(const c10::SourceLocation&, const std::string&, bool) override {
      throw std::runtime_error("a warning");
    }
#endif
  };
  Problem problem;
  auto finder = problem.finder(TrainingOptions().skip_bad_batches(true));
  const Throwing warnings;
  CHECK_THROWS_WITH(finder.range_test(batches_with_nan(7), range_test()), "a warning");
  CHECK(problem.differences() == "");
}

TEST_CASE("data of which most is bad ends a test even with skip_bad_batches") {
  Problem problem;
  auto finder = problem.finder(TrainingOptions().skip_bad_batches(true));
  auto data = class_batches(4, 6, 4, 3);
  for (auto& batch : data) batch.data.fill_(std::numeric_limits<float>::infinity());
  CHECK_THROWS_WITH(finder.range_test(data, range_test()), contains("more than half of the first"));
  CHECK(problem.differences() == "");
}

TEST_CASE("a validation loss that is not finite before any update ends a search") {
  Problem problem;
  auto finder = problem.finder();
  const auto data = class_batches(30, 6, 4, 3);
  CHECK_THROWS_WITH(finder.find(data, batches_with_nan(0, 1), TrainingPlan().steps(300)),
                    contains("look at the validation data"));
  CHECK(problem.differences() == "");
}
