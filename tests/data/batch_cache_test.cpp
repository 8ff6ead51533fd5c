#include <catch2.hpp>
#include <everything.hpp>
#include <string>
#include <training.hpp>
#include <unordered_map>
#include <utility>
#include <warnings.hpp>

#include <lrfinder/lrfinder.hpp>

using lrfinder::FindOptions;
using lrfinder::History;
using lrfinder::LRFinder;
using lrfinder::RangeTestOptions;
using lrfinder::TrainingOptions;
using lrfinder::TrainingPlan;
using torch::Tensor;

namespace {

// Counts how often it is read, and hands out what it is given to copy from.
template <class Batch>
struct CountingLoader {
  auto begin() const {
    ++passes;
    return batches.begin();
  }
  auto end() const { return batches.end(); }
  std::vector<Batch> batches;
  mutable int passes = 0;
};

CountingLoader<TensorBatch> held_back() { return {class_batches(3, 10, 4, 3, /*seed=*/5)}; }

// The history of a test with the given validation loader.
template <class Loader, class Criterion = torch::nn::CrossEntropyLoss>
History history(const Loader& loader, TrainingOptions options, Criterion criterion = {}) {
  torch::manual_seed(2);
  torch::nn::Sequential model(torch::nn::Linear(4, 3));
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  LRFinder finder(model, optimizer, criterion, options.metric("accuracy", lrfinder::accuracy));
  return finder.range_test(class_batches(4, 8, 4, 3), loader, RangeTestOptions().num_iter(6));
}

}  // namespace

namespace own {

struct Masked {
  Tensor input, mask, target;
};
Masked to_device(const Masked& batch, torch::Device device) {
  return {batch.input.to(device), batch.mask.to(device), batch.target.to(device)};
}

struct Open : Masked {};
Open to_device(const Open& batch, torch::Device device) {
  return {to_device(static_cast<const Masked&>(batch), device)};
}
std::vector<Tensor> tensors_in(const Open& batch) {
  return {batch.input, batch.mask, batch.target};
}

}  // namespace own

TEST_CASE(
    "the validation loader is read once, with the same losses as when it is read every time") {
  const auto loader = held_back();
  const History kept = history(loader, {});
  CHECK(loader.passes == 1);
  const History reread = history(loader, TrainingOptions().cache_validation(0));
  CHECK(loader.passes == 1 + 6);
  CHECK(kept.raw_loss == reread.raw_loss);
  CHECK(kept.metrics == reread.metrics);
}

TEST_CASE("the validation loss weighs the batches of every container by their samples") {
  std::vector<std::pair<std::unordered_map<std::string, Tensor>, Tensor>> loader;
  for (const int samples : {40, 40, 3}) {
    const double loss = samples == 40 ? 1 : 2.4;
    loader.push_back({{{"tokens", torch::full({samples, 1}, loss)}}, torch::zeros({samples})});
  }
  torch::nn::Linear model = weight_of_one();
  torch::optim::SGD optimizer(model->parameters(), 1e-12);
  const auto criterion = [](auto& linear, const auto& batch) {
    return linear->forward(batch.first.at("tokens")).mean();
  };
  LRFinder finder(model, optimizer, criterion);
  const auto options = RangeTestOptions().start_lr(1e-12).end_lr(1e-11).num_iter(5);
  const Warnings warnings;
  CHECK(finder.range_test(loader, loader, options).raw_loss[0] ==
        Approx((40 * 1 + 40 * 1 + 3 * 2.4) / 83));
  CHECK(warnings.texts.empty());
}

TEST_CASE("only the batches that are evaluated are kept") {
  const auto loader = held_back();
  const auto two = TrainingOptions().val_batches(2);
  const History kept = history(loader, two);
  CHECK(loader.passes == 1);
  const std::vector<TensorBatch> first{loader.batches[0], loader.batches[1]};
  CHECK(kept.raw_loss == history(first, {}).raw_loss);
}

