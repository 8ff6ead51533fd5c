// What the code of TorchScript modules assigns during a test.

#include <catch2.hpp>
#include <cstdint>
#include <everything.hpp>
#include <stdexcept>
#include <training.hpp>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

using torch::jit::Module;

namespace {

/// A module that assigns to all that it has, and whose submodule counts.
struct Scripted {
  Scripted() {
    inner.register_attribute("training", c10::BoolType::get(), true);
    inner.register_attribute("calls", c10::IntType::get(), 5);
    inner.define(R"(
      def forward(self, input):
          self.calls += 1
          return input
    )");
    model.register_parameter("weight", weight, /*is_buffer=*/false);
    model.register_buffer("seen", torch::ones({1}));
    model.register_attribute("training", c10::BoolType::get(), true);
    model.register_attribute("last", c10::TensorType::get(), torch::zeros({2}));
    model.register_attribute("scale", c10::FloatType::get(), 0.5);
    model.register_attribute("sizes", c10::ListType::ofInts(),
                             c10::IValue(std::vector<std::int64_t>{7}));
    model.register_attribute("kept", c10::ListType::ofTensors(),
                             c10::IValue(std::vector<torch::Tensor>{weight}));
    model.register_module("inner", inner);
    model.define(R"(
      def forward(self, input):
          self.seen = self.seen + 1
          self.last = input.mean(0)
          self.scale = self.scale * 0.5
          self.sizes.append(len(self.sizes))
          return torch.matmul(self.inner.forward(input), self.kept[0].t())
    )");
  }
  torch::Tensor weight = torch::randn({3, 4}, torch::requires_grad());
  Module model{"Model"};
  Module inner{"Inner"};
};

}  // namespace

TEST_CASE("attributes that a TorchScript module assigns anew are restored") {
  const auto snapshot =
      GENERATE(lrfinder::Snapshot::device, lrfinder::Snapshot::host, lrfinder::Snapshot::disk);
  const bool throws = GENERATE(false, true);
  Scripted scripted;
  const auto seen = scripted.model.attr("seen").toTensor();
  const auto last = scripted.model.attr("last").toTensor();
  const auto sizes = scripted.model.attr("sizes").toIntList();
  const auto values = scripted.weight.detach().clone();
  torch::optim::SGD optimizer({scripted.weight}, 1e-3);
  int evaluations = 0;
  lrfinder::LRFinder finder(scripted.model, optimizer,
                            [&](const torch::Tensor& output, const torch::Tensor& target) {
                              if (throws && ++evaluations == 4) throw std::runtime_error("mine");
                              return torch::cross_entropy_loss(output, target);
                            });
  const auto options = lrfinder::RangeTestOptions().num_iter(6).snapshot(snapshot);
  const auto batches = class_batches(3, 5, 4, 3);
  if (throws) {
    CHECK_THROWS_WITH(finder.range_test(batches, options), "mine");
  } else {
    CHECK(finder.range_test(batches, options).size() == 6);
    // The parameter in the list was trained.
    CHECK(finder.history().raw_loss.front() != finder.history().raw_loss[3]);
  }

  CHECK(scripted.model.attr("seen").toTensor().is_same(seen));
  CHECK(seen.item<float>() == 1);
  CHECK(scripted.model.attr("last").toTensor().is_same(last));
  CHECK(last.count_nonzero().item<int>() == 0);
  CHECK(scripted.model.attr("scale").toDouble() == 0.5);
  CHECK(scripted.model.attr("sizes").toIntList().is(sizes));
  CHECK(sizes.vec() == std::vector<std::int64_t>{7});
  CHECK(scripted.model.attr("kept").toTensorVector().at(0).is_same(scripted.weight));
  CHECK(scripted.inner.attr("calls").toInt() == 5);
  CHECK(same_bits(values, scripted.weight));
}

TEST_CASE("after a test that does not restore, the attributes are those that it left") {
  Scripted scripted;
  torch::optim::SGD optimizer({scripted.weight}, 1e-3);
  lrfinder::LRFinder finder(scripted.model, optimizer, torch::nn::CrossEntropyLoss());
  finder.range_test(class_batches(3, 5, 4, 3),
                    lrfinder::RangeTestOptions().num_iter(6).restore(false));
  CHECK(scripted.model.attr("seen").toTensor().item<float>() == 7);
  CHECK(scripted.model.attr("sizes").toIntList().size() == 7);
  CHECK(scripted.inner.attr("calls").toInt() == 11);
  finder.reset();
  CHECK(scripted.model.attr("seen").toTensor().item<float>() == 1);
  CHECK(scripted.model.attr("sizes").toIntList().size() == 1);
  CHECK(scripted.inner.attr("calls").toInt() == 5);
}
