#include <catch2.hpp>
#include <everything.hpp>
#include <own_optimizer.hpp>
#include <sys/mman.h>
#include <training.hpp>
#include <warnings.hpp>

#include <lrfinder/lrfinder.hpp>

using lrfinder::LRFinder;
using lrfinder::RangeTestOptions;
using lrfinder::Snapshot;
using lrfinder::TrainingOptions;
using torch::Tensor;
using namespace torch::optim;

namespace {

using MakeOptimizer = std::function<std::unique_ptr<Optimizer>(std::vector<Tensor>)>;

struct Named {
  const char* name;
  MakeOptimizer make;
};

template <class Kind, class Options>
MakeOptimizer maker(Options options) {
  return [options](std::vector<Tensor> parameters) {
    return std::make_unique<Kind>(std::move(parameters), options);
  };
}

const std::vector<Named> optimizers{
    {"SGD", maker<SGD>(SGDOptions(1e-3))},
    {"SGD, Nesterov momentum", maker<SGD>(SGDOptions(1e-3).momentum(0.9).nesterov(true))},
    {"Adam", maker<Adam>(AdamOptions(1e-3))},
    {"Adam, AMSGrad", maker<Adam>(AdamOptions(1e-3).amsgrad(true))},
    {"AdamW", maker<AdamW>(AdamWOptions(1e-3).weight_decay(0.1))},
    {"RMSprop", maker<RMSprop>(RMSpropOptions(1e-3))},
    {"RMSprop, centred", maker<RMSprop>(RMSpropOptions(1e-3).centered(true).momentum(0.9))},
    {"Adagrad", maker<Adagrad>(AdagradOptions(1e-3).lr_decay(0.1))},
    {"LBFGS", maker<LBFGS>(LBFGSOptions(1e-3).max_iter(4))},
    {"LBFGS, line search",
     maker<LBFGS>(LBFGSOptions(1e-3).max_iter(4).line_search_fn("strong_wolfe"))},
};

Tensor cross_entropy(const Tensor& output, const Tensor& target) {
  return torch::nn::functional::cross_entropy(output, target);
}

// Updates the model once for every batch.
template <class Model>
void train(Model& model, Optimizer& optimizer, const std::vector<TensorBatch>& batches) {
  for (const auto& batch : batches) {
    optimizer.step([&] {
      optimizer.zero_grad();
      auto loss = cross_entropy(model->forward(batch.data), batch.target);
      loss.backward();
      return loss;
    });
  }
}

}  // namespace

TEST_CASE("every optimizer is restored, with a state at the start and without") {
  const auto kind = GENERATE(from_range(optimizers));
  const bool fine_tuning = GENERATE(false, true);
  const auto snapshot = GENERATE(Snapshot::device, Snapshot::host, Snapshot::disk);
  INFO(kind.name << (fine_tuning ? ", with state" : ", fresh"));
  const auto batches = class_batches(4, 6, 4, 3);
  const auto run = [&](bool with_range_test) {
    torch::manual_seed(5);
    auto model = small_classifier();
    auto optimizer = kind.make(model->parameters());
    if (fine_tuning) train(model, *optimizer, batches);
    const Everything before(*model, *optimizer);
    if (with_range_test) {
      LRFinder finder(model, *optimizer, cross_entropy, TrainingOptions().snapshot(snapshot));
      const auto options = RangeTestOptions().num_iter(6).end_lr(0.5);
      CHECK(finder.range_test(batches, options).size() == 6);
      CHECK(before.differences(Everything(*model, *optimizer)) == "");
    }
    train(model, *optimizer, batches);
    return model->parameters();
  };
  CHECK(same_bits(run(true), run(false)));
}

