#include <catch2.hpp>
#include <functional>
#include <limits>
#include <training.hpp>
#include <vector>

#include <lrfinder/torch/autocast.hpp>
#include <lrfinder/torch/gradients.hpp>

using lrfinder::GradientScalerOptions;
using lrfinder::InvalidOption;
using lrfinder::InvalidStep;
using lrfinder::detail::Autocast;
using lrfinder::detail::GradientScaler;
using lrfinder::detail::has_autocast;

namespace {

const float infinity = std::numeric_limits<float>::infinity();
const float not_a_number = std::numeric_limits<float>::quiet_NaN();

torch::Tensor parameter(const torch::Tensor& values) { return values.clone().requires_grad_(); }

// One weight of 1 with the loss weight * input, whose gradient is the input.
struct OneWeight {
  explicit OneWeight(torch::Device device = device_of_test)
      : weight(torch::ones({1}, torch::device(device).requires_grad(true))),
        optimizer({weight}, torch::optim::SGDOptions(0.5)) {}

  // One update by the rules; true when it was taken.
  bool train(GradientScaler& scaler, float input = 1) {
    optimizer.zero_grad();
    scaler.scale(weight * input).backward();
    scaler.unscale(optimizer);
    return scaler.step(optimizer);
  }

  torch::Tensor weight;
  torch::optim::SGD optimizer;
};

// The gradients after `loss` was differentiated, with and without a scaler in between.
void check_same_gradients(const std::vector<torch::Tensor>& parameters,
                          const std::function<torch::Tensor()>& loss) {
  torch::optim::SGD optimizer(parameters, 0.1);
  const auto gradients = [&](GradientScaler&& scaler) {
    for (const auto& tensor : parameters) tensor.mutable_grad().reset();
    scaler.scale(loss()).backward();
    CHECK(scaler.unscale(optimizer));
    std::vector<torch::Tensor> found;
    for (const auto& tensor : parameters) found.push_back(tensor.grad());
    return found;
  };
  // The scale is a power of two: scaling is exact.
  CHECK(same_bits(gradients(GradientScaler()),
                  gradients(GradientScaler(GradientScalerOptions().enabled(false)))));
}

// The gradient, 2^-30, is below the smallest number of half, 2^-24: without scaling it is lost.
void check_training_in_half(torch::Device device) {
  auto model = weight_of_one();
  model->to(device);
  torch::optim::SGD optimizer(model->parameters(), 0.5);
  const auto train = [&](GradientScaler& scaler, float input) {
    optimizer.zero_grad();
    torch::Tensor loss;
    {
      const Autocast autocast(device, torch::kHalf);
      loss = model(torch::full({1, 1}, input, device)).to(torch::kFloat).mean() * 0x1p-20F;
    }
    scaler.scale(loss).backward();
    scaler.unscale(optimizer);
    return scaler.step(optimizer);
  };
  const auto gradient = [&] { return model->weight.grad().item<float>(); };
  GradientScaler none(GradientScalerOptions().enabled(false)), scaler;
  CHECK(train(none, 0x1p-10F));
  CHECK(gradient() == 0);
  CHECK(train(scaler, 0x1p-10F));
  CHECK(gradient() == 0x1p-30F);
  CHECK_FALSE(train(scaler, infinity));
  CHECK(scaler.scale() == 32768);
}

}  // namespace

TEST_CASE("the scale starts, grows and backs off as torch.amp.GradScaler's by default") {
  GradientScaler scaler;
  OneWeight model;
  CHECK(scaler.scale() == 65536);
  for (int i = 0; i < 1999; ++i) model.train(scaler);
  CHECK(scaler.scale() == 65536);
  model.train(scaler);
  CHECK(scaler.scale() == 131072);
  model.train(scaler, infinity);
  CHECK(scaler.scale() == 65536);
}

