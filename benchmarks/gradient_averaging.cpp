// What averaging the gradients costs beyond the bare all-reduce of the same bytes: 2 processes on
// this machine over Gloo, 1e4 to 1e8 parameters in 16 or 256 tensors. "Kept": the backward pass has
// added to the gradients of the update before, as after zeroing in place; "new": it has made new
// ones. All are timed in turn; medians in milliseconds, and their ratio to the bare all-reduce.
//
//   gradient_averaging [--bucket-mb N] [--largest N]

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed.hpp>
#include <lrfinder/distributed/gradient_averaging.hpp>
#include <lrfinder/distributed/health_check.hpp>

#include "support/ranks.hpp"

namespace {

void measure(lrfinder::Communicator& ranks, std::int64_t parameters, std::int64_t tensors,
             std::int64_t bucket_bytes) {
  std::vector<torch::Tensor> model;
  for (std::int64_t i = 0; i < tensors; ++i) {
    model.push_back(torch::zeros({parameters / tensors}).requires_grad_());
  }
  const auto make_gradients = [&] {
    for (torch::Tensor& parameter : model) parameter.mutable_grad() = torch::ones_like(parameter);
  };
  const torch::optim::SGD optimizer(model, 0.1);
  const lrfinder::detail::GradientAveraging average(optimizer, bucket_bytes);
  const torch::Tensor bare = torch::zeros({parameters / tensors * tensors});
  make_gradients();
  std::vector<double> times_bare, times_kept, times_new;
  const int repeats = parameters >= 100'000'000 ? 7 : parameters >= 1'000'000 ? 31 : 201;
  for (int i = 0; i < repeats; ++i) {
    const auto average_gradients = [&] { average.run(ranks, /*some_missing=*/false); };
    times_kept.push_back(time_of(ranks, average_gradients));
    times_bare.push_back(time_of(ranks, [&] { ranks.begin_sum(bare)(); }));
    make_gradients();
    times_new.push_back(time_of(ranks, average_gradients));
  }
  if (ranks.rank() != 0) return;
  const double unit = median(times_bare);
  std::printf("%10.0e %8lld %12.2f %10.2f %6.2f %10.2f %6.2f\n", static_cast<double>(parameters),
              static_cast<long long>(tensors), unit, median(times_kept), median(times_kept) / unit,
              median(times_new), median(times_new) / unit);
  std::fflush(stdout);
}

/// What every iteration waits for besides: the health check.
void measure_health_check(const std::shared_ptr<lrfinder::Communicator>& ranks) {
  lrfinder::detail::HealthCheck health_check(ranks);
  std::vector<double> times;
  for (int i = 0; i < 1000; ++i) {
    times.push_back(time_of(
        *ranks, [&] { health_check.sum_if_all_well(lrfinder::detail::SyncPoint::measured); }));
  }
  if (ranks->rank() == 0) std::printf("health check %.2f\n", median(times));
}

}  // namespace

int main(int argc, char** argv) {
  std::int64_t bucket_bytes = 25 * 1024 * 1024;
  std::int64_t largest = 100'000'000;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (argv[i] == std::string_view("--bucket-mb")) bucket_bytes = std::atoll(argv[i + 1]) << 20;
    if (argv[i] == std::string_view("--largest")) largest = std::atoll(argv[i + 1]);
  }
  std::puts("parameters  tensors   all-reduce       kept  ratio        new  ratio");
  std::fflush(stdout);
  const bool done = on_ranks(2, [&](const std::shared_ptr<lrfinder::Communicator>& ranks) {
    measure_health_check(ranks);
    for (std::int64_t parameters = 10'000; parameters <= largest; parameters *= 10) {
      for (const std::int64_t tensors : {16, 256}) {
        measure(*ranks, parameters, tensors, bucket_bytes);
      }
    }
  });
  return done ? 0 : 1;
}
