// Whole range tests on a device that is not the CPU, whose tensors the host cannot read: where
// losses arrive some iterations late, batches have to travel, and copies have a place to choose.

#include <catch2.hpp>
#include <cstddef>
#include <cstdint>
#include <everything.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <pretend_accelerator.hpp>
#include <string>
#include <temporary_directory.hpp>
#include <training.hpp>
#include <utility>
#include <vector>
#include <warnings.hpp>

#include <lrfinder/lrfinder.hpp>
#include <lrfinder/parallel_trials.hpp>

using lrfinder::FindOptions;
using lrfinder::History;
using lrfinder::LRFinder;
using lrfinder::RangeTestOptions;
using lrfinder::Snapshot;
using lrfinder::StopReason;
using lrfinder::TrainingOptions;

namespace {

const torch::Device accelerator(pretend::device_type, 0);

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

// An update, so that there is a state to restore.
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
    LRFinder finder(net, *optimizer, torch::nn::CrossEntropyLoss(),
                    TrainingOptions().accumulation_steps(2).clip_grad_norm(1).metric(
                        "accuracy", lrfinder::accuracy));
    const auto test = options().iterations_in_flight(in_flight);
    const History history = validates ? finder.range_test(train_loader, val_loader, test)
                                      : finder.range_test(train_loader, test);
    CHECK(before.differences(Everything(*net, *optimizer)).empty());
    return history;
  };

  const History expected = record(torch::kCPU);
  const int late_before = pretend::arrived_late;
  const History history = record(accelerator);
  CHECK(pretend::arrived_late > late_before);
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
  LRFinder finder(net, optimizer, torch::nn::CrossEntropyLoss(),
                  TrainingOptions().snapshot(snapshot).snapshot_dir(directory.path().string()));
  finder.range_test(loader, options());
  CHECK(before.differences(Everything(*net, optimizer)).empty());
  finder.range_test(loader, options().restore(false));
  CHECK_FALSE(before.differences(Everything(*net, optimizer)).empty());
  finder.reset();
  CHECK(before.differences(Everything(*net, optimizer)).empty());
}

TEST_CASE("find on an accelerator finds what it finds on the CPU") {
  auto train_loader = class_batches(5, 16, 4, 3);
  auto val_loader = class_batches(2, 10, 4, 3);
  for (auto* loader : {&train_loader, &val_loader}) {
    for (auto& batch : *loader) batch.target = batch.data.slice(1, 0, 3).argmax(1);
  }
  const auto find = [&](torch::Device device) {
    Net net(device);
    torch::optim::SGD optimizer(net->parameters(), 1e-4);
    const Everything before(*net, optimizer);
    LRFinder finder(net, optimizer, torch::nn::CrossEntropyLoss());
    const auto found =
        finder.find(train_loader, val_loader, FindOptions().budget(4).range_test(options()));
    CHECK(before.differences(Everything(*net, optimizer)).empty());
    return std::pair{found.lr, found.loss};
  };
  CHECK(find(accelerator) == find(torch::kCPU));
}

TEST_CASE("the random state of an accelerator is restored") {
  const auto loader = class_batches(5, 16, 4, 3);
  Net net(accelerator);
  torch::optim::SGD optimizer(net->parameters(), 1e-4);
  auto generator = at::globalContext().defaultGenerator(accelerator);
  const torch::Tensor before = generator.get_state();
  LRFinder finder(net, optimizer, [&](const torch::Tensor& output, const torch::Tensor& target) {
    const torch::Tensor noise = torch::rand({1}, generator).to(output.device());
    return torch::nn::functional::cross_entropy(output + noise, target);
  });
  finder.range_test(loader, options().restore(false));
  CHECK_FALSE(same_bits(before, generator.get_state()));
  finder.reset();
  CHECK(same_bits(before, generator.get_state()));
}

TEST_CASE("mixed precision on an accelerator reaches the model") {
  const auto loader = class_batches(5, 16, 4, 3);
  Net net(accelerator);
  torch::optim::SGD optimizer(net->parameters(), 1e-4);
  const Everything before(*net, optimizer);
  std::vector<at::ScalarType> types;
  LRFinder finder(net, optimizer, [&](const torch::Tensor& output, const torch::Tensor& target) {
    if (torch::GradMode::is_enabled()) types.push_back(output.scalar_type());
    return torch::nn::functional::cross_entropy(output.to(torch::kFloat), target);
  });
  finder.options().autocast(torch::kBFloat16);
  finder.range_test(loader, options().num_iter(3));
  CHECK(types == std::vector<at::ScalarType>(3, torch::kBFloat16));
  CHECK(before.differences(Everything(*net, optimizer)).empty());
}