TEST_CASE("options that user code changes during the test are restored") {
  const auto& [name, make] = GENERATE(from_range(optimizers));
  INFO(name);
  auto model = small_classifier();
  auto optimizer = make(model->parameters());
  const Everything before(*model, *optimizer);
  LRFinder finder(model, *optimizer, cross_entropy);
  finder.range_test(class_batches(2, 6, 4, 3),
                    RangeTestOptions().num_iter(3).on_iteration([&](const lrfinder::Iteration&) {
                      auto& options = optimizer->param_groups()[0].options();
                      if (auto* sgd = dynamic_cast<SGDOptions*>(&options)) sgd->momentum(0.5);
                      if (auto* adam = dynamic_cast<AdamOptions*>(&options)) adam->eps(0.5);
                      if (auto* adam = dynamic_cast<AdamWOptions*>(&options)) adam->eps(0.5);
                      if (auto* rms = dynamic_cast<RMSpropOptions*>(&options)) rms->alpha(0.5);
                      if (auto* ada = dynamic_cast<AdagradOptions*>(&options)) ada->eps(0.5);
                      if (auto* bfgs = dynamic_cast<LBFGSOptions*>(&options)) bfgs->max_iter(2);
                    }));
  CHECK(before.differences(Everything(*model, *optimizer)) == "");
  // LibTorch cannot write LBFGS, so that `Everything` does not see its options.
  if (auto* bfgs = dynamic_cast<LBFGSOptions*>(&optimizer->param_groups()[0].options())) {
    CHECK(bfgs->max_iter() == 4);
  }
}

TEST_CASE("a user's optimizer is restored through LibTorch's serialization") {
  torch::manual_seed(5);
  auto model = small_classifier();
  OwnOptimizer optimizer(model->parameters(), 1e-3);
  const auto batches = class_batches(4, 6, 4, 3);
  train(model, optimizer, batches);
  const Everything before(*model, optimizer);
  const auto velocity = optimizer.state_of(model->parameters()[0]).velocity;
  const auto value = velocity.clone();

  const auto snapshot = GENERATE(Snapshot::device, Snapshot::host, Snapshot::disk);
  LRFinder finder(model, optimizer, cross_entropy, TrainingOptions().snapshot(snapshot));
  finder.range_test(batches, RangeTestOptions().num_iter(6).restore(false));
  CHECK(optimizer.steps.item<float>() == 10);
  CHECK_FALSE(same_bits(optimizer.state_of(model->parameters()[0]).velocity, value));
  finder.reset();

  CHECK(before.differences(Everything(*model, optimizer)) == "");
  CHECK(optimizer.steps.item<float>() == 4);
  CHECK(optimizer.state_of(model->parameters()[0]).velocity.is_same(velocity));
  CHECK(same_bits(velocity, value));
}

TEST_CASE("a user's optimizer derived from one of LibTorch's is restored, its members too") {
  torch::manual_seed(5);
  auto model = small_classifier();
  CountingSGD optimizer(model->parameters(), SGDOptions(1e-3).momentum(0.9));
  const auto batches = class_batches(4, 6, 4, 3);
  const bool fine_tuning = GENERATE(false, true);
  const auto snapshot = GENERATE(Snapshot::device, Snapshot::disk);
  if (fine_tuning) train(model, optimizer, batches);
  const Everything before(*model, optimizer);
  LRFinder finder(model, optimizer, cross_entropy, TrainingOptions().snapshot(snapshot));
  finder.range_test(batches, RangeTestOptions().num_iter(6));
  CHECK(before.differences(Everything(*model, optimizer)) == "");
  CHECK(optimizer.steps.item<float>() == (fine_tuning ? 4 : 0));
}

TEST_CASE("a user's optimizer that cannot be loaded is reported; all else is restored") {
  torch::manual_seed(5);
  auto model = small_classifier();
  OwnOptimizer optimizer(model->parameters(), 1e-3);
  const auto batches = class_batches(4, 6, 4, 3);
  train(model, optimizer, batches);
  const auto parameters = model->parameters()[0].detach().clone();
  const auto velocity = optimizer.state_of(model->parameters()[0]).velocity.clone();
  optimizer.refuses_to_load = true;
  LRFinder finder(model, optimizer, [](const Tensor& output, const Tensor& target) {
    if (torch::GradMode::is_enabled()) throw std::out_of_range("mine");
    return cross_entropy(output, target);
  });
  try {
    finder.range_test(batches);
    FAIL("nothing was thrown");
  } catch (const lrfinder::SnapshotError& error) {
    CHECK_THAT(error.what(), contains("not today") && contains("the optimizer's own members"));
    CHECK_THAT(error.what(), contains("ended by this exception: mine"));
    CHECK_THROWS_AS(std::rethrow_if_nested(error), std::out_of_range);
  }
  CHECK(same_bits(model->parameters()[0], parameters));
  CHECK(same_bits(optimizer.state_of(model->parameters()[0]).velocity, velocity));
}

