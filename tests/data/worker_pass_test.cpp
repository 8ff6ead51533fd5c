#include <atomic>
#include <catch2.hpp>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <training.hpp>
#include <utility>
#include <vector>
#include <warnings.hpp>

#include <lrfinder/data/loader.hpp>
#include <lrfinder/data/worker_pass.hpp>
#include <lrfinder/lrfinder.hpp>

using lrfinder::FindOptions;
using lrfinder::LRFinder;
using lrfinder::RangeTestOptions;
using lrfinder::TrainingOptions;
using lrfinder::TrainingPlan;
using lrfinder::detail::AnyBatchIterator;
using torch::data::DataLoaderOptions;

namespace worker_pass_test {

// 52 samples, with what `augment` adds to each.
struct Samples : torch::data::datasets::Dataset<Samples> {
  explicit Samples(std::function<torch::Tensor(std::size_t)> augment_by)
      : augment(std::move(augment_by)) {}
  TensorBatch get(std::size_t index) override {
    const auto target = torch::tensor(static_cast<std::int64_t>(index % 3));
    return {3 * torch::one_hot(target, 4) + augment(index), target};
  }
  torch::optional<std::size_t> size() const override { return 52; }
  std::function<torch::Tensor(std::size_t)> augment;
};

torch::Tensor draw(std::size_t) { return torch::randn({4}); }
torch::Tensor draw_long(std::size_t) { return torch::randn({50000}).slice(0, 0, 4); }
torch::Tensor draw_late(std::size_t index) { return index < 40 ? torch::ones({4}) : draw(index); }
torch::Tensor draw_nothing(std::size_t) { return torch::ones({4}); }

template <class Sampler = torch::data::samplers::RandomSampler>
auto loader_of(std::function<torch::Tensor(std::size_t)> augment, std::size_t workers) {
  return torch::data::make_data_loader<Sampler>(
      Samples(std::move(augment)).map(torch::data::transforms::Stack<>()),
      DataLoaderOptions(4).workers(workers).enforce_ordering(false));
}

// Hands out the numbers from 0 to 19, each once in a pass.
struct Counter : torch::data::datasets::StatefulDataset<Counter, std::vector<int>> {
  torch::optional<std::vector<int>> get_batch(std::size_t size) override {
    const std::lock_guard<std::mutex> lock(*mutex);
    std::vector<int> batch;
    while (*next < 20 && batch.size() < size) batch.push_back((*next)++);
    return batch.empty() ? torch::nullopt : torch::make_optional(batch);
  }
  torch::optional<std::size_t> size() const override { return 20; }
  void reset() override { *next = 0; }
  void save(torch::serialize::OutputArchive&) const override {}
  void load(torch::serialize::InputArchive&) override {}
  std::shared_ptr<int> next = std::make_shared<int>(0);
  std::shared_ptr<std::mutex> mutex = std::make_shared<std::mutex>();
};

// Takes batches as they come; their loss is what they hold.
struct Unchanged {
  template <class Batch>
  static Batch prepared(const Batch& batch, torch::Device) {
    return batch;
  }
  static lrfinder::detail::ForwardResult forward_loss(const TensorBatch& batch) {
    return {batch.data, {}, {}};
  }
  static lrfinder::detail::ForwardResult forward_loss(const std::vector<int>& batch) {
    return {torch::tensor(batch), {}, {}};
  }
  template <class Batch>
  static constexpr bool has_metrics() {
    return false;
  }
};

template <class Loader>
std::unique_ptr<AnyBatchIterator> pass_over(Loader& loader) {
  static Unchanged objective;
  return lrfinder::detail::erased(objective, loader, "loader").iterate(torch::kCPU);
}

torch::Tensor next_in(AnyBatchIterator& batches) { return batches.next()->forward_loss().loss; }

// The batches of a loader, and between them random numbers as a model draws them.
template <class Loader>
std::vector<torch::Tensor> draws(Loader& loader) {
  torch::manual_seed(3);
  std::vector<torch::Tensor> all;
  for (const int count : {5, 30}) {  // the first pass stops midway
    const auto batches = pass_over(loader);
    for (int i = 0; i < count; ++i) {
      all.push_back(next_in(*batches));
      all.push_back(torch::rand({20}));
    }
  }
  all.push_back(torch::rand({1}));
  return all;
}

// Losses of a search and of training after it, for a model with dropout.
std::vector<double> search_and_train(std::size_t workers, const TrainingOptions& options,
                                     bool with_validation) {
  torch::manual_seed(1);
  const auto loader = loader_of(draw, workers);
  const auto val_loader = loader_of(draw, workers);
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 0.1);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss(), options);
  const auto find =
      FindOptions().plan(TrainingPlan().steps(100)).range_test(RangeTestOptions().num_iter(30));
  const auto found =
      with_validation ? finder.find(*loader, *val_loader, find) : finder.find(*loader, find);
  std::vector<double> losses = finder.history().raw_loss;
  for (const auto& trial : found.trials) losses.insert(losses.end(), {trial.lr, trial.loss});
  const auto batches = pass_over(*loader);
  for (int i = 0; i < 3; ++i) {
    losses.push_back(
        model->forward(on_test_device(next_in(*batches))).sum().template item<double>());
  }
  return losses;
}

}  // namespace worker_pass_test

using namespace worker_pass_test;

