// Whole range tests against those of pytorch-lr-finder; see tests/data/range_test/SOURCE.md.

#include <catch2.hpp>
#include <training.hpp>

#include <lrfinder/lrfinder.hpp>

namespace {

const std::string data_folder = std::string(LRFINDER_TEST_DATA) + "/range_test/";

std::vector<std::vector<double>> read_numbers(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::vector<std::vector<double>> rows;
  for (std::string line; std::getline(file, line);) {
    std::istringstream cells(line);
    rows.emplace_back();
    for (std::string cell; std::getline(cells, cell, ',');) rows.back().push_back(std::stod(cell));
  }
  return rows;
}

torch::Tensor read_tensor(const std::string& path) {
  const auto rows = read_numbers(path);
  auto tensor =
      torch::empty({static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows.front().size())},
                   torch::kDouble);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t j = 0; j < rows[i].size(); ++j) {
      tensor[static_cast<int64_t>(i)][static_cast<int64_t>(j)] = rows[i][j];
    }
  }
  return tensor;
}

std::map<std::string, std::string> read_case(const std::string& path) {
  std::ifstream file(path);
  std::map<std::string, std::string> options;
  for (std::string line; std::getline(file, line);) {
    const auto equals = line.find('=');
    options[line.substr(0, equals)] = line.substr(equals + 1);
  }
  return options;
}

std::vector<TensorBatch> in_batches(const torch::Tensor& x, const torch::Tensor& y, int64_t size) {
  std::vector<TensorBatch> batches;
  const auto inputs = x.split(size);
  const auto targets = y.split(size);
  for (std::size_t i = 0; i < inputs.size(); ++i) batches.emplace_back(inputs[i], targets[i]);
  return batches;
}

std::unique_ptr<torch::optim::Optimizer> make_optimizer(
    const std::map<std::string, std::string>& options, std::vector<torch::Tensor> parameters) {
  using namespace torch::optim;
  const std::string name = options.at("optimizer");
  const double momentum = std::stod(options.at("momentum"));
  const double decay = std::stod(options.at("weight_decay"));
  const double lr = 1e-3;
  if (name == "sgd") {
    return std::make_unique<SGD>(parameters, SGDOptions(lr).momentum(momentum).weight_decay(decay));
  }
  if (name == "adam") {
    return std::make_unique<Adam>(parameters, AdamOptions(lr).weight_decay(decay));
  }
  if (name == "adamw") {
    return std::make_unique<AdamW>(parameters, AdamWOptions(lr).weight_decay(decay));
  }
  if (name == "rmsprop") {
    return std::make_unique<RMSprop>(parameters,
                                     RMSpropOptions(lr).momentum(momentum).weight_decay(decay));
  }
  throw std::runtime_error("unknown optimizer " + name);
}

}  // namespace

TEST_CASE("range_test records what pytorch-lr-finder records") {
  const std::string name =
      GENERATE("00_sgd", "01_sgd_val", "02_adam_val", "03_adam_accum3", "04_sgd_val_linear",
               "05_sgd_mse", "06_rmsprop", "07_adamw", "08_sgd_mse");
  INFO(name);
  const std::string folder = data_folder + name + "/";
  const auto options = read_case(folder + "case.txt");
  const bool classifies = options.at("task") == "classification";

  const auto weight = read_tensor(folder + "weight.csv");
  torch::nn::Linear model(weight.size(1), weight.size(0));
  model->to(torch::kDouble);
  {
    torch::NoGradGuard guard;
    model->weight.copy_(weight);
    model->bias.copy_(read_tensor(folder + "bias.csv").flatten());
  }
  const auto read_targets = [&](const std::string& path) {
    const auto targets = read_tensor(path);
    return classifies ? targets.flatten().to(torch::kLong) : targets;
  };
  const auto train =
      in_batches(read_tensor(folder + "train_x.csv"), read_targets(folder + "train_y.csv"),
                 std::stoll(options.at("batch_size")));
  const auto optimizer = make_optimizer(options, model->parameters());
  const auto criterion = [&](const torch::Tensor& output, const torch::Tensor& target) {
    return classifies ? torch::nn::functional::cross_entropy(output, target)
                      : torch::mse_loss(output, target);
  };
  const auto test =
      lrfinder::RangeTestOptions()
          .start_lr(std::stod(options.at("start_lr")))
          .end_lr(std::stod(options.at("end_lr")))
          .num_iter(std::stoll(options.at("num_iter")))
          .schedule(options.at("step_mode") == "exp" ? lrfinder::RangeSchedule::exponential
                                                     : lrfinder::RangeSchedule::linear)
          .smooth_f(std::stod(options.at("smooth_f")))
          .diverge_th(std::stod(options.at("diverge_th")))
          .paired(false);
  const auto training =
      lrfinder::TrainingOptions().accumulation_steps(std::stoll(options.at("accumulation_steps")));

  lrfinder::LRFinder finder(model, *optimizer, criterion, training);
  if (options.at("validation") == "True") {
    finder.range_test(
        train,
        in_batches(read_tensor(folder + "val_x.csv"), read_targets(folder + "val_y.csv"),
                   std::stoll(options.at("val_batch_size"))),
        test);
  } else {
    finder.range_test(train, test);
  }

  // The history file begins with its rows; both columns to the agreement that SOURCE.md promises.
  const auto expected = read_numbers(folder + "history.csv");
  const lrfinder::History& history = finder.history();
  REQUIRE(history.size() == expected.size());
  REQUIRE(history.size() == std::stoul(options.at("recorded")));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    INFO("iteration " << i);
    CHECK(history.lr[i] == Approx(expected[i][0]).epsilon(1e-12).margin(0));
    CHECK(history.loss[i] == Approx(expected[i][1]).epsilon(1e-9).margin(0));
  }
}
