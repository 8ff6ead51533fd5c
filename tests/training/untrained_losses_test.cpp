// The losses of the batches at the weights that a test starts from.

#include <catch2.hpp>
#include <everything.hpp>
#include <functional>
#include <memory>
#include <training.hpp>
#include <utility>
#include <vector>
#include <warnings.hpp>

#include <lrfinder/lrfinder.hpp>

using namespace lrfinder;
using torch::Tensor;

namespace {

using Criterion = std::function<Tensor(const Tensor&, const Tensor&)>;

const Criterion classification = [](const Tensor& output, const Tensor& target) {
  return torch::nn::functional::cross_entropy(output, target);
};

// Two tests from the same state.
template <class Model>
struct Tests {
  History of(const RangeTestOptions& options, const TrainingOptions& training = {}) {
    torch::manual_seed(12);
    Model model = make_model();
    const auto optimizer = make_optimizer(model->parameters());
    const Everything before(*model, *optimizer);
    LRFinder finder(model, *optimizer, criterion, training);
    finder.range_test(data, options);
    if (keeps_memory) CHECK(before.differences(Everything(*model, *optimizer)) == "");
    return finder.history();
  }

  std::function<Model()> make_model;
  std::function<std::unique_ptr<torch::optim::Optimizer>(std::vector<Tensor>)> make_optimizer =
      [](const std::vector<Tensor>& parameters) {
        return std::make_unique<torch::optim::SGD>(parameters,
                                                   torch::optim::SGDOptions(1e-3).momentum(0.9));
      };
  Criterion criterion = classification;
  bool keeps_memory = true;
  std::vector<TensorBatch> data = class_batches(7, 6, 4, 3);
};

const RangeTestOptions usual = RangeTestOptions().start_lr(1e-3).end_lr(0.5).num_iter(12);

// At these rates no weight changes.
const RangeTestOptions too_low = RangeTestOptions().start_lr(1e-30).end_lr(2e-30).num_iter(12);

// Whether the untrained losses are those of a training that changes nothing, and the raw losses
// those of a test that does not measure them.
template <class Model>
void check(Tests<Model> tests, const TrainingOptions& training = {}) {
  auto options = usual;
  const History paired = tests.of(options, training);
  const History unchanged = tests.of(too_low, training);
  REQUIRE(paired.untrained_loss.size() == unchanged.size());
  for (std::size_t i = 0; i < unchanged.size(); ++i) {  // sums of floats are rounded
    CHECK(paired.untrained_loss[i] == Approx(unchanged.raw_loss[i]).epsilon(1e-6));
  }
  const History alone = tests.of(options.paired(false), training);
  CHECK(paired.raw_loss == alone.raw_loss);
  CHECK(paired.loss == alone.loss);
  CHECK(alone.untrained_loss.empty());
  CHECK(paired.raw_loss != paired.untrained_loss);
}

using Sequential = Tests<torch::nn::Sequential>;

// Keeps a count, which the criterion does not know and a snapshot cannot see.
struct CountingImpl : torch::nn::Module {
  CountingImpl() : linear(register_module("linear", torch::nn::Linear(4, 3))) {}
  Tensor forward(const Tensor& input) { return linear->forward(input) * ++passes; }
  torch::nn::Linear linear;
  double passes = 0;
};
TORCH_MODULE(Counting);

// Its buffer has room for the largest batch so far.
struct GrowingImpl : torch::nn::Module {
  GrowingImpl() : linear(register_module("linear", torch::nn::Linear(4, 3))) {
    scratch = register_buffer("scratch", torch::zeros({4, 4}));
  }
  Tensor forward(const Tensor& input) {
    const torch::NoGradGuard without_gradients;
    torch::mul_out(scratch, input, torch::ones({1}));
    const torch::AutoGradMode with_gradients(true);
    return linear->forward(scratch.clone());
  }
  torch::nn::Linear linear;
  Tensor scratch;
};
TORCH_MODULE(Growing);

struct ScalingImpl : torch::nn::Module {
  ScalingImpl() : linear(register_module("linear", torch::nn::Linear(4, 3))) {}
  Tensor forward(Tensor input) { return linear->forward(input.mul_(0.5)); }
  torch::nn::Linear linear;
};
TORCH_MODULE(Scaling);

// The loss is a gradient, as in networks that solve differential equations.
struct SlopeImpl : torch::nn::Module {
  SlopeImpl() : net(torch::nn::Linear(4, 8), torch::nn::Tanh(), torch::nn::Linear(8, 1)) {
    register_module("net", net);
  }
  Tensor forward(const Tensor& input) {
    const Tensor at = input.detach().clone().requires_grad_(true);
    const Tensor slope = torch::autograd::grad({net->forward(at).sum()}, {at}, {},
                                               /*retain_graph=*/true, /*create_graph=*/true)[0];
    return slope;
  }
  torch::nn::Sequential net;
};
TORCH_MODULE(Slope);

}  // namespace