TEST_CASE("the scale grows after growth_interval updates without overflow in a row") {
  GradientScaler scaler(
      GradientScalerOptions().init_scale(8).growth_interval(3).growth_factor(4).backoff_factor(
          0.25));
  OneWeight model;
  std::vector<double> scales;
  for (const float input : {1.F, 1.F, 1.F, 1.F, 1.F, infinity, 1.F, 1.F, 1.F}) {
    model.train(scaler, input);
    scales.push_back(scaler.scale());
  }
  const std::vector<double> expected{8, 8, 32, 32, 32, 8, 8, 8, 32};
  CHECK(scales == expected);
}

TEST_CASE("the scale does not grow to infinity") {
  GradientScaler scaler(GradientScalerOptions().init_scale(3e38).growth_interval(1));
  OneWeight model;
  model.train(scaler, 1e-30F);
  CHECK(scaler.scale() == Approx(3e38));
}

TEST_CASE("the scale follows LibTorch's own operator") {
  torch::Tensor scale = torch::full({1}, 1024.0), tracker = torch::zeros({1}, torch::kInt);
  GradientScaler scaler(
      GradientScalerOptions().init_scale(1024).growth_interval(4).growth_factor(1.7));
  OneWeight model;
  torch::manual_seed(6);
  for (int i = 0; i < 200; ++i) {
    const bool overflows = torch::rand({}).item<float>() < 0.2;
    model.train(scaler, overflows ? infinity : 1);
    try {
      at::_amp_update_scale_(scale, tracker, torch::full({1}, overflows ? 1.0 : 0.0), 1.7, 0.5, 4);
    } catch (const c10::Error&) {
      WARN("skipped: LibTorch " TORCH_VERSION " has no _amp_update_scale_ on the CPU");
      return;
    }
    REQUIRE(scaler.scale() == scale.item<float>());
  }
}

TEST_CASE("an update with a gradient that is not finite is skipped and said to be") {
  const float input = GENERATE(as<float>{}, infinity, -infinity, not_a_number);
  GradientScaler scaler;
  OneWeight model;
  CHECK(model.train(scaler, 1));
  CHECK(model.weight.item<float>() == 0.5F);
  CHECK_FALSE(model.train(scaler, input));
  CHECK(model.weight.item<float>() == 0.5F);
  CHECK(scaler.scale() == 32768);
  CHECK(model.train(scaler, 1));
  CHECK(model.weight.item<float>() == 0.0F);
}

TEST_CASE("unscaled gradients are those without scaling") {
  torch::manual_seed(2);
  auto model = small_classifier();
  const auto batch = class_batches(1, 5, 4, 3)[0];
  model->eval();  // the same loss each time
  check_same_gradients(model->parameters(), [&] {
    return torch::nn::functional::cross_entropy(model->forward(batch.data), batch.target);
  });
}

TEST_CASE("parameters of several types and shapes are unscaled together") {
  const auto single = parameter(torch::tensor(2.0F));
  const auto doubles = parameter(torch::tensor({1.0, 2.0}, torch::kDouble));
  const auto brain = parameter(torch::tensor({3.0F}).to(torch::kBFloat16));
  const auto none = parameter(torch::ones({0, 2}));
  check_same_gradients({single, doubles, brain, none}, [&] {
    return single * doubles.square().sum() * brain.to(torch::kFloat).sum() + none.sum();
  });
}

TEST_CASE("a parameter without a gradient stays without one") {
  const auto used = parameter(torch::ones({2})), unused = parameter(torch::ones({2}));
  check_same_gradients({used, unused}, [&] { return used.sum(); });
  CHECK_FALSE(unused.grad().defined());
}

TEST_CASE("sparse gradients are unscaled, repeated indices included", "[sparse]") {
  torch::nn::Embedding embedding(torch::nn::EmbeddingOptions(5, 2).sparse(true));
  const auto rows = torch::tensor({1, 3, 1});
  check_same_gradients(embedding->parameters(), [&] { return embedding(rows).sum(); });
  CHECK(embedding->weight.grad().is_sparse());

  torch::optim::SGD optimizer(embedding->parameters(), 0.1);
  embedding->weight.mutable_grad().reset();
  (embedding(rows) * infinity).sum().backward();
  CHECK_FALSE(GradientScaler().unscale(optimizer));
}

