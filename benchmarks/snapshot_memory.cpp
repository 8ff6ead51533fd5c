// What a snapshot costs: the peak memory of a range test beyond that of a plain training loop, and
// the time for both. The state is what is restored: 210 MB of parameters, as much of momentum, and
// as much of gradients. Fails when a promise is broken: at most 1.05 times the state for
// Snapshot::device and host, 64 MB and the largest tensor for Snapshot::disk.
//
// Snapshot::device sets the gradients aside, and the test's own take their place; host and disk
// copy them. On the CPU device and host are the same memory.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>
#include <lrfinder/torch/compatibility.hpp>

namespace {

using lrfinder::Snapshot;
using torch::optim::SGD;
using torch::optim::SGDOptions;

constexpr int layers = 10;
constexpr int width = 2290;
constexpr double mega = 1e6;
constexpr double largest_tensor = 4.0 * width * width;
constexpr double parameters = layers * (largest_tensor + 4.0 * width);
constexpr double state = 3 * parameters;

// For lrfinder an optimizer of a user's own, which goes through LibTorch's serialization.
struct DerivedOptimizer : SGD {
  using SGD::SGD;
};

// One with a state of its own kind, which only that serialization can copy.
struct OwnState : torch::optim::OptimizerCloneableParamState<OwnState> {
  void serialize(torch::serialize::OutputArchive& archive) const override {
    archive.write("momentum", momentum);
  }
  void serialize(torch::serialize::InputArchive& archive) override {
    archive.read("momentum", momentum);
  }
  torch::Tensor momentum;
};
struct OwnOptimizer : SGD {
  using SGD::SGD;
  void save(torch::serialize::OutputArchive& archive) const override {
    archive.write("steps", torch::tensor(steps));
  }
  void load(torch::serialize::InputArchive& archive) override {
    torch::Tensor saved;
    archive.read("steps", saved);
    steps = saved.item<int>();
  }
  torch::Tensor step(LossClosure = nullptr) override {
    const torch::NoGradGuard without_gradients;
    using Key = lrfinder::detail::OptimizerState::key_type;
    for (const auto& parameter : param_groups()[0].params()) {
      auto& own = state()[key<Key>(parameter)];
      if (!own) {
        auto fresh = std::make_unique<OwnState>();
        fresh->momentum = torch::zeros_like(parameter);
        own = std::move(fresh);
      }
      auto& momentum = static_cast<OwnState&>(*own).momentum;
      parameter.sub_(momentum.mul_(0.9).add_(parameter.grad()),
                     param_groups()[0].options().get_lr());
    }
    ++steps;
    return {};
  }
  template <class Key>
  static Key key(const torch::Tensor& parameter) {
    if constexpr (std::is_same_v<Key, std::string>) {
      return std::to_string(reinterpret_cast<std::uintptr_t>(parameter.unsafeGetTensorImpl()));
    } else {
      return parameter.unsafeGetTensorImpl();
    }
  }
  int steps = 0;
};

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

// Trains or tests for five iterations in a process of its own.
template <class Optimizer, class Run>
Figures in_one_process(Run&& run) {
  int channel[2];
  if (::pipe(channel) != 0) std::exit(1);
  if (::fork() == 0) {
    torch::manual_seed(1);
    torch::nn::Sequential model;
    for (int i = 0; i < layers; ++i) model->push_back(torch::nn::Linear(width, width));
    Optimizer optimizer(model->parameters(), SGDOptions(1e-6).momentum(0.9));
    const auto batch = torch::data::Example<>(torch::randn({4, width}), torch::randn({4, width}));
    const auto train = [&](int steps) {
      for (int i = 0; i < steps; ++i) {
        lrfinder::detail::zero_gradients(optimizer, /*in_place=*/true);
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
  ::close(channel[1]);
  Figures figures;
  if (::read(channel[0], &figures, sizeof figures) != sizeof figures) std::exit(1);
  ::wait(nullptr);
  ::close(channel[0]);
  return figures;
}

// The medians of five such processes: where the heap has room left for one gradient more or less is
// a matter of luck.
template <class Optimizer, class Run>
Figures in_own_process(Run&& run) {
  std::vector<double> peaks, seconds;
  for (int i = 0; i < 5; ++i) {
    const Figures figures = in_one_process<Optimizer>(run);
    peaks.push_back(figures.peak);
    seconds.push_back(figures.seconds);
  }
  std::sort(peaks.begin(), peaks.end());
  std::sort(seconds.begin(), seconds.end());
  return {peaks[2], seconds[2]};
}

// Measures one kind of optimizer. Returns whether all promises are kept.
template <class Optimizer>
bool measure(const char* optimizer_name) {
  const Figures loop =
      in_own_process<Optimizer>([](auto&, auto&, const auto&, auto& train) { train(5); });
  std::printf("\n%s\n%-7s %5.0f MB peak %34.2f s\n", optimizer_name, "loop", loop.peak / mega,
              loop.seconds);
  const std::pair<const char*, Snapshot> snapshots[] = {
      {"device", Snapshot::device}, {"host", Snapshot::host}, {"disk", Snapshot::disk}};
  bool kept = true;
  for (const auto& [name, snapshot] : snapshots) {
    const Figures test = in_own_process<Optimizer>(
        [snapshot = snapshot](auto& model, auto& optimizer, const auto& batch, auto&) {
          lrfinder::LRFinder finder(model, optimizer, torch::nn::MSELoss(),
                                    lrfinder::TrainingOptions().snapshot(snapshot));
          const std::vector<torch::data::Example<>> loader{batch};
          finder.range_test(loader,
                            lrfinder::RangeTestOptions().end_lr(1e-5).num_iter(5).paired(false));
        });
    const double extra = test.peak - loop.peak;
    const double bound = snapshot == Snapshot::disk ? largest_tensor + 64 * mega : 1.05 * state;
    kept = kept && extra <= bound;
    std::printf("%-7s %5.0f MB peak, %4.0f MB extra, bound %4.0f MB %6.2f s%s\n", name,
                test.peak / mega, extra / mega, bound / mega, test.seconds,
                extra <= bound ? "" : "  BROKEN");
  }
  return kept;
}

}  // namespace

int main() {
  std::printf(
      "State %.0f MB (parameters, momentum and gradients of %.0f MB each), "
      "largest tensor %.0f MB\n",
      state / mega, parameters / mega, largest_tensor / mega);
  const bool known = measure<SGD>("LibTorch's SGD with momentum");
  const bool derived = measure<DerivedOptimizer>("A user's optimizer derived from SGD");
  const bool own = measure<OwnOptimizer>("A user's optimizer with a state of its own");
  return known && derived && own ? 0 : 1;
}
