// A whole range test on a device that is not the CPU, whose tensors the host cannot read: where the
// loss is read some iterations late, batches have to travel, and copies have a place to choose.

#include <catch2.hpp>
#include <everything.hpp>
#include <memory>
#include <pretend_accelerator.hpp>
#include <temporary_directory.hpp>
#include <training.hpp>
#include <vector>

#include <lrfinder/lrfinder.hpp>

using lrfinder::History;
using lrfinder::LRFinder;
using lrfinder::RangeTestOptions;
using lrfinder::Snapshot;
using lrfinder::StopReason;

namespace {

const torch::Device accelerator(pretend::device_type, 0);

// LibTorch's own modules are made on the CPU, and before LibTorch 2.0 cannot move to this device.
struct NetImpl : torch::nn::Module {
  explicit NetImpl(torch::Device device) {
    torch::manual_seed(3);
    hidden = register_parameter("hidden", torch::randn({4, 8}).to(device));
    bias = register_parameter("bias", torch::zeros(8).to(device));
    output = register_parameter("output", torch::randn({8, 3}).to(device));
    calls = register_buffer("calls", torch::zeros(1).to(device));
  }
  torch::Tensor forward(const torch::Tensor& input) {
    if (is_training()) calls += 1;
    return (input.matmul(hidden) + bias).relu().matmul(output);
  }
  torch::Tensor hidden, bias, output, calls;
};
TORCH_MODULE(Net);

std::shared_ptr<torch::optim::Optimizer> optimizer_of(Net& net, const std::string& name) {
  if (name == "Adam") return std::make_shared<torch::optim::Adam>(net->parameters(), 1e-4);
  return std::make_shared<torch::optim::SGD>(net->parameters(),
                                             torch::optim::SGDOptions(1e-4).momentum(0.9));
}

// An update, so that there is a state to give back.
void train_once(Net& net, torch::optim::Optimizer& optimizer, const TensorBatch& batch) {
  net->forward(batch.data.to(net->hidden.device())).pow(2).mean().backward();
  optimizer.step();
}

RangeTestOptions options() { return RangeTestOptions().start_lr(1e-4).end_lr(100).num_iter(40); }

}  // namespace

TEST_CASE("an accelerator records what the CPU records, and gets everything back") {
  const auto train_loader = class_batches(5, 16, 4, 3);
  const auto val_loader = class_batches(2, 10, 4, 3, 7);
  const auto name = GENERATE(as<std::string>(), "SGD", "Adam");
  const bool validates = GENERATE(false, true);
  const auto in_flight = GENERATE(values<std::optional<std::int64_t>>({std::nullopt, 1, 5}));
  CAPTURE(name, validates, in_flight.value_or(0));

  const auto record = [&](torch::Device device) {
    Net net(device);
    const auto optimizer = optimizer_of(net, name);
    train_once(net, *optimizer, train_loader[0]);
    const Everything before(*net, *optimizer);
    LRFinder finder(net, *optimizer, torch::nn::CrossEntropyLoss());
    const auto test =
        options().iterations_in_flight(in_flight).accumulation_steps(2).clip_grad_norm(1).metric(
            "accuracy", lrfinder::accuracy);
    const History history = validates ? finder.range_test(train_loader, val_loader, test)
                                      : finder.range_test(train_loader, test);
    CHECK(before.differences(Everything(*net, *optimizer)).empty());
    return history;
  };

  const History expected = record(torch::kCPU);
  const History history = record(accelerator);
  CHECK(history.lr == expected.lr);
  CHECK(history.raw_loss == expected.raw_loss);
  CHECK(history.grad_norm == expected.grad_norm);
  CHECK(history.metrics == expected.metrics);
  CHECK(history.stop_reason == expected.stop_reason);
  CHECK(history.size() > 20);
}

TEST_CASE("what an accelerator has computed past the end of the test is dropped") {
  const auto loader = class_batches(5, 16, 4, 3);
  Net net(accelerator);
  torch::optim::SGD optimizer(net->parameters(), 1e-4);
  const Everything before(*net, optimizer);
  LRFinder finder(net, optimizer, torch::nn::CrossEntropyLoss());
  finder.range_test(loader, options().end_lr(1e6));
  const History late = finder.history();
  finder.range_test(loader, options().end_lr(1e6).iterations_in_flight(1));
  CHECK(late.stop_reason == StopReason::diverged);
  CHECK(late.raw_loss == finder.history().raw_loss);
  CHECK(late.size() < 40);
  CHECK(before.differences(Everything(*net, optimizer)).empty());
}

TEST_CASE("copies of what is on an accelerator can be kept on the host or on disk") {
  const TemporaryDirectory directory;
  const auto snapshot = GENERATE(Snapshot::device, Snapshot::host, Snapshot::disk);
  const auto loader = class_batches(5, 16, 4, 3);
  Net net(accelerator);
  torch::optim::Adam optimizer(net->parameters(), 1e-4);
  train_once(net, optimizer, loader[0]);
  const Everything before(*net, optimizer);
  LRFinder finder(net, optimizer, torch::nn::CrossEntropyLoss());
  finder.range_test(loader, options().snapshot(snapshot).snapshot_dir(directory.path().string()));
  CHECK(before.differences(Everything(*net, optimizer)).empty());
  finder.range_test(loader, options().snapshot(snapshot).restore(false));
  CHECK_FALSE(before.differences(Everything(*net, optimizer)).empty());
  finder.reset();
  CHECK(before.differences(Everything(*net, optimizer)).empty());
}

TEST_CASE("a race on an accelerator is the race on the CPU") {
  const auto train_loader = class_batches(5, 16, 4, 3);
  const auto val_loader = class_batches(2, 10, 4, 3);
  const auto race = [&](torch::Device device) {
    Net net(device);
    torch::optim::SGD optimizer(net->parameters(), 1e-4);
    const Everything before(*net, optimizer);
    LRFinder finder(net, optimizer, torch::nn::CrossEntropyLoss());
    finder.range_test(train_loader, options());
    const auto winner =
        finder.race(train_loader, val_loader, lrfinder::RaceOptions().around(0.1).budget(4));
    CHECK(before.differences(Everything(*net, optimizer)).empty());
    return std::pair{winner.lr, winner.loss};
  };
  CHECK(race(accelerator) == race(torch::kCPU));
}

TEST_CASE("mixed precision that an accelerator does not offer is refused before anything runs") {
  const auto loader = class_batches(5, 16, 4, 3);
  Net net(accelerator);
  torch::optim::SGD optimizer(net->parameters(), 1e-4);
  LRFinder finder(net, optimizer, torch::nn::CrossEntropyLoss());
  CHECK_THROWS_AS(finder.range_test(loader, options().autocast(torch::kHalf)),
                  lrfinder::InvalidOption);
  CHECK(finder.history().empty());
}
