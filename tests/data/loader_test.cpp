#include <catch2.hpp>
#include <list>
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

// Can be read only once.
struct Spent {
  const int* begin() const { return spent ? values + 2 : (spent = true, values); }
  const int* end() const { return values + 2; }
  int values[2] = {1, 2};
  mutable bool spent = false;
};

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
  BatchIterator batches(loader, "loader");
  std::vector<int> seen;
  for (int i = 0; i < 8; ++i) seen.push_back(batches.next());
  CHECK(seen == std::vector<int>{0, 1, 2, 0, 1, 2, 0, 1});
  CHECK(loader.begun == 3);
}

TEST_CASE("a batch is fetched when it is wanted, not before") {
  Counting loader;
  BatchIterator batches(loader, "loader");
  CHECK(loader.begun == 0);
  batches.start();
  CHECK(loader.made == 1);
  batches.next();
  CHECK(loader.made == 1);
  batches.next();
  CHECK(loader.made == 2);
  CHECK(loader.begun == 1);
}

TEST_CASE("a pass visits every batch once, or as many as are wanted") {
  Counting loader;
  BatchIterator batches(loader, "loader");
  for (int wanted : {3, 2, 3}) {
    std::vector<int> seen;
    batches.for_each([&](int batch) {
      seen.push_back(batch);
      return static_cast<int>(seen.size()) < wanted;
    });
    CHECK(static_cast<int>(seen.size()) == wanted);
    CHECK(seen.front() == 0);
  }
  CHECK(loader.begun == 3);
}

TEST_CASE("a loader without batches is an error that says when") {
  Counting empty{0};
  BatchIterator batches(empty, "training loader");
  CHECK_THROWS_AS(batches.start(), EmptyLoader);
  CHECK_THROWS_WITH(batches.start(),
                    contains("the training loader yields no batch; is its dataset"));

  Spent spent;
  BatchIterator once(spent, "training loader");
  once.next();
  once.next();
  CHECK_THROWS_WITH(once.next(), contains("in a second pass"));
}

TEST_CASE("iteration over a LibTorch loader draws what a loop over it draws") {
  auto loader = shuffling_loader();
  torch::manual_seed(5);
  std::vector<torch::Tensor> looped;
  for (int pass = 0; pass < 2; ++pass) {
    for (auto& batch : *loader) looped.push_back(batch.data);
  }
  torch::manual_seed(5);
  BatchIterator batches(*loader, "loader");
  std::vector<torch::Tensor> iterated;
  while (iterated.size() < looped.size()) iterated.push_back(batches.next().data);
  CHECK(same_bits(iterated, looped));
}
