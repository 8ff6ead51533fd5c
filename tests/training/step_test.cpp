#include <catch2.hpp>
#include <cmath>
#include <everything.hpp>
#include <training.hpp>

#include <lrfinder/lrfinder.hpp>

using lrfinder::History;
using lrfinder::LRFinder;
using lrfinder::RangeTestOptions;
using lrfinder::TrainingOptions;
using torch::Tensor;
using namespace torch::optim;

namespace {

Tensor cross_entropy(const Tensor& output, const Tensor& target) {
  return torch::nn::functional::cross_entropy(output, target);
}

torch::nn::Sequential linear_classifier() {
  torch::manual_seed(8);
  torch::nn::Sequential model(torch::nn::Linear(4, 3));
  model->to(torch::kDouble);
  return model;
}

std::vector<TensorBatch> double_batches(int count) {
  auto batches = class_batches(count, 6, 4, 3);
  for (auto& batch : batches) batch.data = batch.data.to(torch::kDouble);
  return batches;
}

const RangeTestOptions ten_iterations =
    RangeTestOptions().start_lr(1e-3).end_lr(1).num_iter(10).smooth_f(0);

// The losses of a plain loop over the same rates.
template <class Finish>
std::vector<double> by_hand(torch::nn::Sequential& model, Optimizer& optimizer,
                            const std::vector<TensorBatch>& batches, Finish&& finish) {
  std::vector<double> losses;
  for (int i = 0; i < 10; ++i) {
    for (auto& group : optimizer.param_groups()) {
      group.options().set_lr(1e-3 * std::pow(1e3, i / 9.0));
    }
    const auto& batch = batches[static_cast<std::size_t>(i) % batches.size()];
    double first = std::nan("");
    optimizer.step([&] {
      optimizer.zero_grad();
      auto loss = cross_entropy(model->forward(batch.data), batch.target);
      loss.backward();
      finish(model->parameters());
      if (std::isnan(first)) first = loss.item<double>();
      return loss;
    });
    losses.push_back(first);
  }
  return losses;
}

// Plain gradient descent that does with its closure what it is told.
class OwnDescent : public SGD {
 public:
  OwnDescent(std::vector<Tensor> parameters, bool calls_closure)
      : SGD(std::move(parameters), SGDOptions(1e-3)), calls_closure_(calls_closure) {}
  Tensor step(LossClosure closure = nullptr) override {
    return SGD::step(calls_closure_ ? closure : nullptr);
  }

 private:
  bool calls_closure_;
};

}  // namespace

TEST_CASE("LBFGS gets its closure, and re-evaluates the same batch") {
  const auto options = LBFGSOptions(1e-3).max_iter(5);
  const auto batches = double_batches(3);
  auto model = linear_classifier();
  LBFGS optimizer(model->parameters(), options);
  LRFinder finder(model, optimizer, cross_entropy);
  const auto recorded = finder.range_test(batches, ten_iterations).raw_loss;
  CHECK(recorded == by_hand(model, optimizer, batches, [](const auto&) {}));
}

TEST_CASE("LBFGS re-evaluates all accumulated batches") {
  auto model = linear_classifier();
  LBFGS optimizer(model->parameters(), LBFGSOptions(1e-3).max_iter(5));
  std::vector<std::pair<Tensor, int>> seen;
  LRFinder finder(model, optimizer, [&](const Tensor& output, const Tensor& target) {
    if (torch::GradMode::is_enabled()) seen.emplace_back(target, 0);
    return cross_entropy(output, target);
  });
  finder.options().accumulation_steps(2);
  const auto batches = double_batches(4);
  finder.range_test(batches, RangeTestOptions(ten_iterations).num_iter(2));
  REQUIRE(seen.size() > 8);
  int passes_over_first_pair = 0;
  const auto target_is = [&](int call, std::size_t batch) {
    return same_bits(seen.at(static_cast<std::size_t>(call)).first, batches[batch].target);
  };
  while (target_is(2 * passes_over_first_pair, 0) && target_is(2 * passes_over_first_pair + 1, 1)) {
    ++passes_over_first_pair;
  }
  CHECK(passes_over_first_pair > 1);
  CHECK(target_is(2 * passes_over_first_pair, 2));
}