TEST_CASE("batches that take more memory than allowed are read again, and a warning says so once") {
  const auto loader = held_back();
  const std::int64_t bytes = 3 * (10 * 4 * 4 + 10 * 8);
  Warnings warnings;
  const History reread = history(loader, TrainingOptions().cache_validation(bytes - 1));
  CHECK(loader.passes == 6);
  REQUIRE(warnings.texts.size() == 1);
  CHECK_THAT(warnings.texts[0],
             contains("read in every iteration") && contains("cache_validation (719 bytes)"));
  const History kept = history(loader, TrainingOptions().cache_validation(bytes));
  CHECK(loader.passes == 7);
  CHECK(warnings.texts.size() == 1);
  CHECK(kept.raw_loss == reread.raw_loss);
}

TEST_CASE("a loader that writes all batches into the same memory is read right") {
  const auto batches = held_back().batches;
  const ReusingLoader loader(batches);
  CHECK(history(loader, {}).raw_loss == history(batches, {}).raw_loss);
}

namespace {

// Halves its input in place from an evaluation on, counted from 0; through data() LibTorch does not
// count it. Kept, a batch would be halved again and again.
struct HalvingImpl : torch::nn::Module {
  HalvingImpl(bool in_training, bool through_data, int first)
      : in_training_(in_training), through_data_(through_data), first_(first) {}
  Tensor forward(Tensor input) {
    if (is_training() != in_training_) return input * 0.5;
    if (calls_++ < first_) return input * 0.5;
    if (!through_data_) return input.mul_(0.5);
    input.data().mul_(0.5);
    return input;
  }

 private:
  bool in_training_, through_data_;
  int first_, calls_ = 0;
};
TORCH_MODULE(Halving);

// Yields copies, so that what is written into a batch goes with it.
auto copying_loader() {
  auto samples =
      torch::data::datasets::TensorDataset(torch::arange(80.).reshape({20, 4}) / 80)
          .map(torch::data::transforms::Lambda<torch::data::TensorExample, torch::data::Example<>>(
              [](torch::data::TensorExample example) {
                return torch::data::Example<>(example.data.clone(), torch::zeros({}, torch::kLong));
              }))
          .map(torch::data::transforms::Stack<>());
  return torch::data::make_data_loader<torch::data::samplers::SequentialSampler>(std::move(samples),
                                                                                 10);
}

std::vector<double> losses_with(const Halving& halving, const TrainingOptions& options) {
  torch::manual_seed(2);
  torch::nn::Sequential model(halving, torch::nn::Linear(4, 3));
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss(), options);
  auto loader = copying_loader();
  return finder.range_test(class_batches(4, 8, 4, 3), *loader, RangeTestOptions().num_iter(7))
      .raw_loss;
}

}  // namespace

TEST_CASE("batches that the model or the criterion writes into are read again") {
  const bool through_data = GENERATE(false, true);
  const Halving halving(/*in_training=*/false, through_data, /*first=*/0);
  Warnings warnings;
  const auto losses = losses_with(halving, {});
  REQUIRE(warnings.texts.size() == 1);
  CHECK_THAT(warnings.texts[0], contains("writes into its batches"));
  CHECK(losses == losses_with(halving, TrainingOptions().cache_validation(0)));
}

TEST_CASE("batches that are written into later are read again from then on") {
  const bool through_data = GENERATE(false, true);
  // The pass in which the first of the two batches is written into; 1 reads the loader, and the
  // passes after it are those over kept batches.
  const int pass = GENERATE(2, 3, 4, 5, 6);
  const Halving halving(/*in_training=*/false, through_data, 2 * (pass - 1));
  Warnings warnings;
  const auto losses = losses_with(halving, {});
  REQUIRE(warnings.texts.size() == 1);
  CHECK_THAT(warnings.texts[0], contains("writes into its batches"));
  CHECK(losses == losses_with(Halving(false, true, 1000), {}));
}

