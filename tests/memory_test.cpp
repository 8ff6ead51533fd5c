// A range test leaves no memory behind, and no open file.

#include <catch2.hpp>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <string>
#include <training.hpp>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

#ifdef __GLIBC__
#include <malloc.h>
#if __GLIBC_PREREQ(2, 33)  // mallinfo() of older ones counts in int
#define LRFINDER_COUNTS_MEMORY
#endif
#endif

#ifdef LRFINDER_COUNTS_MEMORY

namespace {

std::int64_t bytes_in_use() {
  const struct mallinfo2 info = ::mallinfo2();
  return static_cast<std::int64_t>(info.uordblks + info.hblkhd);
}

std::int64_t open_files() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return std::distance(begin(files), end(files));
}

}  // namespace

TEST_CASE("memory and open files after 1,100 range tests are those after 100") {
  const std::string kind = GENERATE("one finder", "fresh finders", "each ended by an exception");
  const bool fresh = kind == "fresh finders", throws = kind == "each ended by an exception";
  const auto snapshot = GENERATE(lrfinder::Snapshot::device, lrfinder::Snapshot::disk);
  INFO(kind << (snapshot == lrfinder::Snapshot::disk ? ", on disk" : ""));
  const int threads = torch::get_num_threads();
  torch::set_num_threads(1);  // tensors are so small that more would only wait for each other
  torch::manual_seed(1);
  torch::nn::Sequential model(torch::nn::Linear(2, 2), torch::nn::BatchNorm1d(2));
  torch::optim::Adam optimizer(model->parameters(), 1e-3);
  const auto batches = class_batches(2, 3, 2, 2), held_back = class_batches(1, 3, 2, 2, 1);
  const auto options = lrfinder::RangeTestOptions().num_iter(2).restore(fresh).on_iteration(
      [&](const lrfinder::Iteration& iteration) {
        if (throws && iteration.index > 0) throw std::runtime_error("mine");
      });
  const auto make_finder = [&] {
    return lrfinder::LRFinder(model, optimizer, torch::nn::CrossEntropyLoss(),
                              lrfinder::TrainingOptions().snapshot(snapshot));
  };
  auto finder = make_finder();
  const auto run = [&](int tests) {
    for (int i = 0; i < tests; ++i) {
      if (fresh) finder = make_finder();
      try {
        finder.range_test(batches, held_back, options);
      } catch (const std::runtime_error&) {
      }
      finder.reset();
    }
  };
  run(100);
  const std::int64_t files = open_files(), bytes = bytes_in_use();
  run(1000);
  torch::set_num_threads(threads);
  // Less than 66 bytes a test: what the allocator keeps in lists of its own counts as in use.
  CHECK(bytes_in_use() - bytes < 64 * 1024);
  CHECK(open_files() == files);
}

#else

TEST_CASE("memory after 1,100 range tests is that after 100") {
  WARN("skipped: glibc 2.33 counts the memory");
}

#endif
