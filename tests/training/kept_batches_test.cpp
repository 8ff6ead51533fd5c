#include <catch2.hpp>
#include <training.hpp>
#include <vector>
#include <warnings.hpp>

#include <lrfinder/data/loader.hpp>
#include <lrfinder/data/objective.hpp>
#include <lrfinder/lrfinder.hpp>
#include <lrfinder/training/kept_batches.hpp>

using lrfinder::detail::AnyBatch;
using lrfinder::detail::AnyLoader;
using lrfinder::detail::TrainingBatches;
using lrfinder::detail::ValidationBatches;

namespace kept_batches_test {

using Model = torch::nn::Linear;
using Criterion = torch::nn::MSELoss;
using Objective = lrfinder::detail::Objective<Model, Criterion>;

// Batches of one number, drawn when they are loaded, and in a new order in each pass.
struct DrawingLoader {
  struct Iterator {
    TensorBatch operator*() const {
      ++loader->loaded;
      return {torch::rand({1, 1}), torch::full({1, 1}, static_cast<double>(at))};
    }
    Iterator& operator++() {
      ++at;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at != other.at; }
    const DrawingLoader* loader;
    int at;
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, 3}; }
  mutable int loaded = 0;
};

// A loader with the objective that its batches are for.
template <class Loader>
struct Setup {
  Objective objective{weight_of_one(), Criterion()};
  Loader loader;
  AnyLoader any = lrfinder::detail::erased(objective, loader, "loader");
};

double number(AnyBatch& batch) { return batch.forward_loss().output.item<double>(); }

// The numbers of `count` batches and, between them, random numbers as a model draws them.
template <class Batches>
std::vector<double> numbers(Batches& batches, int count) {
  torch::manual_seed(9);
  batches.start();
  std::vector<double> result;
  for (int i = 0; i < count; ++i) {
    result.push_back(number(*batches.next()));
    result.push_back(torch::rand({1}).item<double>());
  }
  return result;
}

std::vector<double> loaded_numbers(const AnyLoader& loader, int count) {
  return numbers(*loader.iterate(device_of_test), count);
}

}  // namespace kept_batches_test

using namespace kept_batches_test;

TEST_CASE("kept batches are those of the loader, with the same random numbers between them") {
  Setup<DrawingLoader> setup;
  const auto expected = loaded_numbers(setup.any, 7);
  TrainingBatches batches(setup.any, device_of_test, 1 << 20);
  CHECK(numbers(batches, 7) == expected);
  setup.loader.loaded = 0;
  CHECK(numbers(batches, 7) == expected);
  CHECK(setup.loader.loaded == 0);
}

TEST_CASE("a longer training goes on in the loader after the kept batches") {
  Setup<DrawingLoader> setup;
  const auto expected = loaded_numbers(setup.any, 11);
  TrainingBatches batches(setup.any, device_of_test, 1 << 20);
  numbers(batches, 4);
  batches.stop();
  setup.loader.loaded = 0;
  CHECK(numbers(batches, 11) == expected);
  CHECK(setup.loader.loaded == 7);
}

TEST_CASE("batches that take too much memory are loaded again, and a warning says so once") {
  Setup<DrawingLoader> setup;
  const auto expected = loaded_numbers(setup.any, 7);
  TrainingBatches batches(setup.any, device_of_test, 30);  // a batch has 8 bytes
  const Warnings warnings;
  for (int training = 0; training < 3; ++training) {
    CHECK(numbers(batches, 7) == expected);
    batches.stop();
  }
  REQUIRE(warnings.texts.size() == 1);
  CHECK_THAT(warnings.texts[0],
             contains("first 4 batches take more than cache_training (30 bytes)"));
}

TEST_CASE("without a cache every training loads its batches") {
  Setup<DrawingLoader> setup;
  const auto expected = loaded_numbers(setup.any, 7);
  TrainingBatches batches(setup.any, device_of_test, 0);
  const Warnings warnings;
  setup.loader.loaded = 0;
  for (int training = 0; training < 2; ++training) CHECK(numbers(batches, 7) == expected);
  CHECK(setup.loader.loaded == 14);
  CHECK(warnings.texts.empty());
}

