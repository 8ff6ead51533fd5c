#include <catch2.hpp>
#include <list>
#include <memory>
#include <training.hpp>

#include <lrfinder/data/loader.hpp>

using lrfinder::EmptyLoader;
using namespace lrfinder::detail;

namespace {

// Counts how often it is begun and how many batches it makes; yields by value.
struct Counting {
  struct Iterator {
    int operator*() const { return at; }
    Iterator& operator++() {
      ++at;
      ++*made;
      return *this;
    }
    bool operator!=(int end) const { return at != end; }
    int at;
    int* made;
  };
  Iterator begin() {
    ++begun;
    ++made;
    return {0, &made};
  }
  int end() const { return size; }
  int size = 3;
  int begun = 0;
  int made = 0;
};

// Can be read only once->
struct Spent {
  const int* begin() const { return spent ? values + 2 : (spent = true, values); }
  const int* end() const { return values + 2; }
  int values[2] = {1, 2};
  mutable bool spent = false;
};

// Takes batches as they come; their loss is what they hold.
struct Unchanged {
  template <class Batch>
  static Batch prepared(const Batch& batch, torch::Device) {
    return batch;
  }
  static ForwardResult forward_loss(int batch) { return {torch::tensor(batch), {}, {}}; }
  static ForwardResult forward_loss(const TensorBatch& batch) { return {batch.data, {}, {}}; }
  template <class Batch>
  static constexpr bool has_metrics() {
    return false;
  }
};

template <class Loader>
std::unique_ptr<AnyBatchIterator> iterate(Loader& loader, const char* name = "loader") {
  static Unchanged objective;
  return erased(objective, loader, name).iterate(torch::kCPU);
}

int number(const std::shared_ptr<AnyBatch>& batch) {
  return batch->forward_loss().loss.item<int>();
}

}  // namespace

TEST_CASE("what a range-based for loop iterates over is a loader") {
  STATIC_REQUIRE(is_loader<std::vector<TensorBatch>>);
  STATIC_REQUIRE(is_loader<const std::list<int>>);
  STATIC_REQUIRE(is_loader<int[3]>);
  STATIC_REQUIRE(is_loader<Counting>);
  STATIC_REQUIRE(is_loader<std::decay_t<decltype(*shuffling_loader())>>);
  STATIC_REQUIRE_FALSE(is_loader<decltype(shuffling_loader())>);
  STATIC_REQUIRE_FALSE(is_loader<int>);
}

TEST_CASE("iteration goes on at the first batch after the last") {
  Counting loader;
  const auto batches = iterate(loader);
  std::vector<int> seen;
  for (int i = 0; i < 8; ++i) seen.push_back(number(batches->next()));
  CHECK(seen == std::vector<int>{0, 1, 2, 0, 1, 2, 0, 1});
  CHECK(loader.begun == 3);
}

TEST_CASE("a batch is fetched when it is wanted, not before") {
  Counting loader;
  const auto batches = iterate(loader);
  CHECK(loader.begun == 0);
  batches->start();
  CHECK(loader.made == 1);
  batches->next();
  CHECK(loader.made == 1);
  batches->next();
  CHECK(loader.made == 2);
  CHECK(loader.begun == 1);
}

TEST_CASE("a pass visits every batch once, or as many as are wanted") {
  Counting loader;
  const auto batches = iterate(loader);
  for (int wanted : {3, 2, 3}) {
    std::vector<int> seen;
    batches->for_each([&](const std::shared_ptr<AnyBatch>& batch) {
      seen.push_back(number(batch));
      return static_cast<int>(seen.size()) < wanted;
    });
    CHECK(static_cast<int>(seen.size()) == wanted);
    CHECK(seen.front() == 0);
  }
  CHECK(loader.begun == 3);
}

TEST_CASE("a loader without batches is an error that says when") {
  Counting empty{0};
  const auto batches = iterate(empty, "training loader");
  CHECK_THROWS_AS(batches->start(), EmptyLoader);
  CHECK_THROWS_WITH(batches->start(),
                    contains("the training loader yields no batch; is its dataset"));

  Spent spent;
  const auto once = iterate(spent, "training loader");
  once->next();
  once->next();
  CHECK_THROWS_WITH(once->next(), contains("in a second pass"));
}

TEST_CASE("iteration over a LibTorch loader draws what a loop over it draws") {
  auto loader = shuffling_loader();
  torch::manual_seed(5);
  std::vector<torch::Tensor> looped;
  for (int pass = 0; pass < 2; ++pass) {
    for (auto& batch : *loader) looped.push_back(batch.data);
  }
  torch::manual_seed(5);
  const auto batches = iterate(*loader);
  std::vector<torch::Tensor> iterated;
  while (iterated.size() < looped.size()) iterated.push_back(batches->next()->forward_loss().loss);
  CHECK(same_bits(iterated, looped));
}