TEST_CASE("validation batches are kept in a quarter of the memory that an accelerator has free") {
  const auto train_loader = class_batches(5, 16, 4, 3);
  const auto val_loader = class_batches(2, 10, 4, 3);
  constexpr std::size_t bytes = 2 * 10 * (4 * sizeof(float) + sizeof(std::int64_t));
  Net net(accelerator);
  torch::optim::SGD optimizer(net->parameters(), 1e-4);
  LRFinder finder(net, optimizer, torch::nn::CrossEntropyLoss());
  const auto warnings_with = [&](std::size_t free) {
    pretend::free_bytes = free;
    const Warnings warnings;
    finder.range_test(train_loader, val_loader, options().num_iter(3));
    pretend::free_bytes = pretend::plenty;
    return warnings.texts.size();
  };
  CHECK(warnings_with(4 * bytes) == 0);
  CHECK(warnings_with(4 * bytes - 4) == 1);
}

TEST_CASE("a model goes to an accelerator for the test, and comes back") {
  const auto loader = class_batches(5, 16, 4, 3);
  torch::manual_seed(3);
  torch::nn::Sequential model(torch::nn::Linear(4, 8), torch::nn::BatchNorm1d(8), torch::nn::ReLU(),
                              torch::nn::Linear(8, 3));
  torch::optim::Adam optimizer(model->parameters(), 1e-4);
  const auto train = [&] {
    torch::nn::functional::cross_entropy(model->forward(loader[0].data), loader[0].target)
        .backward();
    optimizer.step();
  };
  train();
  const Everything before(*model, optimizer);
  bool was_there = true;
  LRFinder finder(
      model, optimizer,
      [&](const torch::Tensor& output, const torch::Tensor& target) {
        was_there &= output.device() == accelerator && target.device() == accelerator;
        return torch::nn::functional::cross_entropy(output, target);
      },
      accelerator);
  CHECK(finder.range_test(loader, loader, options()).size() > 20);
  CHECK(was_there);
  CHECK(model->parameters()[0].device() == torch::kCPU);
  CHECK(before.differences(Everything(*model, optimizer)).empty());
  train();
}

TEST_CASE("batches whose samples are in another order are told apart on an accelerator") {
  const auto batch = class_batches(1, 16, 4, 3).front().data;
  const auto hash = [](const torch::Tensor& data) {
    return lrfinder::detail::hash_of_bits(data.to(accelerator));
  };
  CHECK(hash(batch) == hash(batch.clone()));
  CHECK(hash(batch) != hash(batch.flip(0)));
}

namespace {

// One rank, which gets other values in the beginning of a large broadcast, as if from another rank.
class OtherModel final : public lrfinder::Communicator {
 public:
  std::int64_t rank() const override { return 0; }
  std::int64_t size() const override { return 1; }
  std::vector<double> sum(std::vector<double> values) override { return values; }
  std::function<void()> begin_sum(const torch::Tensor&) override {
    return [] {};
  }
  void broadcast(const torch::Tensor& bytes) override {
    if (bytes.numel() < 20000) return;  // texts
    bytes.narrow(0, 0, 1000).zero_();
    ++models;
  }
  int models = 0;
};

}  // namespace

TEST_CASE("a model that goes to an accelerator for a search of ranks gets its own values back") {
  auto loader = class_batches(5, 16, 4, 3);
  for (auto& batch : loader) batch.target = batch.data.slice(1, 0, 3).argmax(1);
  torch::manual_seed(3);
  torch::nn::Sequential model(torch::nn::Linear(4, 2000), torch::nn::ReLU(),
                              torch::nn::Linear(2000, 3));
  torch::optim::SGD optimizer(model->parameters(), 1e-4);
  const auto ranks = std::make_shared<OtherModel>();
  const auto snapshot = GENERATE(Snapshot::device, Snapshot::host, Snapshot::disk);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss(),
                  TrainingOptions(accelerator).snapshot(snapshot));
  const Everything before(*model, optimizer);
  finder.find(loader, FindOptions().budget(4).range_test(options()).trial_runner(
                          lrfinder::parallel_trials(ranks)));
  CHECK(ranks->models == 1);
  CHECK(before.differences(Everything(*model, optimizer)).empty());
}