TEST_CASE("a user's optimizer that cannot be saved is refused before anything runs") {
  auto model = small_classifier();
  UnsavableOptimizer optimizer(model->parameters(), 1e-3);
  int calls = 0;
  LRFinder finder(model, optimizer, [&](const Tensor& output, const Tensor& target) {
    ++calls;
    return cross_entropy(output, target);
  });
  const auto batches = class_batches(2, 6, 4, 3);
  CHECK_THROWS_AS(finder.range_test(batches), lrfinder::SnapshotError);
  CHECK_THROWS_WITH(finder.range_test(batches), contains("has to implement LibTorch's"));
  CHECK(calls == 0);
}

TEST_CASE("odd tensors are restored bit for bit") {
  struct OddImpl : torch::nn::Module {
    OddImpl() {
      tied = register_parameter("tied", torch::randn({3, 4}));
      also_tied = register_parameter("also_tied", tied);
      view = register_parameter("view", torch::randn({8})).narrow(0, 2, 4);
      frozen = register_parameter("frozen", torch::randn({3}), /*requires_grad=*/false);
      empty = register_parameter("empty", torch::empty({0, 3}));
      turned = register_parameter("turned", torch::randn({4, 3}).t());
      complex_valued =
          register_parameter("complex_valued", torch::randn({3}, torch::kComplexFloat));
      half = register_parameter("half", torch::randn({3}).to(torch::kHalf));
      bfloat = register_parameter("bfloat", torch::randn({3}).to(torch::kBFloat16));
      counter = register_buffer("counter", torch::zeros({1}, torch::kLong));
      flags = register_buffer("flags", torch::zeros({3}, torch::kBool));
      not_numbers = register_buffer("not_numbers", torch::full({3}, std::nan("0x1234")));
      repeated = register_buffer("repeated", torch::randn({1}).expand({5}));
    }
    Tensor forward(const Tensor& input) {
      counter.add_(1);
      flags.logical_not_();
      not_numbers.fill_(1);
      return torch::matmul(input, tied.t()) + torch::matmul(input, turned.t()) + frozen +
             torch::abs(complex_valued) + half.to(torch::kFloat) + bfloat.to(torch::kFloat) +
             empty.sum() + repeated.sum();
    }
    Tensor tied, also_tied, view, frozen, empty, turned, complex_valued, half, bfloat, counter,
        flags, not_numbers, repeated;
  };
  const auto snapshot = GENERATE(Snapshot::device, Snapshot::host, Snapshot::disk);
  torch::manual_seed(2);
  const auto model = std::make_shared<OddImpl>();
  SGD optimizer(model->parameters(), SGDOptions(1e-3).momentum(0.5));
  const Everything before(*model, optimizer);
  LRFinder finder(model, optimizer, cross_entropy, TrainingOptions().snapshot(snapshot));
  finder.range_test(class_batches(3, 5, 4, 3), RangeTestOptions().num_iter(6).restore(false));
  CHECK(before.differences(Everything(*model, optimizer)) != "");
  finder.reset();
  CHECK(before.differences(Everything(*model, optimizer)) == "");
  CHECK(model->tied.is_same(model->also_tied));
}

TEST_CASE("sparse gradients are restored", "[sparse]") {
  torch::nn::Embedding model(torch::nn::EmbeddingOptions(10, 3).sparse(true));
  SGD optimizer(model->parameters(), 1e-3);
  std::vector<TensorBatch> batches;
  for (int64_t i = 0; i < 4; ++i) {
    batches.emplace_back(torch::tensor({i, i + 3}), torch::tensor({1, 2}));
  }
  train(model, optimizer, batches);
  REQUIRE(model->weight.grad().is_sparse());
  const auto gradient = model->weight.grad();
  const Everything before(*model, optimizer);
  const auto snapshot = GENERATE(Snapshot::device, Snapshot::host, Snapshot::disk);
  LRFinder finder(model, optimizer, cross_entropy, TrainingOptions().snapshot(snapshot));
  finder.range_test(batches, RangeTestOptions().num_iter(6));
  CHECK(before.differences(Everything(*model, optimizer)) == "");
  CHECK(model->weight.grad().is_same(gradient));
}

