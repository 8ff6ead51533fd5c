#include <catch2.hpp>
#include <everything.hpp>
#include <training.hpp>

#include <lrfinder/lrfinder.hpp>

using lrfinder::LRFinder;
using lrfinder::RangeTestOptions;

namespace {

struct NetImpl : torch::nn::Module {
  NetImpl() : layer(register_module("layer", torch::nn::Linear(4, 3))) {}
  torch::Tensor forward(const torch::Tensor& input) { return layer->forward(input); }
  torch::nn::Linear layer;
};
TORCH_MODULE(Net);

// Makes its layer anew where it is told to.
struct RenewedImpl : torch::nn::Module {
  RenewedImpl()
      : layer(register_module("layer", torch::nn::Linear(4, 4))),
        last(register_module("last", torch::nn::Linear(4, 3))) {}
  void renew() { layer = replace_module("layer", torch::nn::Linear(4, 4)); }
  torch::Tensor forward(const torch::Tensor& input) {
    if (renews && is_training()) renew();
    return last->forward(layer->forward(input));
  }
  torch::nn::Linear layer, last;
  bool renews = false;
};
TORCH_MODULE(Renewed);

// Its weight is on the meta device.
struct WithoutValuesImpl : torch::nn::Module {
  torch::Tensor forward(const torch::Tensor& input) { return input.matmul(weight); }
  torch::Tensor weight = register_parameter("weight", torch::empty({4, 3}, torch::kMeta));
};
TORCH_MODULE(WithoutValues);

const RangeTestOptions ten_iterations = RangeTestOptions().num_iter(10).end_lr(1);

}  // namespace

TEST_CASE("a model may be a holder, a shared_ptr, a Sequential, an AnyModule or a reference") {
  const auto batches = class_batches(3, 5, 4, 3);
  torch::nn::CrossEntropyLoss criterion;
  const auto records_ten = [&](auto&& model, torch::nn::Module& module) {
    torch::optim::SGD optimizer(module.parameters(), 1e-4);
    LRFinder finder(model, optimizer, criterion);
    const Everything before(module, optimizer);
    CHECK(finder.range_test(batches, batches, ten_iterations).size() == 10);
    CHECK(before.differences(Everything(module, optimizer)).empty());
  };
  Net holder;
  records_ten(holder, *holder);
  const Net const_holder;
  records_ten(const_holder, *Net(const_holder));
  const auto shared = std::make_shared<NetImpl>();
  records_ten(shared, *shared);
  torch::nn::Sequential sequential(torch::nn::Linear(4, 3));
  records_ten(sequential, *sequential);
  torch::nn::AnyModule any(holder);
  records_ten(any, *holder);
  NetImpl on_the_stack;
  records_ten(on_the_stack, on_the_stack);
}

TEST_CASE("a model by reference is not copied") {
  NetImpl model;
  torch::optim::SGD optimizer(model.parameters(), 1e-4);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  finder.range_test(class_batches(3, 5, 4, 3), RangeTestOptions(ten_iterations).restore(false));
  const auto trained = model.layer->weight.detach().clone();
  finder.reset();
  CHECK_FALSE(same_bits(trained, model.layer->weight));
}

TEST_CASE("a module that replaces a submodule keeps the old one alive until the restore") {
  Renewed model;
  torch::optim::SGD optimizer(model->parameters(), 1e-4);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  const auto batches = class_batches(3, 5, 4, 3);
  std::weak_ptr<torch::nn::Module> first = model->layer.ptr();
  SECTION("between a test and reset") {
    finder.range_test(batches, RangeTestOptions(ten_iterations).restore(false));
    model->renew();
    model->eval();
    CHECK_FALSE(first.expired());
    CHECK_THROWS_AS(finder.reset(), lrfinder::SnapshotError);
  }
  SECTION("in a forward pass") {
    model->renews = true;
    CHECK_THROWS_AS(finder.range_test(batches, batches, ten_iterations), lrfinder::SnapshotError);
  }
  CHECK(model->is_training());
  CHECK(first.lock() == model->named_children()["layer"]);
  CHECK(first.lock()->is_training());
}

TEST_CASE("a module that its holder lets go of lives as long as the finder") {
  Net model, other;
  torch::optim::SGD optimizer(model->parameters(), 1e-4);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  finder.also_restore(other);
  std::weak_ptr<torch::nn::Module> first = other.ptr();
  other = Net();
  CHECK_FALSE(first.expired());
  CHECK(finder.range_test(class_batches(3, 5, 4, 3), ten_iterations).size() == 10);
}

