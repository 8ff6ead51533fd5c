#pragma once

#include <cstdlib>
#include <everything.hpp>
#include <memory>
#include <string>
#include <training.hpp>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

/// Whether every fault is brought in. Otherwise some of them are, for which there is always time.
inline bool every_fault() { return std::getenv("LRFINDER_EVERY_FAULT") != nullptr; }

/// A short test of a small model, into which faults are brought.
struct FaultyTraining {
  enum class Kind { sgd, adam, lbfgs };
  enum class Test { range_test, validation, find };

  FaultyTraining(Kind kind, Test test, lrfinder::Snapshot snapshot)
      : test_(test),
        snapshot_(snapshot),
        range_(lrfinder::RangeTestOptions().start_lr(1e-3).end_lr(0.1).diverge_th(0).num_iter(
            test == Test::find ? 8 : 3)) {
    torch::manual_seed(5);
    model = torch::nn::Sequential(torch::nn::Linear(4, 5), torch::nn::BatchNorm1d(5),
                                  torch::nn::Dropout(0.2), torch::nn::Linear(5, 3));
    using namespace torch::optim;
    if (kind == Kind::sgd) {
      optimizer = std::make_unique<SGD>(model->parameters(), SGDOptions(1e-3).momentum(0.9));
    } else if (kind == Kind::adam) {
      optimizer = std::make_unique<Adam>(model->parameters(), AdamOptions(1e-3));
    } else {
      optimizer = std::make_unique<LBFGS>(model->parameters(), LBFGSOptions(1e-3).max_iter(3));
    }
    // A state and gradients to restore.
    const auto& batch = batches_.front();
    optimizer->step([&] {
      optimizer->zero_grad();
      auto loss = torch::cross_entropy_loss(model->forward(batch.data), batch.target);
      loss.backward();
      return loss;
    });
    before_ = std::make_unique<Everything>(*model, *optimizer);
  }

  /// Runs the test. Whatever it throws is passed on.
  void operator()() {
    lrfinder::LRFinder finder(model, *optimizer, torch::nn::CrossEntropyLoss(),
                              lrfinder::TrainingOptions().snapshot(snapshot_));
    switch (test_) {
      case Test::range_test:
        finder.range_test(batches_, range_);
        break;
      case Test::validation:
        finder.range_test(batches_, held_back_, range_);
        break;
      case Test::find:
        // On the batches that it trains on: the loss falls.
        finder.find(batches_, batches_, lrfinder::FindOptions().budget(4).range_test(range_));
        break;
    }
  }

  /// What is not as it was before, in words.
  std::string not_restored() { return before_->differences(Everything(*model, *optimizer)); }

  torch::nn::Sequential model{nullptr};
  std::unique_ptr<torch::optim::Optimizer> optimizer;

 private:
  Test test_;
  lrfinder::Snapshot snapshot_;
  lrfinder::RangeTestOptions range_;
  std::vector<TensorBatch> batches_ = class_batches(3, 6, 4, 3);
  std::vector<TensorBatch> held_back_ = class_batches(2, 4, 4, 3, 1);
  std::unique_ptr<Everything> before_;
};