TEST_CASE("a parameter that the optimizer has twice is unscaled once") {
  const auto tied = parameter(torch::ones({2}));
  check_same_gradients({tied, tied}, [&] { return tied.sum(); });
}

TEST_CASE("an overflow in one parameter skips the update of all") {
  const auto fine = parameter(torch::ones({1})), overflown = parameter(torch::ones({1}));
  const auto doubles = parameter(torch::ones({1}, torch::kDouble));
  torch::optim::SGD optimizer({fine, overflown, doubles}, 0.1);
  GradientScaler scaler;
  scaler.scale(fine.sum() + (overflown * infinity).sum() + doubles.sum()).backward();
  CHECK_FALSE(scaler.unscale(optimizer));
  CHECK_FALSE(scaler.step(optimizer));
  CHECK(fine.item<float>() == 1);
  CHECK(doubles.item<double>() == 1);
}

TEST_CASE("a copy brings scale and growth back") {
  GradientScaler scaler(GradientScalerOptions().growth_interval(3));
  OneWeight model;
  model.train(scaler);
  model.train(scaler);
  const GradientScaler saved = scaler;
  model.train(scaler, infinity);
  CHECK(scaler.scale() == 32768);
  scaler = saved;
  CHECK(scaler.scale() == 65536);
  model.train(scaler);  // the third in a row
  CHECK(scaler.scale() == 131072);
}

TEST_CASE("a scaler that is not enabled leaves all as it is") {
  GradientScaler scaler(GradientScalerOptions().enabled(false));
  OneWeight model;
  CHECK(model.train(scaler, infinity));
  CHECK(model.weight.item<float>() == -infinity);
  CHECK(scaler.scale() == 1);
  CHECK(scaler.scale(model.weight).is_same(model.weight));
}

TEST_CASE("a loss in half precision is scaled without overflow") {
  const GradientScaler scaler;
  CHECK(scaler.scale(torch::ones({}, torch::kHalf)).item<float>() == 65536);
  CHECK(scaler.scale(torch::ones({}, torch::kDouble)).scalar_type() == torch::kDouble);
}

TEST_CASE("gradients in half precision are refused") {
  const auto half = parameter(torch::ones({1}).to(torch::kHalf));
  half.mutable_grad() = torch::ones({1}, torch::kHalf);
  torch::optim::SGD optimizer({half}, 0.1);
  GradientScaler scaler;
  CHECK_THROWS_AS(scaler.unscale(optimizer), InvalidStep);
}

TEST_CASE("options that make no sense are refused") {
  const auto refuses = [](const GradientScalerOptions& options, const std::string& name) {
    CHECK_THROWS_AS(GradientScaler(options), InvalidOption);
    CHECK_THROWS_WITH(GradientScaler(options), contains(name));
  };
  refuses(GradientScalerOptions().init_scale(0), "init_scale (0)");
  refuses(GradientScalerOptions().init_scale(1e39), "init_scale (1e+39)");
  refuses(GradientScalerOptions().growth_factor(1), "growth_factor (1)");
  refuses(GradientScalerOptions().backoff_factor(1), "backoff_factor (1)");
  refuses(GradientScalerOptions().growth_interval(0), "growth_interval (0)");
}

TEST_CASE("half precision on the CPU trains with the scaler, where LibTorch has it") {
  if (has_autocast(torch::kCPU, torch::kHalf)) check_training_in_half(torch::kCPU);
}

TEST_CASE("half precision on CUDA trains with the scaler", "[cuda]") {
  if (!torch::cuda::is_available() || (is_simulated && !has_autocast(torch::kCPU, torch::kHalf))) {
    WARN("skipped: no CUDA device that has half precision");
    return;
  }
  check_training_in_half(torch::kCUDA);
  GradientScaler scaler;
  OneWeight model(torch::kCUDA);
  CHECK(model.train(scaler));
  CHECK(model.weight.item<float>() == 0.5F);
  CHECK_FALSE(model.train(scaler, infinity));
}
