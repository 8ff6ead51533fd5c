// What a race takes with one rate a rank, beside the same race of one process: 2 processes on this
// machine over Gloo, one thread each, an MLP of 784, `width` and 10 units. Both in turn; medians in
// milliseconds, and their ratio: 1 / 2 at best, where the cores of a machine do not slow each other
// down. How much they do is measured, too: "halved" is half of what the race of one process takes
// while both run it, over what it takes alone.
// And what the ranks exchange while they train. Freed memory stays in the process, as in
// range_test_speed.
//
//   OMP_NUM_THREADS=1 one_rate_a_rank [REPEATS]

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed.hpp>
#include <lrfinder/lrfinder.hpp>

#include "support/allocator.hpp"
#include "support/ranks.hpp"

namespace {

using Batches = std::vector<torch::data::Example<>>;

Batches images(std::int64_t size) {
  Batches batches;
  for (int i = 0; i < 20; ++i) {
    const auto data = torch::randn({size, 784});
    batches.emplace_back(data, data.slice(1, 0, 10).argmax(1));
  }
  return batches;
}

void measure_race(const std::shared_ptr<lrfinder::Ranks>& ranks, std::int64_t width,
                  std::int64_t batch, double decades_up, int repeats) {
  torch::manual_seed(1);
  const Batches batches = images(batch);
  torch::nn::Sequential model(torch::nn::Linear(784, width), torch::nn::ReLU(),
                              torch::nn::Linear(width, 10));
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(1e-3).momentum(0.9));
  lrfinder::LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  finder.range_test(batches, lrfinder::RangeTestOptions().start_lr(1e-5).end_lr(1));
  // All candidates train for the same time and to their end.
  const auto options =
      lrfinder::RaceOptions().around(1e-3).decades_down(0).decades_up(decades_up).rungs(1);
  std::vector<double> alone, on_ranks, at_once;
  std::size_t trials = 0;
  for (int i = 0; i < repeats; ++i) {
    alone.push_back(time_of(*ranks, [&] {
      if (ranks->rank() == 0) finder.race(batches, options);
    }));
    on_ranks.push_back(time_of(*ranks, [&] {
      trials = finder.race(batches, lrfinder::RaceOptions(options).ranks(ranks)).table.size();
    }));
    at_once.push_back(time_of(*ranks, [&] {
      finder.race(batches, options);
      ranks->sum({0});
    }));
  }
  if (ranks->rank() != 0) return;
  std::printf("%6lld %6lld %6zu %12.1f %10.1f %6.3f %8.3f\n", static_cast<long long>(width),
              static_cast<long long>(batch), trials, median(alone), median(on_ranks),
              median(on_ranks) / median(alone), median(at_once) / median(alone) / 2);
  std::fflush(stdout);
}

void measure_exchange(const std::shared_ptr<lrfinder::Ranks>& ranks) {
  lrfinder::detail::Session session(ranks);
  const auto meeting = [&](const std::string& text) {
    std::vector<double> times;
    for (int i = 0; i < 1000; ++i) {
      times.push_back(time_of(*ranks, [&] { session.exchange({1}, text); }));
    }
    return median(times);
  };
  const double nobody = meeting(""), somebody = meeting(std::string(100, ' '));
  if (ranks->rank() != 0) return;
  std::printf("meeting %.3f ms, with results %.3f ms\n", nobody, somebody);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 9;
  if (std::getenv("OMP_NUM_THREADS") == nullptr) {
    std::fputs("set OMP_NUM_THREADS=1: else one process uses all cores\n", stderr);
    return 1;
  }
  keep_freed_memory();
  std::puts(" width  batch trials  one process    2 ranks  ratio   halved");
  std::fflush(stdout);
  const bool done = on_ranks(2, [&](const std::shared_ptr<lrfinder::Ranks>& ranks) {
    for (const std::int64_t width : {128, 1024}) {
      for (const std::int64_t batch : {16, 128}) {
        measure_race(ranks, width, batch, /*decades_up=*/0.5, repeats);
        measure_race(ranks, width, batch, /*decades_up=*/1.5, repeats);
      }
    }
    measure_exchange(ranks);
  });
  return done ? 0 : 1;
}