TEST_CASE("LBFGS accumulates over a loader that writes all batches into the same memory") {
  const ReusingLoader reusing(double_batches(4));
  const auto losses = [](const auto& loader) {
    auto model = linear_classifier();
    LBFGS optimizer(model->parameters(), LBFGSOptions(1e-3).max_iter(5));
    LRFinder finder(model, optimizer, cross_entropy, TrainingOptions().accumulation_steps(2));
    return finder.range_test(loader, ten_iterations).raw_loss;
  };
  CHECK(losses(reusing) == losses(reusing.batches));
}

TEST_CASE("a user's optimizer may use the gradients, or the closure") {
  const bool calls_closure = GENERATE(false, true);
  const auto batches = double_batches(3);
  auto model = linear_classifier();
  OwnDescent own(model->parameters(), calls_closure);
  LRFinder finder(model, own, cross_entropy);
  const auto recorded = finder.range_test(batches, ten_iterations).raw_loss;
  SGD libtorchs(model->parameters(), SGDOptions(1e-3));
  CHECK(recorded == by_hand(model, libtorchs, batches, [](const auto&) {}));
}

TEST_CASE("gradients are clipped by norm before the update, and their norm is recorded") {
  const auto batches = double_batches(3);
  auto model = linear_classifier();
  SGD optimizer(model->parameters(), SGDOptions(1e-3).momentum(0.9));
  LRFinder finder(model, optimizer, cross_entropy, TrainingOptions().clip_grad_norm(0.1));
  const History history = finder.range_test(batches, ten_iterations);
  std::vector<double> norms;
  const auto expected = by_hand(model, optimizer, batches, [&](const auto& parameters) {
    double squares = 0;
    for (const auto& parameter : parameters) {
      squares += parameter.grad().square().sum().template item<double>();
    }
    norms.push_back(std::sqrt(squares));
    torch::nn::utils::clip_grad_norm_(parameters, 0.1);
  });
  CHECK(history.raw_loss == expected);
  REQUIRE(history.grad_norm.size() == 10);
  CHECK(history.grad_norm[0] > 0.1);
  for (std::size_t i = 0; i < 10; ++i)
    CHECK(history.grad_norm[i] == Approx(norms[i]).epsilon(1e-5));
  finder.options().clip_grad_norm(std::nullopt);
  CHECK(expected != finder.range_test(batches, ten_iterations).raw_loss);
}

TEST_CASE("gradients are clipped by value before the update") {
  const auto batches = double_batches(3);
  auto model = linear_classifier();
  SGD optimizer(model->parameters(), SGDOptions(1e-3));
  LRFinder finder(model, optimizer, cross_entropy, TrainingOptions().clip_grad_value(0.01));
  const History history = finder.range_test(batches, ten_iterations);
  CHECK(history.raw_loss == by_hand(model, optimizer, batches, [](const auto& parameters) {
          torch::nn::utils::clip_grad_value_(parameters, 0.01);
        }));
  CHECK(history.grad_norm.size() == 10);
}

TEST_CASE("clip_grad_value names the gradients that it cannot clip", "[sparse]") {
  torch::nn::Embedding embedding(torch::nn::EmbeddingOptions(10, 3).sparse(true));
  const Tensor complex = torch::randn({2}, torch::kComplexDouble).requires_grad_(true);
  SGD with_sparse(embedding->parameters(), SGDOptions(1e-3));
  SGD with_complex({complex}, SGDOptions(1e-3));
  const std::vector<TensorBatch> batches{{torch::tensor({1, 1}), torch::tensor({2, 2})}};
  const auto clip = TrainingOptions().clip_grad_value(1);
  LRFinder sparse(embedding, with_sparse, cross_entropy, clip);
  CHECK_THROWS_WITH(sparse.range_test(batches),
                    contains("clip_grad_value cannot clip the sparse gradient of a parameter of "
                             "shape [10, 3]") &&
                        contains("use clip_grad_norm"));
  const auto size = [&](torch::nn::Embedding&, const TensorBatch&) { return complex.abs().sum(); };
  LRFinder finder(embedding, with_complex, size, clip);
  CHECK_THROWS_WITH(finder.range_test(batches), contains("clip the complex gradient"));
  finder.options().clip_grad_value(std::nullopt).clip_grad_norm(1);
  CHECK_NOTHROW(finder.range_test(batches));
}