namespace {

// What the host asks of the accelerator in an iteration: the difference between two lengths.
template <class Train>
pretend::Counts counts_of_an_iteration(Train&& train) {
  const auto counts_of = [&](int iterations) {
    pretend::counts = {};
    train(iterations);
    return pretend::counts;
  };
  counts_of(15);  // the optimizer makes its state
  const pretend::Counts few = counts_of(15), many = counts_of(30);
  const auto each = [](std::int64_t more, std::int64_t less) { return (more - less) / 15; };
  return {each(many.waits, few.waits), each(many.copies_to_host, few.copies_to_host),
          each(many.copies_to_device, few.copies_to_device),
          each(many.allocations, few.allocations)};
}

}  // namespace

TEST_CASE("an iteration on an accelerator asks no more of it than a plain loop, and never waits") {
  const bool travels = GENERATE(false, true);  // the batches, from the host
  const auto name = GENERATE(as<std::string>(), "SGD", "Adam");
  CAPTURE(travels, name);
  auto loader = class_batches(5, 16, 4, 3);
  for (auto& batch : loader) {
    if (!travels) batch = {batch.data.to(accelerator), batch.target.to(accelerator)};
  }
  Net net(accelerator);
  const auto optimizer = optimizer_of(net, name);
  const auto loop = counts_of_an_iteration([&](int iterations) {
    for (int i = 0; i < iterations; ++i) {
      const auto& batch = loader[static_cast<std::size_t>(i) % loader.size()];
      optimizer->zero_grad();
      const auto loss = torch::cross_entropy_loss(net->forward(batch.data.to(accelerator)),
                                                  batch.target.to(accelerator));
      loss.backward();
      optimizer->step();
      loss.item<double>();  // as a loop that prints it
    }
  });
  LRFinder finder(net, *optimizer, torch::nn::CrossEntropyLoss());
  const auto test = counts_of_an_iteration([&](int iterations) {
    finder.range_test(loader, options().end_lr(1e-3).num_iter(iterations).paired(false));
  });
  CHECK(loop.waits == (travels ? 3 : 1));
  CHECK(test.waits == 0);
  CHECK(test.copies_to_host == loop.copies_to_host);
  CHECK(test.copies_to_device == loop.copies_to_device);
  CHECK(test.allocations == loop.allocations);
}

TEST_CASE("a pair does not wait for an accelerator, a validation once for each kept tensor") {
  auto loader = class_batches(5, 16, 4, 3), val_loader = class_batches(2, 10, 4, 3);
  for (auto* batches : {&loader, &val_loader}) {
    for (auto& batch : *batches) {
      batch = {batch.data.to(accelerator), batch.data.slice(1, 0, 3).argmax(1).to(accelerator)};
    }
  }
  Net net(accelerator);
  torch::optim::SGD optimizer(net->parameters(), 1e-4);
  LRFinder finder(net, optimizer, torch::nn::CrossEntropyLoss());
  const auto test = [&](int iterations) { return options().end_lr(1e-3).num_iter(iterations); };
  const auto paired =
      counts_of_an_iteration([&](int iterations) { finder.range_test(loader, test(iterations)); });
  CHECK(paired.waits == 0);
  CHECK(paired.copies_to_host == 1);
  CHECK(paired.copies_to_device == 0);
  const auto validated = counts_of_an_iteration(
      [&](int iterations) { finder.range_test(loader, val_loader, test(iterations)); });
  CHECK(validated.waits <= 2);  // for the bits of the first kept batch, its data and its target
  CHECK(validated.copies_to_host <= 3);
  CHECK(validated.copies_to_device == 0);
}

TEST_CASE("the random states of all accelerators are restored") {
  const auto loader = class_batches(5, 16, 4, 3);
  Net net(accelerator);
  torch::optim::SGD optimizer(net->parameters(), 1e-4);
  auto generator = at::globalContext().defaultGenerator(torch::Device(pretend::device_type, 1));
  const torch::Tensor before = generator.get_state();
  bool has_drawn = false;
  LRFinder finder(net, optimizer, [&](const torch::Tensor& output, const torch::Tensor& target) {
    torch::rand({1}, generator);
    has_drawn |= !same_bits(before, generator.get_state());
    return torch::nn::functional::cross_entropy(output, target);
  });
  finder.range_test(loader, options());
  CHECK(has_drawn);
  CHECK(same_bits(before, generator.get_state()));
}