TEST_CASE("buffers in compressed sparse layouts are restored", "[sparse]") {
  const Warnings of_libtorch;
  const auto layout = GENERATE(at::kSparseCsr, at::kSparseCsc, at::kSparseBsr);
  const auto sparse = [&](const Tensor& dense) {
    return layout == at::kSparseCsr   ? dense.to_sparse_csr()
           : layout == at::kSparseCsc ? dense.to_sparse_csc()
                                      : dense.to_sparse_bsr({2, 2});
  };
  const auto dense = torch::tensor({{1.F, 0.F, 2.F, 0.F}, {0.F, 3.F, 0.F, 0.F}});
  torch::nn::Sequential model(torch::nn::Linear(4, 3));
  const auto buffer = model->register_buffer("mask", sparse(dense));
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  LRFinder finder(model, optimizer, cross_entropy);
  const bool changes_shape = GENERATE(false, true);
  finder.range_test(class_batches(3, 5, 4, 3),
                    RangeTestOptions().num_iter(3).on_iteration([&](const auto&) {
                      if (!changes_shape) return void(buffer.values().mul_(2));
                      const auto other = sparse(torch::ones({2, 4}));
                      buffer.resize_as_sparse_(other).copy_(other);
                    }));
  CHECK(same_bits(buffer.to_dense(), dense));
}

TEST_CASE("a model that swaps the storage of its own tensors gets the first one back") {
  struct SwappingImpl : torch::nn::Module {
    SwappingImpl() : layer(register_module("layer", torch::nn::Linear(4, 3))) {
      seen = register_buffer("seen", torch::zeros({2}));
    }
    Tensor forward(const Tensor& input) {
      seen.set_data(torch::ones({5}));
      layer->bias.set_requires_grad(false);
      return layer->forward(input);
    }
    torch::nn::Linear layer{nullptr};
    Tensor seen;
  };
  const auto model = std::make_shared<SwappingImpl>();
  SGD optimizer(model->parameters(), 1e-3);
  const Everything before(*model, optimizer);
  LRFinder finder(model, optimizer, cross_entropy);
  finder.range_test(class_batches(3, 5, 4, 3), RangeTestOptions().num_iter(3));
  CHECK(before.differences(Everything(*model, optimizer)) == "");
}

namespace {

// A layer whose train() fails when it is told to, as an override of a user's may.
struct StubbornImpl : torch::nn::Module {
  StubbornImpl() : linear(register_module("linear", torch::nn::Linear(4, 3))) {}
  void train(bool on = true) override {
    if (fails) throw std::runtime_error("no training flag today");
    Module::train(on);
  }
  Tensor forward(const Tensor& input) { return linear->forward(input); }
  torch::nn::Linear linear;
  bool fails = false;
};
TORCH_MODULE(Stubborn);

// A layer with a running mean, which forward() draws into the graph.
struct RunningMeanImpl : torch::nn::Module {
  RunningMeanImpl()
      : linear(register_module("linear", torch::nn::Linear(4, 3))),
        mean(register_buffer("mean", torch::zeros({3}))) {}
  Tensor forward(const Tensor& input) {
    const Tensor output = linear->forward(input);
    mean.detach_().mul_(0.9).add_(output.mean(0), 0.1);
    return output - mean;
  }
  torch::nn::Linear linear;
  Tensor mean;
};
TORCH_MODULE(RunningMean);

}  // namespace

TEST_CASE("a module that cannot restore its training flag keeps nothing else from being restored") {
  torch::manual_seed(6);
  Stubborn model;
  model->eval();
  SGD optimizer(model->parameters(), SGDOptions(1e-2).momentum(0.9));
  const auto batches = class_batches(4, 6, 4, 3);
  const auto weight = model->linear->weight.detach().clone();
  const auto random = at::globalContext().defaultGenerator(torch::kCPU).get_state();
  int evaluations = 0;
  LRFinder finder(model, optimizer, [&](const Tensor& output, const Tensor& target) {
    torch::rand({1});
    model->fails = ++evaluations == 3;
    if (model->fails) throw std::out_of_range("mine");
    return cross_entropy(output, target);
  });
  try {
    finder.range_test(batches);
    FAIL("nothing was thrown");
  } catch (const lrfinder::SnapshotError& error) {
    CHECK_THAT(error.what(), contains("no training flag today") &&
                                 contains("the training flag of a module") &&
                                 contains("ended by this exception: mine"));
    CHECK_THROWS_AS(std::rethrow_if_nested(error), std::out_of_range);
  }
  CHECK(same_bits(model->linear->weight, weight));
  CHECK(same_bits(at::globalContext().defaultGenerator(torch::kCPU).get_state(), random));
  CHECK(optimizer.state().empty());
  CHECK(optimizer.param_groups()[0].options().get_lr() == 1e-2);
}