TEST_CASE("with accumulate_by_samples an update of unequal batches is that of one large batch") {
  std::vector<TensorBatch> parts, whole;
  for (std::uint64_t update = 0; update < 3; ++update) {
    std::vector<Tensor> inputs, targets;
    for (const int samples : {7, 1, 12, 4}) {
      parts.push_back(class_batches(1, samples, 4, 3, 10 * update + parts.size())[0]);
      inputs.push_back(parts.back().data);
      targets.push_back(parts.back().target);
    }
    whole.emplace_back(torch::cat(inputs), torch::cat(targets));
  }
  const auto run = [](const std::vector<TensorBatch>& batches, const TrainingOptions& training) {
    torch::manual_seed(8);
    torch::nn::Sequential model(torch::nn::Linear(4, 8), torch::nn::Tanh(),
                                torch::nn::Linear(8, 3));
    SGD optimizer(model->parameters(), SGDOptions(1e-3).momentum(0.9));
    LRFinder finder(model, optimizer, cross_entropy, training);
    const auto options = RangeTestOptions().start_lr(1e-2).end_lr(0.5).num_iter(12).diverge_th(0);
    return finder.range_test(batches, options);
  };
  const auto four = TrainingOptions().accumulation_steps(4).clip_grad_norm(1);
  const History at_once = run(whole, TrainingOptions().clip_grad_norm(1));
  const History weighted = run(parts, TrainingOptions(four).accumulate_by_samples(true));
  const History means = run(parts, four);
  double off = 0;
  for (std::size_t i = 0; i < at_once.size(); ++i) {
    CHECK(weighted.raw_loss[i] == Approx(at_once.raw_loss[i]).epsilon(1e-6).margin(0));
    CHECK(weighted.untrained_loss[i] == Approx(at_once.untrained_loss[i]).epsilon(1e-6).margin(0));
    CHECK(weighted.grad_norm[i] == Approx(at_once.grad_norm[i]).epsilon(1e-5).margin(0));
    off = std::fmax(off, std::fabs(means.raw_loss[i] / at_once.raw_loss[i] - 1));
  }
  CHECK(off > 0.01);
  std::vector<TensorBatch> equal = class_batches(6, 5, 4, 3);
  CHECK(run(equal, four).raw_loss ==
        run(equal, TrainingOptions(four).accumulate_by_samples(true)).raw_loss);
}

TEST_CASE("with accumulate_by_samples a batch without samples is refused") {
  auto batches = class_batches(2, 5, 4, 3);
  batches.emplace_back(torch::empty({0, 4}), torch::empty({0}, torch::kLong));
  torch::nn::Sequential model(torch::nn::Linear(4, 3));
  SGD optimizer(model->parameters(), SGDOptions(1e-3));
  LRFinder finder(model, optimizer, cross_entropy,
                  TrainingOptions().accumulation_steps(3).accumulate_by_samples(true));
  CHECK_THROWS_WITH(finder.range_test(batches, RangeTestOptions().paired(GENERATE(true, false))),
                    contains("that of batch 2 (counted from 0) is 0"));
}

TEST_CASE("the gradient norm is recorded when asked for, and otherwise not") {
  const auto batches = double_batches(3);
  auto model = linear_classifier();
  SGD optimizer(model->parameters(), SGDOptions(1e-3));
  LRFinder finder(model, optimizer, cross_entropy);
  const History plain = finder.range_test(batches, ten_iterations);
  finder.options().record_grad_norm(true);
  const History with_norm = finder.range_test(batches, ten_iterations);
  CHECK(plain.grad_norm.empty());
  CHECK(with_norm.grad_norm.size() == 10);
  CHECK(with_norm.raw_loss == plain.raw_loss);
}