TEST_CASE("a loader without batches is found out at the start") {
  Setup<std::vector<TensorBatch>> setup;
  TrainingBatches batches(setup.any, device_of_test, 1 << 20);
  CHECK_THROWS_AS(batches.start(), lrfinder::EmptyLoader);
}

TEST_CASE("kept batches that were written into are loaded again") {
  const bool through_data = GENERATE(false, true);
  const int training = GENERATE(0, 1, 4);  // in which a batch is written into
  const int batch = GENERATE(0, 1, 16);
  // After the second use of a batch, bits are compared of every 16th.
  if (through_data && batch % 16 != 0 && training > 0) return;
  Setup<std::vector<TensorBatch>> setup;
  for (int i = 0; i < 20; ++i) {
    setup.loader.emplace_back(torch::full({1, 1}, static_cast<double>(i)), torch::zeros({1, 1}));
  }
  const auto expected = loaded_numbers(setup.any, 20);
  const Warnings warnings;
  TrainingBatches batches(setup.any, device_of_test, 1 << 20);
  for (int i = 0; i <= training; ++i) CHECK(numbers(batches, 20) == expected);
  batches.start();
  for (int i = 0; i < batch; ++i) batches.next();
  const auto tensor = batches.next()->tensors().tensors[0];
  (through_data ? tensor.data() : tensor).add_(1);
  for (int i = 0; i < 3; ++i) CHECK(numbers(batches, 20) == expected);
  REQUIRE(warnings.texts.size() == 1);
  CHECK_THAT(warnings.texts[0], contains("loaded again") && contains("writes into its batches"));
}

TEST_CASE("batches that require gradients are loaded again") {
  Setup<std::vector<TensorBatch>> setup;
  const bool is_leaf = GENERATE(false, true);
  const auto leaf = torch::ones({1, 1}, torch::requires_grad());
  setup.loader.emplace_back(is_leaf ? leaf : leaf * 2, torch::zeros({1, 1}));
  const Warnings warnings;
  TrainingBatches batches(setup.any, device_of_test, 1 << 20);
  for (int training = 0; training < 3; ++training) {
    batches.start();
    CHECK(batches.next()->tensors().tensors[0].is_same(setup.loader[0].data));
    batches.stop();
  }
  REQUIRE(warnings.texts.size() == 1);
  CHECK_THAT(warnings.texts[0], contains("require") && contains("gradients"));
}

TEST_CASE("gradients that a training leaves on batches are taken off, kept or not") {
  const std::int64_t max_bytes = GENERATE(0, 1 << 20);
  const bool had_gradient = GENERATE(false, true);
  Setup<std::vector<TensorBatch>> setup;
  const auto leaf = torch::ones({1, 1}, torch::requires_grad(had_gradient));
  setup.loader.emplace_back(leaf, torch::zeros({1, 1}));
  const auto gradient = torch::ones({1, 1});
  if (had_gradient) leaf.mutable_grad() = gradient;
  const Warnings warnings;
  TrainingBatches batches(setup.any, device_of_test, max_bytes);
  for (int training = 0; training < 4; ++training) {
    batches.start();
    const auto input = batches.next()->tensors().tensors[0];
    input.requires_grad_();
    (3 * input).sum().backward();
    CHECK(input.grad().item<float>() == (had_gradient ? 4 : 3));
    batches.stop();
    CHECK(leaf.requires_grad() == had_gradient);
    CHECK(leaf.grad().defined() == had_gradient);
    if (had_gradient) CHECK(leaf.grad().is_same(gradient));
    CHECK(gradient.item<float>() == 1);
  }
  CHECK(warnings.texts.size() == (max_bytes > 0 && had_gradient ? 1 : 0));
}

TEST_CASE("the batches of a long training can go, though their gradients are taken off") {
  struct Endless {
    struct Iterator {
      TensorBatch operator*() const { return {torch::ones({1, 1}), torch::zeros({1, 1})}; }
      Iterator& operator++() { return *this; }
      bool operator!=(const Iterator&) const { return true; }
    };
    Iterator begin() const { return {}; }
    Iterator end() const { return {}; }
  };
  Setup<Endless> setup;
  TrainingBatches batches(setup.any, device_of_test, 0);
  batches.start();
  std::vector<c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>> inputs;
  for (int i = 0; i < 1000; ++i) {
    const auto input = batches.next()->tensors().tensors[0];
    inputs.emplace_back(input.getIntrusivePtr());
  }
  std::size_t remembered = 0;
  for (auto& input : inputs) {
    CHECK(input.expired());
    if (input.weak_use_count() > 1) ++remembered;
  }
  CHECK(remembered < 200);
}