TEST_CASE("a buffer that a forward pass drew into its graph is a plain buffer again") {
  torch::manual_seed(7);
  RunningMean model;
  SGD optimizer(model->parameters(), 1e-3);
  const auto batches = class_batches(4, 6, 4, 3);
  const Everything before(*model, optimizer);
  LRFinder finder(model, optimizer, cross_entropy);
  finder.range_test(batches, RangeTestOptions().num_iter(5));
  CHECK(model->mean.is_leaf());
  CHECK_FALSE(model->mean.requires_grad());
  CHECK(before.differences(Everything(*model, optimizer)).empty());
}

TEST_CASE("a view that a forward pass drew into its graph is out of it again, and so is its base") {
  torch::manual_seed(7);
  torch::nn::Linear model(4, 3);
  const Tensor all = torch::zeros({6});
  const Tensor mean = model->register_buffer("mean", all.narrow(0, 2, 3));
  SGD optimizer(model->parameters(), 1e-3);
  const Everything before(*model, optimizer);
  LRFinder finder(model, optimizer, [&](const Tensor& output, const Tensor& target) {
    mean.mul_(0.9).add_(output.mean(0), 0.1);
    return cross_entropy(output, target);
  });
  finder.range_test(class_batches(4, 6, 4, 3), RangeTestOptions().num_iter(5));
  CHECK(before.differences(Everything(*model, optimizer)) == "");
  CHECK(mean.is_leaf());
  mean.add_(1);  // makes the graph of a view anew, where its base has one
  CHECK(mean.is_leaf());
  CHECK(all.is_leaf());
  CHECK(mean._base().is_same(all));
}

TEST_CASE("what shares a storage with the model keeps what is written to it during a test",
          "[host memory]") {
  torch::manual_seed(7);
  const auto snapshot = GENERATE(Snapshot::device, Snapshot::host, Snapshot::disk);
  std::vector<float> array(18, 0.1F);
  const Tensor all = torch::from_blob(array.data(), {18});
  torch::nn::Linear model(4, 3);
  model->weight.set_data(all.narrow(0, 1, 12).view({3, 4}));
  const Tensor mean = model->register_buffer("mean", all.narrow(0, 14, 3));
  SGD optimizer(model->parameters(), 1e-3);
  const Everything before(*model, optimizer);
  LRFinder finder(
      model, optimizer,
      [&](const Tensor& output, const Tensor& target) {
        mean.mul_(0.9).add_(output.detach().mean(0), 0.1);
        return cross_entropy(output, target);
      },
      TrainingOptions().snapshot(snapshot));
  const auto options = RangeTestOptions().num_iter(5).on_iteration([&](const auto& iteration) {
    array[0] = array[13] = static_cast<float>(iteration.index);
    all[17].fill_(iteration.index);
  });
  finder.range_test(class_batches(4, 6, 4, 3), options);
  CHECK(before.differences(Everything(*model, optimizer)) == "");
  for (const std::size_t other : {0U, 13U, 17U}) CHECK(array[other] == 4);
}

TEST_CASE("frozen weights may be in memory that cannot be written", "[host memory]") {
  const auto snapshot = GENERATE(Snapshot::device, Snapshot::host, Snapshot::disk);
  constexpr std::size_t size = 4096;
  void* const page = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(page != MAP_FAILED);
  {
    torch::nn::Sequential model(torch::nn::Linear(4, 4), torch::nn::Linear(4, 3));
    const Tensor frozen = model[0]->as<torch::nn::Linear>()->weight.set_requires_grad(false);
    frozen.set_data(torch::from_blob(page, {4, 4}));
    SGD optimizer(model->parameters(), 1e-3);
    const Everything before(*model, optimizer);
    LRFinder finder(model, optimizer, cross_entropy, TrainingOptions().snapshot(snapshot));
    const auto batches = class_batches(3, 6, 4, 3);
    finder.range_test(batches, batches, RangeTestOptions().num_iter(4));
    finder.range_test(batches, RangeTestOptions().num_iter(4));
    CHECK(before.differences(Everything(*model, optimizer)) == "");
  }
  ::munmap(page, size);
}

