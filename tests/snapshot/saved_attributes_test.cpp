// What the code of TorchScript modules assigns during a test.

#include <catch2.hpp>
#include <cstdint>
#include <everything.hpp>
#include <stdexcept>
#include <string>
#include <training.hpp>
#include <vector>

#include <torch/custom_class.h>
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
    c10::Dict<std::string, std::int64_t> counts;
    counts.insert("forward", 2);
    model.register_attribute(
        "counts", c10::DictType::create(c10::StringType::get(), c10::IntType::get()), counts);
    model.register_attribute("pair",
                             c10::TupleType::create({c10::IntType::get(), c10::ListType::ofInts()}),
                             c10::ivalue::Tuple::create(1, std::vector<std::int64_t>{7}));
    model.register_module("inner", inner);
    model.define(R"(
      def forward(self, input):
          self.seen = self.seen + 1
          self.last = input.mean(0)
          self.scale = self.scale * 0.5
          self.sizes.append(len(self.sizes))
          self.counts["forward"] += 1
          self.counts["new"] = 1
          self.pair[1].append(1)
          return torch.matmul(self.inner.forward(input), self.kept[0].t())
    )");
  }
  torch::Tensor weight = torch::randn({3, 4}, torch::requires_grad());
  Module model{"Model"};
  Module inner{"Inner"};
};

/// An object of a class of C++ that counts.
struct Counter : torch::CustomClassHolder {
  std::int64_t count() { return ++calls; }
  std::int64_t calls = 0;
};
const auto counter_class = torch::class_<Counter>("lrfinder_tests", "Counter")
                               .def(torch::init<>())
                               .def("count", &Counter::count);

}  // namespace

TEST_CASE("attributes that a TorchScript module assigns anew are restored") {
  const auto snapshot =
      GENERATE(lrfinder::Snapshot::device, lrfinder::Snapshot::host, lrfinder::Snapshot::disk);
  const bool throws = GENERATE(false, true);
  Scripted scripted;
  const auto seen = scripted.model.attr("seen").toTensor();
  const auto last = scripted.model.attr("last").toTensor();
  const auto sizes = scripted.model.attr("sizes").toIntList();
  const auto counts = scripted.model.attr("counts").toGenericDict();
  const auto values = scripted.weight.detach().clone();
  torch::optim::SGD optimizer({scripted.weight}, 1e-3);
  int evaluations = 0;
  lrfinder::LRFinder finder(
      scripted.model, optimizer,
      [&](const torch::Tensor& output, const torch::Tensor& target) {
        if (throws && ++evaluations == 4) throw std::runtime_error("mine");
        return torch::cross_entropy_loss(output, target);
      },
      lrfinder::TrainingOptions().snapshot(snapshot));
  const auto options = lrfinder::RangeTestOptions().num_iter(6);
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
  CHECK(scripted.model.attr("counts").toGenericDict().is(counts));
  CHECK(counts.size() == 1);
  CHECK(counts.at("forward").toInt() == 2);
  CHECK(scripted.model.attr("pair").toTupleRef().elements()[1].toIntVector() ==
        std::vector<std::int64_t>{7});
  CHECK(scripted.model.attr("kept").toTensorVector().at(0).is_same(scripted.weight));
  CHECK(scripted.inner.attr("calls").toInt() == 5);
  CHECK(same_bits(values, scripted.weight));
}

TEST_CASE("a named tuple has its names in the test, too") {
  Scripted scripted;
  const auto type = c10::TupleType::createNamed(
      c10::QualifiedName("Point"), std::vector<std::string>{"x", "rest"},
      std::vector<c10::TypePtr>{c10::IntType::get(), c10::ListType::ofInts()});
  const auto tuple = c10::ivalue::Tuple::createNamed(
      std::vector<c10::IValue>{1, std::vector<std::int64_t>{7}}, type);
  scripted.model.register_attribute("point", type, tuple);
  torch::optim::SGD optimizer({scripted.weight}, 1e-3);
  int evaluations = 0;
  lrfinder::LRFinder finder(
      scripted.model, optimizer, [&](const torch::Tensor& output, const torch::Tensor& target) {
        const auto during = scripted.model.attr("point").toTuple();
        CHECK(during != tuple);
        CHECK(during->type()->name()->name() == "Point");
        CHECK(during->elements()[1].toIntVector() == std::vector<std::int64_t>{7});
        evaluations += torch::GradMode::is_enabled() ? 1 : 0;
        return torch::cross_entropy_loss(output, target);
      });
  finder.range_test(class_batches(3, 5, 4, 3), lrfinder::RangeTestOptions().num_iter(3));
  CHECK(evaluations == 3);
  CHECK(scripted.model.attr("point").toTuple() == tuple);
}

TEST_CASE("after a test that does not restore, the attributes are those that it left") {
  Scripted scripted;
  torch::optim::SGD optimizer({scripted.weight}, 1e-3);
  lrfinder::LRFinder finder(scripted.model, optimizer, torch::nn::CrossEntropyLoss());
  if (GENERATE(false, true)) finder.also_restore(scripted.inner);  // named twice
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

TEST_CASE("an object of a C++ class among the attributes keeps what a test does to it") {
  Scripted scripted;
  const auto counter = c10::make_intrusive<Counter>();
  scripted.inner.register_attribute(
      "counter", c10::getCustomClassType<c10::intrusive_ptr<Counter>>(), c10::IValue(counter));
  scripted.inner.define(R"(
    def count(self):
        return self.counter.count()
  )");
  torch::optim::SGD optimizer({scripted.weight}, 1e-3);
  lrfinder::LRFinder finder(scripted.model, optimizer,
                            [&](const torch::Tensor& output, const torch::Tensor& target) {
                              if (torch::GradMode::is_enabled()) {
                                scripted.inner.get_method("count")({});
                              }
                              return torch::cross_entropy_loss(output, target);
                            });
  finder.range_test(class_batches(3, 5, 4, 3), lrfinder::RangeTestOptions().num_iter(6));
  CHECK(scripted.inner.attr("counter").toCustomClass<Counter>() == counter);
  CHECK(counter->calls == 6);
  CHECK(scripted.inner.attr("calls").toInt() == 5);
}

TEST_CASE("tensors in a list that share memory stay what they are during a test") {
  const auto weights = torch::randn({6, 4}, torch::requires_grad());
  Module model("Model");
  model.register_parameter("weights", weights, /*is_buffer=*/false);
  const std::vector<torch::Tensor> halves{weights.detach().narrow(0, 0, 3),
                                          weights.detach().narrow(0, 3, 3)};
  model.register_attribute("halves", c10::ListType::ofTensors(), c10::IValue(halves));
  model.define(R"(
    def forward(self, input):
        bias = torch.matmul(input, (self.halves[0] - 2 * self.halves[1]).t())
        return bias + torch.matmul(input, self.weights.t())[:, 3:]
  )");
  torch::optim::SGD optimizer({weights}, 1e-3);
  const auto batches = class_batches(1, 5, 4, 3);
  const auto loss =
      torch::cross_entropy_loss(model.forward({batches[0].data}).toTensor(), batches[0].target);
  lrfinder::LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  finder.range_test(batches, lrfinder::RangeTestOptions().num_iter(2));
  CHECK(finder.history().raw_loss.front() == loss.item<float>());
  CHECK(model.attr("halves").toTensorVector().at(1).is_same(halves[1]));
}