namespace {

// Two layers, each on an accelerator of its own.
struct TwoPlacesImpl : torch::nn::Module {
  TwoPlacesImpl(torch::Device first, torch::Device second) {
    torch::manual_seed(3);
    hidden = register_parameter("hidden", torch::randn({4, 8}).to(first));
    output = register_parameter("output", torch::randn({8, 3}).to(second));
  }
  torch::Tensor forward(const torch::Tensor& input) {
    return input.matmul(hidden).relu().to(output.device()).matmul(output);
  }
  torch::Tensor hidden, output;
};
TORCH_MODULE(TwoPlaces);

}  // namespace

TEST_CASE("a model on two accelerators records what the CPU records, and gets everything back") {
  const auto loader = class_batches(5, 16, 4, 3);
  const auto snapshot = GENERATE(Snapshot::device, Snapshot::host, Snapshot::disk);
  const auto record = [&](torch::Device first, torch::Device second) {
    TwoPlaces model(first, second);
    torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(1e-4).momentum(0.9));
    const Everything before(*model, optimizer);
    LRFinder finder(
        model, optimizer,
        [](const torch::Tensor& output, const torch::Tensor& target) {
          return torch::nn::functional::cross_entropy(output, target.to(output.device()));
        },
        TrainingOptions().clip_grad_norm(1).snapshot(snapshot));
    const History history = finder.range_test(loader, options());
    CHECK(before.differences(Everything(*model, optimizer)) == "");
    CHECK(model->output.device() == second);
    return history;
  };
  const History expected = record(torch::kCPU, torch::kCPU);
  const History history = record(accelerator, torch::Device(pretend::device_type, 1));
  CHECK(history.raw_loss == expected.raw_loss);
  CHECK(history.grad_norm == expected.grad_norm);
}

TEST_CASE("an accelerator whose memory is full is an error, and everything comes back") {
  const auto loader = class_batches(5, 16, 4, 3);
  const auto snapshot = GENERATE(Snapshot::device, Snapshot::host);
  Net net(accelerator);
  torch::optim::Adam optimizer(net->parameters(), 1e-4);
  train_once(net, optimizer, loader[0]);
  const Everything before(*net, optimizer);
  LRFinder finder(net, optimizer, torch::nn::CrossEntropyLoss(),
                  TrainingOptions().snapshot(snapshot));
  int errors = 0;
  bool ended = false;
  for (int granted = 0; !ended; granted += 3) {
    pretend::allocations_to_go = granted;
    std::string error;
    try {
      finder.range_test(loader, options().num_iter(3));
      ended = true;
    } catch (const std::exception& thrown) {
      error = thrown.what();
    }
    pretend::allocations_to_go = -1;
    CAPTURE(granted, error);
    if (!ended) {
      ++errors;
      CHECK_THAT(error, contains("out of memory"));
    }
    CHECK(before.differences(Everything(*net, optimizer)) == "");
  }
  CHECK(errors > 20);
}

TEST_CASE("batches that are on an accelerator have arrived when the CPU trains on them") {
  auto loader = class_batches(5, 16, 4, 3);
  const auto record = [&] {
    Net net(torch::kCPU);
    torch::optim::SGD optimizer(net->parameters(), 1e-4);
    LRFinder finder(net, optimizer, torch::nn::CrossEntropyLoss());
    return finder.range_test(loader, options()).raw_loss;
  };
  const auto expected = record();
  for (auto& batch : loader) batch.data = batch.data.to(accelerator);
  CHECK(record() == expected);
}

TEST_CASE("a pinned batch may be written into again while its copy is on its way") {
  const torch::Tensor pinned = torch::ones({3}).pin_memory();
  pretend::sent_from = nullptr;
  const torch::Tensor there = lrfinder::detail::on_device(pinned, accelerator);
  CHECK(pretend::sent_from != nullptr);  // without a wait
  CHECK(pretend::sent_from != pinned.data_ptr());
  CHECK(same_bits(there, pinned));
}