TEST_CASE("a tensor that cannot be saved is named, and the optimizer is not blamed") {
  torch::manual_seed(8);
  torch::nn::Linear model(4, 3);
  const auto batches = class_batches(2, 6, 4, 3);
  // On a device that this LibTorch cannot use.
  const torch::Device xla(torch::kXLA, 0);
  Tensor elsewhere = at::detail::make_tensor<c10::TensorImpl>(
      c10::Storage(c10::Storage::use_byte_size_t(), 40, at::DataPtr(nullptr, xla)),
      c10::DispatchKeySet(c10::DispatchKey::XLA), caffe2::TypeMeta::Make<float>());
  elsewhere.unsafeGetTensorImpl()->set_sizes_contiguous({2, 5});
  model->register_buffer("elsewhere", elsewhere);
  SGD optimizer(model->parameters(), 1e-3);
  const Snapshot snapshot = GENERATE(Snapshot::device, Snapshot::host, Snapshot::disk);
  LRFinder finder(model, optimizer, cross_entropy, TrainingOptions().snapshot(snapshot));
  const auto options = RangeTestOptions().num_iter(3);
  CHECK_THROWS_AS(finder.range_test(batches, options), lrfinder::SnapshotError);
  CHECK_THROWS_WITH(finder.range_test(batches, options),
                    contains("[2, 5]") && contains("cannot be saved") && !contains("optimizer"));
}

TEST_CASE("a buffer without values, on the device meta, stays where it is") {
  torch::manual_seed(8);
  torch::nn::Linear model(4, 3);
  const Tensor buffer =
      model->register_buffer("elsewhere", torch::empty({2, 5}, torch::device(torch::kMeta)));
  SGD optimizer(model->parameters(), 1e-3);
  const Tensor weight = model->weight.detach().clone();
  const auto snapshot = GENERATE(Snapshot::device, Snapshot::host, Snapshot::disk);
  LRFinder finder(model, optimizer, cross_entropy, TrainingOptions().snapshot(snapshot));
  auto options = RangeTestOptions().num_iter(3);
  finder.range_test(class_batches(2, 6, 4, 3), options.on_iteration([&](const auto&) {
    buffer.set_data(torch::empty({3}, torch::device(torch::kMeta)));
  }));
  CHECK(same_bits(model->weight, weight));
  CHECK(buffer.is_meta());
  CHECK(buffer.sizes() == torch::IntArrayRef({2, 5}));
}

TEST_CASE("gradients in whose memory a test cannot work are restored, and change no loss") {
  const auto train = [](Snapshot snapshot, const std::string& kind) {
    torch::manual_seed(8);
    torch::nn::Linear model(4, 3);
    const Tensor bucket = torch::randn({15});
    Tensor& weight = model->weight.mutable_grad();
    Tensor& bias = model->bias.mutable_grad();
    if (kind == "views of one tensor") {
      weight = bucket.narrow(0, 0, 12).view({3, 4});
      bias = bucket.narrow(0, 12, 3);
    } else if (kind == "views of one element") {
      weight = bucket.narrow(0, 0, 1).expand({3, 4});
    } else if (kind == "elements that share memory, no view") {
      weight = bucket.narrow(0, 0, 1).expand({3, 4}).variable_data();
    } else if (kind == "the same memory, no views") {
      weight = bucket.narrow(0, 0, 12).view({3, 4}).variable_data();
      bias = bucket.narrow(0, 0, 3).variable_data();
    } else {
      weight = torch::ones({3, 4}).requires_grad_() * 2;
    }
    const Tensor weight_before = weight;
    SGD optimizer(model->parameters(), 1e-3);
    const Everything before(*model, optimizer);
    LRFinder finder(model, optimizer, cross_entropy, TrainingOptions().snapshot(snapshot));
    const auto batches = class_batches(3, 6, 4, 3);
    finder.range_test(batches, RangeTestOptions().num_iter(4).end_lr(1));
    CHECK(before.differences(Everything(*model, optimizer)) == "");
    CHECK(model->weight.grad().is_same(weight_before));
    CHECK(weight_before.requires_grad() == (kind == "in a graph"));
    return finder.history().raw_loss;
  };
  const auto* const kind =
      GENERATE("views of one tensor", "views of one element", "elements that share memory, no view",
               "the same memory, no views", "in a graph");
  INFO(kind);
  const auto losses = train(Snapshot::device, kind);
  CHECK(train(Snapshot::host, kind) == losses);
  CHECK(train(Snapshot::disk, kind) == losses);
}