TEST_CASE("the types of a finder can be written out") {
  Net model;
  torch::optim::SGD optimizer(model->parameters(), 1e-4);
  LRFinder<Net, torch::optim::SGD, torch::nn::CrossEntropyLoss> holder(
      model, optimizer, torch::nn::CrossEntropyLoss());
  CHECK(holder.range_test(class_batches(3, 5, 4, 3)).size() == 100);
  torch::optim::Optimizer& base = optimizer;
  torch::nn::CrossEntropyLossImpl criterion;
  LRFinder<NetImpl, torch::optim::Optimizer, torch::nn::CrossEntropyLossImpl> reference(
      *model, base, criterion);
  CHECK(reference.range_test(class_batches(3, 5, 4, 3)).size() == 100);
}

TEST_CASE("a TorchScript module is trained and restored") {
  torch::jit::Module model("Scripted");
  const auto weight = torch::randn({3, 4}, torch::requires_grad());
  model.register_parameter("weight", weight, /*is_buffer=*/false);
  model.register_buffer("seen", torch::zeros({1}));
  model.register_attribute("training", c10::BoolType::get(), true);
  model.define(R"(
    def forward(self, input):
        if self.training:
            self.seen.add_(1)
        return torch.matmul(input, self.weight.t())
  )");
  torch::optim::SGD optimizer({weight}, 1e-4);
  const auto values = weight.detach().clone();
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  const auto batches = class_batches(3, 5, 4, 3);
  finder.range_test(batches, batches, RangeTestOptions(ten_iterations).restore(false));
  CHECK(model.attr("seen").toTensor().item<float>() == 10);
  CHECK_FALSE(same_bits(values, weight));
  model.eval();
  finder.reset();
  CHECK(model.attr("seen").toTensor().item<float>() == 0);
  CHECK(same_bits(values, weight));
  CHECK(model.is_training());
}

TEST_CASE("a model that cannot be trained is refused before anything is touched") {
  const auto batches = class_batches(3, 5, 4, 3);
  torch::nn::CrossEntropyLoss criterion;
  SECTION("on the meta device") {
    WithoutValues model;
    torch::optim::SGD optimizer(model->parameters(), 1e-3);
    LRFinder finder(model, optimizer, criterion);
    CHECK_THROWS_WITH(finder.range_test(batches),
                      contains("parameter 0 of the model (counted from 0) is on the meta "
                               "device"));
  }
  SECTION("to be moved to the meta device") {
    Net model;
    torch::optim::SGD optimizer(model->parameters(), 1e-3);
    LRFinder finder(model, optimizer, criterion, torch::kMeta);
    CHECK_THROWS_WITH(finder.range_test(batches), contains("trained on the meta device"));
  }
  SECTION("to be moved to a device that is not there, in one sentence of LibTorch") {
    if (torch::cuda::is_available()) return;
    Net model;
    torch::optim::SGD optimizer(model->parameters(), 1e-3);
    LRFinder finder(model, optimizer, criterion, torch::kCUDA);
    CHECK_THROWS_WITH(finder.range_test(batches), contains("device cuda cannot be used. LibTorch "
                                                           "says: ") &&
                                                      !contains("\n") && !contains("QuantizedCPU"));
  }
  SECTION("made under InferenceMode") {
    torch::nn::Linear body(4, 4), head{nullptr};
    {
      const c10::InferenceMode guard;
      head = torch::nn::Linear(4, 3);
    }
    torch::nn::Sequential model(body, head);
    torch::optim::SGD optimizer(body->parameters(), 1e-3);
    LRFinder finder(model, optimizer, criterion);
    CHECK_THROWS_WITH(finder.range_test(batches),
                      contains("parameter 2 of the model (counted from 0), of shape [3, 4], was "
                               "made under c10::InferenceMode"));
  }
}

TEST_CASE("frozen parameters may be made under InferenceMode") {
  torch::nn::Linear body{nullptr}, head(4, 3);
  {
    const c10::InferenceMode guard;
    body = torch::nn::Linear(4, 4);
    for (const torch::Tensor& parameter : body->parameters()) parameter.set_requires_grad(false);
  }
  torch::nn::Sequential model(body, head);
  torch::optim::SGD optimizer(head->parameters(), 1e-3);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  CHECK(finder.range_test(class_batches(3, 5, 4, 3), ten_iterations).size() == 10);
}
