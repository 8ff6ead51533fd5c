#include <catch2.hpp>
#include <memory>
#include <string>
#include <training.hpp>
#include <vector>
#include <warnings.hpp>

#include <lrfinder/data/loader.hpp>
#include <lrfinder/training/kept_batches.hpp>

using lrfinder::detail::AnyBatch;
using lrfinder::detail::KeptBatches;
using lrfinder::detail::KeptBatchIterator;

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

// The first number of `count` batches and, between them, random numbers as a model draws them.
template <class Loader>
std::vector<double> numbers(KeptBatches* kept, Loader& loader, int count) {
  Objective objective(weight_of_one(), Criterion());
  lrfinder::detail::TypedLoader<Objective, Loader> typed(objective, loader, "loader");
  auto batches = typed.iterate(torch::kCPU);
  if (kept) batches = std::make_unique<KeptBatchIterator>(*kept, std::move(batches));
  torch::manual_seed(9);
  batches->start();
  std::vector<double> result;
  for (int i = 0; i < count; ++i) {
    result.push_back(batches->next()->evaluate().output.template item<double>());
    result.push_back(torch::rand({1}).item<double>());
  }
  return result;
}

}  // namespace kept_batches_test

using namespace kept_batches_test;

TEST_CASE("kept batches are those of the loader, with the same random numbers between them") {
  DrawingLoader loader;
  const auto expected = numbers(nullptr, loader, 7);
  KeptBatches kept(torch::kCPU, 1 << 20);
  CHECK(numbers(&kept, loader, 7) == expected);
  loader.loaded = 0;
  CHECK(numbers(&kept, loader, 7) == expected);
  CHECK(loader.loaded == 0);
}

TEST_CASE("a longer training goes on in the loader after the kept batches") {
  DrawingLoader loader;
  const auto expected = numbers(nullptr, loader, 11);
  KeptBatches kept(torch::kCPU, 1 << 20);
  numbers(&kept, loader, 4);
  CHECK(kept.size() == 4);
  loader.loaded = 0;
  CHECK(numbers(&kept, loader, 11) == expected);
  CHECK(kept.size() == 11);
  CHECK(loader.loaded == 7);
}

TEST_CASE("batches that take too much memory are loaded again, and a warning says so once") {
  DrawingLoader loader;
  const auto expected = numbers(nullptr, loader, 7);
  KeptBatches kept(torch::kCPU, 30);  // a batch has 8 bytes
  const Warnings warnings;
  for (int training = 0; training < 3; ++training) CHECK(numbers(&kept, loader, 7) == expected);
  CHECK(kept.size() == 3);
  REQUIRE(warnings.texts.size() == 1);
  CHECK(warnings.texts[0].find("more than cache_training (30 bytes)") != std::string::npos);
}

TEST_CASE("a loader without batches is found out at the start") {
  std::vector<TensorBatch> nothing;
  KeptBatches kept(torch::kCPU, 1 << 20);
  CHECK_THROWS_AS(numbers(&kept, nothing, 1), lrfinder::EmptyLoader);
}