TEST_CASE("the untrained losses are those of a test that changes nothing") {
  Sequential tests{[] { return small_classifier(); }};
  SECTION("with batch normalisation and dropout") { check(tests); }
  SECTION("of all batches of an update") { check(tests, TrainingOptions().accumulation_steps(3)); }
  SECTION("in mixed precision") { check(tests, TrainingOptions().autocast(torch::kBFloat16)); }
  SECTION("with a snapshot elsewhere") {
    check(tests, TrainingOptions().snapshot(GENERATE(Snapshot::host, Snapshot::disk)));
  }
  SECTION("with Adam") {
    tests.make_optimizer = [](const std::vector<Tensor>& parameters) {
      return std::make_unique<torch::optim::Adam>(parameters, torch::optim::AdamOptions(1e-3));
    };
    check(tests);
  }
}

TEST_CASE("LBFGS, which evaluates a batch several times, measures its untrained loss once") {
  Sequential tests{[] { return torch::nn::Sequential(torch::nn::Linear(4, 3)); }};
  tests.make_optimizer = [](const std::vector<Tensor>& parameters) {
    return std::make_unique<torch::optim::LBFGS>(parameters,
                                                 torch::optim::LBFGSOptions(1e-3).max_iter(3));
  };
  const History history = tests.of(usual);
  CHECK(history.untrained_loss.size() == history.size());
  CHECK(history.raw_loss == tests.of(RangeTestOptions(usual).paired(false)).raw_loss);
}

TEST_CASE("a model that writes into its input gets the batch as it was") {
  Tests<Scaling> tests{[] { return Scaling(); }};
  tests.data = class_batches(12, 6, 4, 3);
  const auto fresh = tests.data;
  const auto run = [&](bool paired) {
    for (std::size_t i = 0; i < fresh.size(); ++i) tests.data[i].data = fresh[i].data.clone();
    return tests.of(RangeTestOptions(usual).paired(paired));
  };
  const History paired = run(true);
  CHECK(paired.raw_loss == run(false).raw_loss);
  CHECK(paired.untrained_loss.size() == paired.size());
}

TEST_CASE("a batch that the optimizer trains has its starting values in an untrained loss") {
  Sequential tests{[] { return torch::nn::Sequential(torch::nn::Linear(4, 3)); }};
  for (const auto& batch : tests.data) batch.data.set_requires_grad(true);
  tests.make_optimizer = [data = tests.data](std::vector<Tensor> parameters) {
    for (const auto& batch : data) parameters.push_back(batch.data);
    return std::make_unique<torch::optim::SGD>(std::move(parameters),
                                               torch::optim::SGDOptions(1e-3).momentum(0.9));
  };
  check(tests);
}

TEST_CASE("a loss that needs gradients is measured with them") {
  Tests<Slope> tests{[] { return Slope(); }};
  tests.criterion = [](const Tensor& slope, const Tensor&) { return (slope - 1).square().mean(); };
  check(tests);
}

TEST_CASE("a model with a state that nobody sees is not paired, and a warning says why") {
  Tests<Counting> tests{[] { return Counting(); }};
  const Warnings warnings;
  CHECK(tests.of(usual).untrained_loss.empty());
  CHECK_THAT(warnings.texts.at(0), contains("keeps a state of its own"));
}

