#pragma once

#include <catch2.hpp>
#include <cstddef>
#include <cstdint>
#include <everything.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <processes.hpp>
#include <sstream>
#include <string>
#include <training.hpp>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed.hpp>
#include <lrfinder/lrfinder.hpp>

/// @file
/// What the tests with several ranks share: a training, and reports of how a test of it ended.

using Batches = std::vector<TensorBatch>;
using Optimizers = std::function<std::unique_ptr<torch::optim::Optimizer>(torch::nn::Sequential&)>;

/// Batches in double precision whose classes can be learnt.
inline Batches learnable_batches(int count, int size, std::uint64_t seed = 1) {
  Batches batches = class_batches(count, size, 4, 3, seed);
  for (auto& batch : batches) {
    batch.data = batch.data.to(torch::kDouble);
    batch.target = batch.data.slice(1, 0, 3).argmax(1);
  }
  return batches;
}

/// The rows that a rank gets of each batch.
inline Batches share_of(const Batches& batches, std::int64_t rank, std::int64_t size) {
  Batches shares;
  for (const auto& batch : batches) {
    shares.emplace_back(batch.data.chunk(size).at(static_cast<std::size_t>(rank)),
                        batch.target.chunk(size).at(static_cast<std::size_t>(rank)));
  }
  return shares;
}

/// A model without layers that look at the whole batch; of another seed, with other weights.
inline torch::nn::Sequential mlp(std::uint64_t seed) {
  torch::manual_seed(seed);
  torch::nn::Sequential model(torch::nn::Linear(4, 8), torch::nn::Tanh(), torch::nn::Linear(8, 3));
  model->to(torch::kDouble);
  return model;
}

inline std::unique_ptr<torch::optim::Optimizer> sgd(torch::nn::Sequential& model) {
  return std::make_unique<torch::optim::SGD>(model->parameters(),
                                             torch::optim::SGDOptions(1e-3).momentum(0.9));
}

/// The history in words, but for the time that it took.
inline std::string in_words(lrfinder::History history) {
  history.wall_seconds = 0;
  return to_csv(history);
}

/// What a search has found, with all digits.
inline std::string exactly(const lrfinder::Suggestion& found) {
  std::ostringstream words;
  words.precision(17);
  words << found.lr << ' ' << found.low << ' ' << found.high << ' ' << found.loss << ' '
        << found.updates << ' ' << found.caveat;
  for (const auto& trial : found.trials) {
    words << '\n' << trial.lr << ' ' << trial.updates << ' ' << trial.loss << ' ' << trial.diverged;
    for (const auto& [name, value] : trial.metrics) words << ' ' << name << ' ' << value;
    for (const double part : trial.loss_parts) words << ' ' << part;
  }
  return words.str();
}

/// All processes train together.
inline lrfinder::TrainingOptions on_all(Process& process) {
  return lrfinder::TrainingOptions().data_parallel(lrfinder::communicator(process.group));
}

/// Runs a test, and reports how it ended and what was not restored.
template <class Test>
Report report_of(torch::nn::Sequential& model, torch::optim::Optimizer& optimizer, Test&& test) {
  Report report{{"error", ""}, {"rank", ""}};
  const Everything before(*model, optimizer);
  try {
    test(report);
  } catch (const lrfinder::RankFailed& failure) {
    report["error"] = failure.what();
    report["rank"] = failure.rank() ? std::to_string(*failure.rank()) : "unknown";
  } catch (const std::exception& error) {
    report["error"] = error.what();
  }
  report["not restored"] = before.differences(Everything(*model, optimizer));
  return report;
}

/// Every rank has ended well, with the same history and everything as it was.
inline void check_all_well(const std::vector<Report>& reports) {
  for (const Report& report : reports) {
    REQUIRE(report.count("threw") == 0);
    CHECK(report.at("error") == "");
    CHECK(report.at("not restored") == "");
    CHECK(report.at("history") == reports.front().at("history"));
  }
}