TEST_CASE("with workers the batches and the random numbers are those without, 20 times") {
  const auto augment = GENERATE(draw, draw_late, draw_nothing);
  const auto without = loader_of(augment, 0);
  const auto expected = draws(*without);
  for (const std::size_t workers : {1U, 2U, 4U}) {
    const auto loader = loader_of(augment, workers);
    int equal = 0;
    for (int repeat = 0; repeat < 20; ++repeat) equal += same_bits(draws(*loader), expected);
    CAPTURE(workers);
    CHECK(equal == 20);
  }
}

TEST_CASE("a search with dropout and augmentation is the same with any workers, 20 times") {
  const bool with_validation = GENERATE(false, true);
  auto options = TrainingOptions();
  if (with_validation) options.cache_training(0).cache_validation(0);
  const auto expected = search_and_train(0, options, with_validation);
  const int repeats = device_of_test.is_cpu() ? 20 : 1;  // the workers know nothing of a device
  for (const std::size_t workers : {1U, 2U, 4U}) {
    int equal = 0;
    for (int repeat = 0; repeat < repeats; ++repeat) {
      equal += search_and_train(workers, options, with_validation) == expected;
    }
    CAPTURE(workers, with_validation);
    CHECK(equal == repeats);
  }
}

TEST_CASE("a search over a loader with workers restores the random state, also when it throws") {
  const bool throws = GENERATE(false, true);
  const auto loader = loader_of(draw_long, 2);  // so that a worker that reads ahead is still at it
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 0.1);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  auto range_test = RangeTestOptions().num_iter(30);
  range_test.on_iteration([&](const lrfinder::Iteration& iteration) {
    if (throws && iteration.index == 5) throw std::runtime_error("stop");
    return true;
  });
  for (int repeat = 0; repeat < 5; ++repeat) {
    torch::manual_seed(8);
    const auto expected = torch::rand({1});
    torch::manual_seed(8);
    const auto find = [&] {
      finder.find(*loader, FindOptions().plan(TrainingPlan().steps(100)).range_test(range_test));
    };
    if (throws) {
      CHECK_THROWS_AS(find(), std::runtime_error);
    } else {
      find();
    }
    CHECK(same_bits(torch::rand({1}), expected));
  }
}

TEST_CASE("workers that draw nothing load side by side") {
  std::mutex mutex;
  std::condition_variable met;
  int present = 0;
  bool have_met = false;
  // From the second batch on, waits until another worker is here, too.
  const auto meet = [&](std::size_t index) {
    if (index >= 4) {
      std::unique_lock<std::mutex> lock(mutex);
      have_met = have_met || ++present == 2;
      met.notify_all();
      met.wait_for(lock, std::chrono::seconds(20), [&] { return have_met; });
      --present;
    }
    return torch::ones({4});
  };
  const auto loader = loader_of<torch::data::samplers::SequentialSampler>(meet, 2);
  const auto batches = pass_over(*loader);
  for (int i = 0; i < 13; ++i) CHECK(next_in(*batches)[0][0].item<double>() >= 1);
  CHECK(have_met);
}

TEST_CASE("an exception in a worker comes when its batch is due, and the loader stays of use") {
  std::atomic<bool> fails{true};
  const auto fail = [&](std::size_t index) {
    if (fails && index == 12) throw std::runtime_error("no sample 12");
    return torch::ones({4});
  };
  const auto loader = loader_of<torch::data::samplers::SequentialSampler>(fail, 2);
  const auto batches = pass_over(*loader);
  for (int i = 0; i < 3; ++i) batches->next();
  CHECK_THROWS_WITH(batches->next(), contains("no sample 12"));
  fails = false;
  int seen = 0;
  for (auto& batch : *loader) seen += static_cast<int>(batch.data.size(0));
  CHECK(seen == 52);
}

TEST_CASE("the user's own pass over a loader with workers goes on after ours, or refuses it") {
  const auto loader = loader_of(draw, 2);
  const int batch_of_pass = GENERATE(1, 13);
  int seen = 0;
  for (auto& batch : *loader) {
    static_cast<void>(batch);
    if (++seen != batch_of_pass) continue;
    if (seen == 1) {
      CHECK_THROWS_WITH(pass_over(*loader)->next(), contains("not yet exhausted"));
    } else {
      pass_over(*loader)->next();  // no worker is at work after the last batch
    }
  }
  CHECK(seen == 13);
  CHECK(loader->options().max_jobs == 4);
}

TEST_CASE("a pass that was left in the middle ends when a test begins, and a warning says so") {
  const auto loader = shuffling_loader(/*workers=*/2);
  torch::nn::Linear model(4, 3);
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  lrfinder::LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  const auto losses = [&] {
    torch::manual_seed(5);
    return finder.range_test(*loader, lrfinder::RangeTestOptions().num_iter(10)).raw_loss;
  };
  const auto expected = losses();
  const Warnings warnings;
  CHECK(loader->begin()->data.size(0) == 8);
  CHECK(losses() == expected);
  REQUIRE(warnings.texts.size() == 1);
  CHECK_THAT(warnings.texts[0], contains("the training loader was in the middle of a pass"));
}

TEST_CASE("a stateful dataset is read in its order, whatever the workers") {
  for (const std::size_t workers : {1U, 3U}) {
    const auto loader =
        torch::data::make_data_loader(Counter(), DataLoaderOptions(3).workers(workers));
    for (int repeat = 0; repeat < 100; ++repeat) {
      const auto batches = pass_over(*loader);
      for (const int count : {0, 3, 6, 9, 12, 15, 18, 0}) {
        CHECK(next_in(*batches)[0].item<int>() == count);
      }
    }
  }
}