TEST_CASE("a search with a model that writes into its batches trains on those of the loader") {
  const bool through_data = GENERATE(false, true);
  const auto search = [&](const TrainingOptions& options) {
    torch::manual_seed(2);
    torch::nn::Sequential model(Halving(/*in_training=*/true, through_data, 0),
                                torch::nn::Linear(4, 3));
    torch::optim::SGD optimizer(model->parameters(), 1e-3);
    LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss(), options);
    auto loader = copying_loader();
    const auto found = finder.find(
        *loader,
        FindOptions().plan(TrainingPlan().steps(100)).range_test(RangeTestOptions().num_iter(30)));
    std::vector<double> losses;
    for (const auto& trial : found.trials) losses.push_back(trial.loss);
    return losses;
  };
  Warnings warnings;
  const auto losses = search({});
  REQUIRE(warnings.texts.size() == 1);
  CHECK_THAT(warnings.texts[0], contains("writes into its batches"));
  CHECK(losses == search(TrainingOptions().cache_training(0)));
}

TEST_CASE("a batch type of the user's own is kept where it shows its tensors") {
  const auto criterion = [](auto& model, const own::Masked& batch) {
    return (torch::mse_loss(model->forward(batch.input), batch.target, torch::Reduction::None) *
            batch.mask)
        .mean();
  };
  torch::manual_seed(2);
  torch::nn::Linear model(4, 1);
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  LRFinder finder(model, optimizer, criterion);
  const own::Masked first{torch::randn({6, 4}), torch::ones({6, 1}), torch::randn({6, 1})};
  const own::Masked second{torch::randn({6, 4}), torch::zeros({6, 1}), torch::randn({6, 1})};
  const auto six = RangeTestOptions().num_iter(6);
  Warnings warnings;

  const CountingLoader<own::Masked> closed{{first, second}};
  const auto reread = finder.range_test(closed.batches, closed, six).raw_loss;
  CHECK(closed.passes == 6);
  REQUIRE(warnings.texts.size() == 1);
  CHECK_THAT(warnings.texts[0], contains("tensors_in()"));

  const CountingLoader<own::Open> open{{own::Open{first}, own::Open{second}}};
  CHECK(finder.range_test(closed.batches, open, six).raw_loss == reread);
  CHECK(open.passes == 1);
  CHECK(warnings.texts.size() == 1);
}

TEST_CASE("sparse batches are read again", "[sparse]") {
  using Batch = std::pair<Tensor, Tensor>;
  const auto criterion = [](auto& model, const Batch& batch) {
    return torch::mse_loss(model->forward(batch.first.to_dense()), batch.second);
  };
  torch::manual_seed(2);
  torch::nn::Linear model(4, 1);
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  LRFinder finder(model, optimizer, criterion);
  const Tensor input = torch::randn({6, 4}).relu();
  const CountingLoader<Batch> dense{{{input, torch::ones({6, 1})}}};
  const CountingLoader<Batch> sparse{{{input.to_sparse(), torch::ones({6, 1})}}};
  Warnings warnings;
  const auto six = RangeTestOptions().num_iter(6);
  const auto kept = finder.range_test(dense.batches, dense, six).raw_loss;
  CHECK(warnings.texts.empty());
  CHECK(finder.range_test(dense.batches, sparse, six).raw_loss == kept);
  CHECK(sparse.passes == 6);
  REQUIRE(warnings.texts.size() == 1);
  CHECK_THAT(warnings.texts[0], contains("sparse"));
}

TEST_CASE("a search passes the validation loader once for all trials") {
  torch::manual_seed(2);
  torch::nn::Sequential model(torch::nn::Linear(4, 3));
  torch::optim::SGD optimizer(model->parameters(), 1e-3);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss());
  auto training = class_batches(4, 8, 4, 3);
  for (auto& batch : training) batch.target = batch.data.slice(1, 0, 3).argmax(1);
  CountingLoader<TensorBatch> loader{training};
  finder.find(
      training, loader,
      FindOptions().plan(TrainingPlan().steps(100)).range_test(RangeTestOptions().num_iter(40)));
  CHECK(loader.passes == 1);
}
