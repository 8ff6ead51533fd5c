// What a snapshot costs: the peak memory of a range test beyond that of the same loop written by
// hand, and the time to save and give back, on a model of 200 MB with momentum and gradients.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

namespace {

constexpr int layers = 10;
constexpr int width = 2290;
constexpr double mega = 1e6;

// A figure of /proc/self/status, in bytes.
double memory(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kibibytes = 0;
    if (word == name + ":" && status >> kibibytes) return kibibytes * 1024;
  }
  std::fputs("no /proc/self/status\n", stderr);
  std::exit(1);
}

struct Figures {
  double peak = 0;     // bytes beyond what was in use before
  double seconds = 0;  // of the whole
};

// Trains or tests for a few iterations in a process of its own.
template <class Run>
Figures in_own_process(Run&& run) {
  int channel[2];
  if (::pipe(channel) != 0) std::exit(1);
  if (::fork() == 0) {
    torch::manual_seed(1);
    torch::nn::Sequential model;
    for (int i = 0; i < layers; ++i) model->push_back(torch::nn::Linear(width, width));
    torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(1e-6).momentum(0.9));
    const auto batch = torch::data::Example<>(torch::randn({4, width}), torch::randn({4, width}));
    const auto train = [&](int steps) {
      for (int i = 0; i < steps; ++i) {
        optimizer.zero_grad();
        torch::mse_loss(model->forward(batch.data), batch.target).backward();
        optimizer.step();
      }
    };
    train(2);
    std::ofstream("/proc/self/clear_refs") << 5;  // forgets the peak so far
    const double before = memory("VmRSS");
    const auto start = std::chrono::steady_clock::now();
    run(model, optimizer, batch, train);
    const std::chrono::duration<double> duration = std::chrono::steady_clock::now() - start;
    const Figures figures{memory("VmHWM") - before, duration.count()};
    if (::write(channel[1], &figures, sizeof figures) != sizeof figures) std::_Exit(1);
    std::_Exit(0);
  }
  Figures figures;
  if (::read(channel[0], &figures, sizeof figures) != sizeof figures) std::exit(1);
  ::wait(nullptr);
  ::close(channel[0]);
  ::close(channel[1]);
  return figures;
}

}  // namespace

int main() {
  const double parameters = 4.0 * layers * (width + 1) * width;
  const double state = 3 * parameters;  // with momentum and gradients
  std::printf("State: %.0f MB (%.0f MB of parameters, as much momentum and gradients)\n",
              state / mega, parameters / mega);
  const Figures loop = in_own_process([](auto&, auto&, const auto&, auto& train) { train(5); });
  std::printf("%-10s %8.0f MB %24s %6.2f s\n", "loop", loop.peak / mega, "", loop.seconds);
  using lrfinder::Snapshot;
  const std::pair<const char*, Snapshot> snapshots[] = {
      {"device", Snapshot::device}, {"host", Snapshot::host}, {"disk", Snapshot::disk}};
  for (const auto& [name, snapshot] : snapshots) {
    const Figures test = in_own_process(
        [snapshot = snapshot](auto& model, auto& optimizer, const auto& batch, auto&) {
          lrfinder::LRFinder finder(model, optimizer, torch::nn::MSELoss());
          const std::vector<torch::data::Example<>> loader{batch};
          finder.range_test(
              loader, lrfinder::RangeTestOptions().end_lr(1e-5).num_iter(5).snapshot(snapshot));
        });
    const double extra = test.peak - loop.peak;
    std::printf("%-10s %8.0f MB, %5.2f x state extra %6.2f s\n", name, test.peak / mega,
                extra / state, test.seconds);
  }
}