TEST_CASE("an optimizer that replaces the weights' memory ends the pairing, with a warning") {
  struct Replacing : torch::optim::SGD {
    using SGD::SGD;
    Tensor step(LossClosure closure = nullptr) override {
      const Tensor loss = SGD::step(std::move(closure));
      const torch::NoGradGuard without_gradients;
      for (Tensor& parameter : param_groups()[0].params()) parameter.set_data(parameter.clone());
      return loss;
    }
  };
  const auto history_of = [](bool paired) {
    torch::manual_seed(12);
    torch::nn::Sequential model(torch::nn::Linear(4, 3));
    Replacing optimizer(model->parameters(), torch::optim::SGDOptions(1e-3));
    LRFinder finder(model, optimizer, classification);
    return finder.range_test(class_batches(7, 6, 4, 3), RangeTestOptions(usual).paired(paired));
  };
  const Warnings warnings;
  const History history = history_of(true);
  CHECK(history.untrained_loss.empty());
  CHECK(history.size() == 12);
  CHECK_THAT(warnings.texts.at(0), contains("replaces the memory of parameters"));
  CHECK(history.raw_loss == history_of(false).raw_loss);
}

TEST_CASE("a buffer that grows in a forward pass ends the pairing and stays whole") {
  Tests<Growing> tests{[] { return Growing(); }};
  tests.keeps_memory = false;
  tests.data = class_batches(2, 6, 4, 3);
  for (auto& batch : class_batches(5, 60, 4, 3)) tests.data.push_back(batch);
  const Warnings warnings;
  const History history = tests.of(usual);
  CHECK(history.untrained_loss.empty());
  CHECK(history.raw_loss == tests.of(RangeTestOptions(usual).paired(false)).raw_loss);
}

TEST_CASE("a model that asks whether its output requires gradients is measured with them") {
  Sequential tests{[] { return torch::nn::Sequential(torch::nn::Linear(4, 3)); }};
  tests.criterion = [](const Tensor& output, const Tensor& target) {
    output.retain_grad();
    return torch::nn::functional::cross_entropy(output, target);
  };
  check(tests);
}

TEST_CASE("gradients that an untrained loss leaves behind are not those of the training") {
  Tests<Slope> tests{[] { return Slope(); }};
  tests.criterion = [](const Tensor& slope, const Tensor&) {
    slope.square().mean().backward({}, /*retain_graph=*/true);  // adds to the gradients
    return (slope - 1).square().mean();
  };
  check(tests);
}

TEST_CASE("a criterion that trains another optimizer is not paired") {
  torch::manual_seed(1);
  auto model = small_classifier();
  torch::nn::Linear other(3, 3);
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  torch::optim::Adam its_optimizer(other->parameters(), 1e-3);
  int trained = 0;
  LRFinder finder(model, optimizer, [&](const Tensor& output, const Tensor& target) {
    its_optimizer.zero_grad();
    classification(other->forward(output.detach()), target).backward();
    its_optimizer.step();
    ++trained;
    return classification(output, target);
  });
  finder.also_restore(other, its_optimizer);
  finder.range_test(class_batches(7, 6, 4, 3), usual);
  CHECK(trained == 12);
  CHECK(finder.history().untrained_loss.empty());
}

TEST_CASE("with a validation loader nothing is paired") {
  torch::manual_seed(1);
  auto model = small_classifier();
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  LRFinder finder(model, optimizer, classification);
  const auto data = class_batches(7, 6, 4, 3);
  finder.range_test(data, data, usual);
  CHECK(finder.history().untrained_loss.empty());
}

TEST_CASE("a model with a sparse buffer is not paired, and a warning says why", "[sparse]") {
  torch::manual_seed(1);
  auto model = small_classifier();
  model->register_buffer("sparse", torch::eye(3).to_sparse());
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  LRFinder finder(model, optimizer, classification);
  const Warnings warnings;
  finder.range_test(class_batches(7, 6, 4, 3), usual);
  CHECK(finder.history().untrained_loss.empty());
  CHECK_THAT(warnings.texts.at(0), contains("a tensor of the model is not strided"));
  CHECK(warnings.texts.size() == 1);
}