TEST_CASE("adversarial examples are the same in every test, whatever the loader keeps") {
  struct Fresh {
    struct Iterator {
      TensorBatch operator*() const {
        return {at->data.detach().clone().set_requires_grad(at->data.requires_grad()), at->target};
      }
      Iterator& operator++() {
        ++at;
        return *this;
      }
      bool operator!=(const Iterator& other) const { return at != other.at; }
      const TensorBatch* at;
    };
    Iterator begin() const { return {batches.data()}; }
    Iterator end() const { return {batches.data() + batches.size()}; }
    std::vector<TensorBatch> batches;
  };
  Fresh fresh{class_batches(60, 6, 4, 3)};
  const bool require_gradients = GENERATE(false, true);
  for (auto& batch : fresh.batches) batch.data.set_requires_grad(require_gradients);
  const auto results = [](const auto& loader, const lrfinder::TrainingOptions& options) {
    torch::manual_seed(1);
    torch::nn::Sequential model(torch::nn::Linear(4, 8), torch::nn::Tanh(),
                                torch::nn::Linear(8, 3));
    torch::optim::SGD optimizer(model->parameters(), 1e-3);
    const auto loss = [](auto& of, const auto& input, const auto& target) {
      return torch::nn::functional::cross_entropy(of->forward(input), target);
    };
    lrfinder::LRFinder finder(
        model, optimizer,
        [&](torch::nn::Sequential& of, const TensorBatch& batch) {
          batch.data.set_requires_grad(true);
          loss(of, batch.data, batch.target).backward();
          return loss(of, batch.data + batch.data.grad(), batch.target);
        },
        options);
    std::vector<double> all;
    const auto options_of_test = lrfinder::RangeTestOptions().num_iter(50);
    for (int i = 0; i < 2; ++i) {
      const auto& history = finder.range_test(loader, options_of_test);
      all.insert(all.end(), history.raw_loss.begin(), history.raw_loss.end());
      all.insert(all.end(), history.untrained_loss.begin(), history.untrained_loss.end());
    }
    const auto found = finder.find(loader, lrfinder::FindOptions()
                                               .plan(lrfinder::TrainingPlan().steps(40))
                                               .range_test(options_of_test));
    for (const auto& trial : found.trials) all.push_back(trial.loss);
    return all;
  };
  const auto expected = results(fresh, lrfinder::TrainingOptions().cache_training(0));
  CHECK(results(fresh, {}) == expected);
  CHECK(results(fresh.batches, {}) == expected);
  CHECK(results(fresh.batches, lrfinder::TrainingOptions().cache_training(0)) == expected);
  for (const auto& batch : fresh.batches) {
    CHECK(batch.data.requires_grad() == require_gradients);
    CHECK_FALSE(batch.data.grad().defined());
  }
}

TEST_CASE("a pass over validation batches ends where it should, kept or not") {
  const std::int64_t max_bytes = GENERATE(0, 10, 1 << 20);
  Setup<std::vector<TensorBatch>> setup;
  for (int i = 0; i < 5; ++i) {
    setup.loader.emplace_back(torch::full({1, 1}, static_cast<double>(i)), torch::zeros({1, 1}));
  }
  ValidationBatches batches(setup.any, device_of_test, 3, max_bytes);
  const Warnings warnings;
  for (int run = 0; run < 2; ++run) {
    batches.start();
    for (int pass = 0; pass < 3; ++pass) {
      std::vector<double> seen;
      batches.for_each([&](AnyBatch& batch) { seen.push_back(number(batch)); });
      CHECK((seen == std::vector<double>{0, 1, 2}));
    }
    batches.stop();
  }
  CHECK(warnings.texts.size() == (max_bytes == 10 ? 1 : 0));
}