TEST_CASE("the norm of sparse gradients is recorded too", "[sparse]") {
  torch::nn::Embedding model(torch::nn::EmbeddingOptions(10, 3).sparse(true));
  SGD optimizer(model->parameters(), SGDOptions(1e-3));
  const auto with_norm = TrainingOptions().record_grad_norm(true);
  LRFinder finder(model, optimizer, cross_entropy, with_norm);
  // Row 1 twice: its gradients have to be added before their norm is taken.
  const std::vector<TensorBatch> batches{{torch::tensor({1, 1}), torch::tensor({2, 2})}};
  const double sparse = finder.range_test(batches).grad_norm[0];
  const auto dense_model = torch::nn::Embedding(torch::nn::EmbeddingOptions(10, 3));
  const torch::NoGradGuard guard;
  dense_model->weight.copy_(model->weight);
  SGD dense_optimizer(dense_model->parameters(), SGDOptions(1e-3));
  LRFinder dense(dense_model, dense_optimizer, cross_entropy, with_norm);
  CHECK(dense.range_test(batches).grad_norm[0] == Approx(sparse));
}

TEST_CASE("under autocast the model computes in bfloat16, and the caller's autocast comes back") {
  auto model = torch::nn::Sequential(torch::nn::Linear(4, 3));
  SGD optimizer(model->parameters(), SGDOptions(1e-3));
  bool in_bfloat16 = true;
  LRFinder finder(model, optimizer, [&](const Tensor& output, const Tensor& target) {
    in_bfloat16 = in_bfloat16 && output.scalar_type() == torch::kBFloat16;
    return cross_entropy(output.to(torch::kFloat), target);
  });
  const auto batches = class_batches(3, 6, 4, 3);
  finder.options().autocast(torch::kBFloat16);
  CHECK(finder.range_test(batches, batches, ten_iterations).size() == 10);
  CHECK(in_bfloat16);
  CHECK_FALSE(lrfinder::detail::autocast_mode(torch::kCPU).enabled);
}

TEST_CASE("what user code leaves of grad mode and autocast is put right") {
  auto model = linear_classifier();
  SGD optimizer(model->parameters(), SGDOptions(1e-3));
  LRFinder finder(model, optimizer, cross_entropy);
  const bool restore = GENERATE(true, false);
  finder.range_test(double_batches(3),
                    RangeTestOptions(ten_iterations)
                        .restore(restore)
                        .on_iteration([](const lrfinder::Iteration&) {
                          torch::GradMode::set_enabled(false);
                          lrfinder::detail::set_autocast({torch::kCPU, true, torch::kBFloat16});
                        }));
  CHECK(torch::GradMode::is_enabled());
  CHECK_FALSE(lrfinder::detail::autocast_mode(torch::kCPU).enabled);
}

TEST_CASE("half precision runs with a gradient scaler, and records the steps that it skips",
          "[half]") {
  if (!lrfinder::detail::has_autocast(device_of_test.type(), torch::kHalf)) {
    auto model = linear_classifier();
    SGD optimizer(model->parameters(), SGDOptions(1e-3));
    LRFinder finder(model, optimizer, cross_entropy, TrainingOptions().autocast(torch::kHalf));
    CHECK_THROWS_WITH(finder.range_test(double_batches(3), ten_iterations),
                      contains("it can be torch::kBFloat16"));
    return;
  }
  torch::manual_seed(8);
  auto model = torch::nn::Sequential(torch::nn::Linear(4, 3));
  SGD optimizer(model->parameters(), SGDOptions(1e-3));
  // A scale that overflows, and halves until it does not.
  const auto options = TrainingOptions()
                           .autocast(torch::kHalf)
                           .gradient_scaler(lrfinder::GradientScalerOptions().init_scale(1e38));
  LRFinder finder(model, optimizer, cross_entropy, options);
  const auto batches = class_batches(3, 6, 4, 3);
  const Everything before(*model, optimizer);
  const History& history = finder.range_test(batches, ten_iterations);
  REQUIRE(history.metrics.at("skipped_step").size() == 10);
  CHECK(history.metrics.at("skipped_step")[0] == 1);
  CHECK(before.differences(Everything(*model, optimizer)) == "");

  LBFGS lbfgs(model->parameters(), LBFGSOptions(1e-3));
  LRFinder with_lbfgs(model, lbfgs, cross_entropy, options);
  CHECK_THROWS_WITH(with_lbfgs.range_test(batches, ten_iterations), contains("LBFGS"));
}
