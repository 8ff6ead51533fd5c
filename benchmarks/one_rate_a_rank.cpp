// What a search takes with one trial a rank, beside the same search of one process: processes on
// this machine over Gloo, one thread each, an MLP of 784, `width` and 10 units. Both in turn;
// medians in milliseconds, and their ratio. Three trials depend on nothing, so that it is at best
// 1 / ranks for up to three ranks, if the cores of a machine do not slow each other down. How much
// they do is measured, too: "at once" is what the search of one process takes while every process
// runs it, over what it takes alone, divided by the ranks.
// And what the ranks exchange while they train. Freed memory stays in the process, as in
// range_test_speed.
//
//   OMP_NUM_THREADS=1 one_rate_a_rank [REPEATS [RANKS]]

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed.hpp>
#include <lrfinder/lrfinder.hpp>
#include <lrfinder/parallel_trials.hpp>

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

void measure_search(const std::shared_ptr<lrfinder::Communicator>& ranks, std::int64_t width,
                    std::int64_t batch, int repeats) {
  torch::manual_seed(1);
  const Batches batches = images(batch);
  torch::nn::Sequential model(torch::nn::Linear(784, width), torch::nn::ReLU(),
                              torch::nn::Linear(width, 10));
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(1e-3).momentum(0.9));
  lrfinder::LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  // Only trials are measured, as every rank makes the range test.
  const auto options =
      lrfinder::FindOptions(lrfinder::TrainingPlan().steps(3000).decay(lrfinder::Decay::cosine))
          .history(finder.range_test(batches, lrfinder::RangeTestOptions().start_lr(1e-7)));
  std::vector<double> alone, in_parallel, at_once;
  std::size_t trials = 0;
  for (int i = 0; i < repeats; ++i) {
    alone.push_back(time_of(*ranks, [&] {
      if (ranks->rank() == 0) finder.find(batches, options);
    }));
    in_parallel.push_back(time_of(*ranks, [&] {
      trials =
          finder
              .find(batches,
                    lrfinder::FindOptions(options).trial_runner(lrfinder::parallel_trials(ranks)))
              .trials.size();
    }));
    at_once.push_back(time_of(*ranks, [&] {
      finder.find(batches, options);
      ranks->sum({0});
    }));
  }
  if (ranks->rank() != 0) return;
  std::printf("%6lld %6lld %6zu %12.1f %10.1f %6.3f %8.3f\n", static_cast<long long>(width),
              static_cast<long long>(batch), trials, median(alone), median(in_parallel),
              median(in_parallel) / median(alone),
              median(at_once) / median(alone) / static_cast<double>(ranks->size()));
  std::fflush(stdout);
}

void measure_meeting(const std::shared_ptr<lrfinder::Communicator>& ranks) {
  lrfinder::detail::Session session(ranks);
  const auto meeting = [&](std::size_t values) {
    std::vector<double> times;
    for (int i = 0; i < 1000; ++i) {
      times.push_back(time_of(*ranks, [&] { session.sum(std::vector<double>(values)); }));
    }
    return median(times);
  };
  const double few = meeting(31), many = meeting(200);
  if (ranks->rank() != 0) return;
  std::printf("meeting %.3f ms, with many metrics %.3f ms\n", few, many);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 9;
  const int processes = argc > 2 ? std::atoi(argv[2]) : 2;
  if (std::getenv("OMP_NUM_THREADS") == nullptr) {
    std::fputs("set OMP_NUM_THREADS=1: else one process uses all cores\n", stderr);
    return 1;
  }
  keep_freed_memory();
  std::printf(" width  batch trials  one process %4d ranks  ratio  at once\n", processes);
  std::fflush(stdout);
  const bool done = on_ranks(processes, [&](const std::shared_ptr<lrfinder::Communicator>& ranks) {
    for (const std::int64_t width : {128, 1024}) {
      for (const std::int64_t batch : {16, 128}) measure_search(ranks, width, batch, repeats);
    }
    measure_meeting(ranks);
  });
  return done ? 0 : 1;
}
