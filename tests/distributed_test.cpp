#include <algorithm>
#include <catch2.hpp>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <everything.hpp>
#include <functional>
#include <limits>
#include <memory>
#include <own_optimizer.hpp>
#include <processes.hpp>
#include <ranks.hpp>
#include <stdexcept>
#include <string>
#include <training.hpp>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed.hpp>
#include <lrfinder/lrfinder.hpp>

using lrfinder::History;
using lrfinder::RangeTestOptions;
using lrfinder::TrainingOptions;

namespace {

/// Between the raw losses of two histories, which have to be of one length.
double greatest_difference(const Report& a, const Report& b) {
  const History left = lrfinder::from_csv(a.at("history"));
  const History right = lrfinder::from_csv(b.at("history"));
  REQUIRE(left.size() == right.size());
  REQUIRE(left.stop_reason == right.stop_reason);
  double difference = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    difference = std::max(difference, std::abs(left.raw_loss[i] - right.raw_loss[i]));
  }
  return difference;
}

}  // namespace

TEST_CASE("Several ranks record the curve of one process with all their samples in a batch") {
  struct Case {
    const char* name;
    Optimizers optimizer;
    TrainingOptions training;
    RangeTestOptions test;
    bool validation;
  };
  const auto with = [](auto options) {
    return [options](torch::nn::Sequential& model) -> std::unique_ptr<torch::optim::Optimizer> {
      if constexpr (std::is_same_v<decltype(options), torch::optim::AdamOptions>) {
        return std::make_unique<torch::optim::Adam>(model->parameters(), options);
      } else {
        return std::make_unique<torch::optim::LBFGS>(model->parameters(), options);
      }
    };
  };
  const auto test = RangeTestOptions().start_lr(1e-3).end_lr(2).num_iter(40);
  const auto chosen = GENERATE_COPY(
      Case{"SGD", sgd, {}, test, false}, Case{"SGD, validation", sgd, {}, test, true},
      Case{"clipped", sgd, TrainingOptions().clip_grad_norm(0.05), test, false},
      Case{"accumulated", sgd, TrainingOptions().accumulation_steps(3), test, false},
      Case{"host", sgd, TrainingOptions().snapshot(lrfinder::Snapshot::host), test, true},
      Case{"Adam",
           with(torch::optim::AdamOptions(1e-3)),
           {},
           RangeTestOptions(test).end_lr(0.5),
           true},
      // At higher rates the line search takes another turn for a difference in the last digit.
      Case{"LBFGS", with(torch::optim::LBFGSOptions(1e-3).line_search_fn("strong_wolfe")),
           TrainingOptions().record_grad_norm(true),
           RangeTestOptions(test).num_iter(8).end_lr(0.02), false});
  const int size = GENERATE(2, 4);
  CAPTURE(chosen.name, size);
  const auto run = [&](Process& process, const Batches& train, const Batches& val) {
    torch::nn::Sequential model = mlp(/*seed=*/1);
    const auto optimizer = chosen.optimizer(model);
    return report_of(model, *optimizer, [&](Report& report) {
      TrainingOptions options = chosen.training;
      if (process.size > 1) options.data_parallel(lrfinder::communicator(process.group));
      options.metric("accuracy", lrfinder::accuracy);
      lrfinder::LRFinder finder(model, *optimizer, torch::nn::CrossEntropyLoss(), options);
      report["history"] = in_words(chosen.validation ? finder.range_test(train, val, chosen.test)
                                                     : finder.range_test(train, chosen.test));
    });
  };
  const auto one = in_processes(1, [&](Process& process) {
    return run(process, learnable_batches(5, 16), learnable_batches(2, 24, 2));
  });
  const auto several = in_processes(size, [&](Process& process) {
    return run(process, share_of(learnable_batches(5, 16), process.rank, size),
               share_of(learnable_batches(2, 24, 2), process.rank, size));
  });
  check_all_well(one);
  check_all_well(several);
  // Sums in another order, over 40 updates.
  CHECK(greatest_difference(one.front(), several.front()) < 1e-6);
}

TEST_CASE(
    "Ranks with other weights and optimizer states test those of rank 0, and each gets its own "
    "back") {
  const Optimizers make_optimizer = GENERATE(
      Optimizers(sgd), Optimizers([](torch::nn::Sequential& model) {
        return std::make_unique<torch::optim::Adam>(model->parameters(), /*defaults=*/1e-3);
      }),
      Optimizers([](torch::nn::Sequential& model) {
        return std::make_unique<OwnOptimizer>(model->parameters(), /*lr=*/1e-3);
      }));
  const bool restores = GENERATE(true, false);
  const auto run = [&](Process& process, std::uint64_t seed, const TrainingOptions& options) {
    torch::nn::Sequential model = mlp(seed);
    const auto optimizer = make_optimizer(model);
    // Momentum from a training before, of another length on each rank.
    for (const auto& batch : learnable_batches(2 + process.rank, 8, seed)) {
      torch::cross_entropy_loss(model->forward(batch.data), batch.target).backward();
      optimizer->step();
    }
    return report_of(model, *optimizer, [&](Report& report) {
      lrfinder::LRFinder finder(model, *optimizer, torch::nn::CrossEntropyLoss(), options);
      const Batches train = share_of(learnable_batches(5, 16), process.rank, process.size);
      report["history"] = in_words(
          finder.range_test(train, RangeTestOptions().end_lr(2).num_iter(20).restore(restores)));
      if (!restores) finder.reset();
    });
  };
  const auto one = in_processes(1, [&](Process& process) { return run(process, 7, {}); });
  const auto two = in_processes(2, [&](Process& process) {
    return run(process, 7 + static_cast<std::uint64_t>(process.rank), on_all(process));
  });
  check_all_well(two);
  CHECK(greatest_difference(one.front(), two.front()) < 1e-6);
}

TEST_CASE("With uneven loaders, buffers and random numbers all ranks record the same bits") {
  const int size = GENERATE(2, 4);
  const auto reports = in_processes(size, [](Process& process) {
    torch::manual_seed(static_cast<std::uint64_t>(process.rank));
    torch::nn::Sequential model = small_classifier();
    const auto optimizer = sgd(model);
    return report_of(model, *optimizer, [&](Report& report) {
      lrfinder::LRFinder finder(
          model, *optimizer, torch::nn::CrossEntropyLoss(),
          on_all(process).clip_grad_norm(1).metric("accuracy", lrfinder::accuracy));
      const auto seed = static_cast<std::uint64_t>(10 + process.rank);
      const Batches train = class_batches(3 + process.rank, 5 + process.rank, 4, 3, seed);
      const Batches val = class_batches(1 + process.rank, 3 + 2 * process.rank, 4, 3, seed + 10);
      report["history"] =
          in_words(finder.range_test(train, val, RangeTestOptions().num_iter(30).end_lr(1)));
    });
  });
  check_all_well(reports);
  const History history = lrfinder::from_csv(reports.front().at("history"));
  CHECK(history.size() == 30);
  CHECK(history.grad_norm.size() == 30);
  CHECK(history.metrics.at("accuracy").size() == 30);
}

TEST_CASE("Validation shards of different length give the mean over all samples") {
  const auto run = [](Process& process, const Batches& val) {
    torch::nn::Sequential model = mlp(/*seed=*/1);
    const auto optimizer = sgd(model);
    return report_of(model, *optimizer, [&](Report& report) {
      lrfinder::LRFinder finder(model, *optimizer, torch::nn::CrossEntropyLoss(),
                                process.size > 1 ? on_all(process) : TrainingOptions());
      finder.options().metric("accuracy", lrfinder::accuracy);
      const Batches train = share_of(learnable_batches(5, 12), process.rank, process.size);
      report["history"] =
          in_words(finder.range_test(train, val, RangeTestOptions().end_lr(1).num_iter(10)));
    });
  };
  const TensorBatch all = learnable_batches(1, 29, 3).front();
  const auto rows = [&](std::int64_t from, std::int64_t to) {
    return TensorBatch(all.data.slice(0, from, to), all.target.slice(0, from, to));
  };
  const auto one = in_processes(1, [&](Process& process) { return run(process, {all}); });
  const auto three = in_processes(3, [&](Process& process) {
    // 1 sample; 16 in two batches; 12 in three.
    const std::vector<Batches> shards{
        {rows(0, 1)}, {rows(1, 10), rows(10, 17)}, {rows(17, 21), rows(21, 28), rows(28, 29)}};
    return run(process, shards.at(static_cast<std::size_t>(process.rank)));
  });
  check_all_well(three);
  CHECK(greatest_difference(one.front(), three.front()) < 1e-12);
  const auto accuracy = [](const Report& report) {
    return lrfinder::from_csv(report.at("history")).metrics.at("accuracy");
  };
  for (std::size_t i = 0; i < 10; ++i) {
    CHECK(accuracy(one.front())[i] == Approx(accuracy(three.front())[i]).epsilon(1e-6));
  }
}

TEST_CASE("Untrained losses are averages over all samples of all ranks") {
  const auto run = [](Process& process) {
    torch::nn::Sequential model = mlp(/*seed=*/1);
    const auto optimizer = sgd(model);
    return report_of(model, *optimizer, [&](Report& report) {
      lrfinder::LRFinder finder(model, *optimizer, torch::nn::CrossEntropyLoss(),
                                process.size > 1 ? on_all(process) : TrainingOptions());
      const Batches train = share_of(learnable_batches(5, 12), process.rank, process.size);
      report["history"] =
          in_words(finder.range_test(train, RangeTestOptions().end_lr(1).num_iter(10)));
    });
  };
  const auto one = in_processes(1, run), three = in_processes(3, run);
  check_all_well(three);
  const auto untrained = [](const std::vector<Report>& reports) {
    return lrfinder::from_csv(reports.front().at("history")).untrained_loss;
  };
  REQUIRE(untrained(three).size() == 10);
  for (std::size_t i = 0; i < 10; ++i) {
    CHECK(untrained(one)[i] == Approx(untrained(three)[i]).epsilon(1e-6));
  }
}

TEST_CASE("A batch that is bad on one rank ends the test on all, and is named by its update") {
  const auto reports = in_processes(2, [](Process& process) {
    torch::nn::Sequential model = mlp(1);
    const auto optimizer = sgd(model);
    return report_of(model, *optimizer, [&](Report&) {
      lrfinder::LRFinder finder(model, *optimizer, torch::nn::CrossEntropyLoss(), on_all(process));
      Batches train = learnable_batches(8, 8);
      if (process.rank == 1) train[3].data[0][0] = std::numeric_limits<float>::quiet_NaN();
      finder.range_test(train);
    });
  });
  for (const Report& report : reports) {
    CHECK_THAT(report.at("error"), contains("the loss of update 3 (counted from 0) is nan"));
  }
}

TEST_CASE("A loss that is not finite on one rank ends the test on all, for the same reason") {
  const double loss =
      GENERATE(std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity());
  const auto reports = in_processes(2, [&](Process& process) {
    torch::nn::Sequential model = mlp(1);
    const auto optimizer = sgd(model);
    return report_of(model, *optimizer, [&](Report& report) {
      int evaluations = 0;
      const auto criterion = [&](const torch::Tensor& output, const torch::Tensor& target) {
        const bool bad = process.rank == 1 && torch::GradMode::is_enabled() && ++evaluations > 5;
        return torch::cross_entropy_loss(output, target) * (bad ? loss : 1.0);
      };
      lrfinder::LRFinder finder(model, *optimizer, criterion, on_all(process));
      report["history"] = in_words(finder.range_test(learnable_batches(3, 8)));
    });
  });
  check_all_well(reports);
  const History history = lrfinder::from_csv(reports.front().at("history"));
  CHECK(history.stop_reason == lrfinder::StopReason::non_finite_loss);
  CHECK(history.size() == 5);
}

TEST_CASE("Divergence ends the test on all ranks at the same iteration") {
  const auto reports = in_processes(2, [](Process& process) {
    torch::nn::Sequential model = mlp(1);
    const auto optimizer = sgd(model);
    return report_of(model, *optimizer, [&](Report& report) {
      lrfinder::LRFinder finder(model, *optimizer, torch::nn::CrossEntropyLoss(), on_all(process));
      const Batches train = learnable_batches(3, 8, static_cast<std::uint64_t>(process.rank));
      report["history"] = in_words(
          finder.range_test(train, RangeTestOptions().end_lr(1e4).smooth_f(0.5).diverge_th(2)));
    });
  });
  check_all_well(reports);
  const History history = lrfinder::from_csv(reports.front().at("history"));
  CHECK(history.stop_reason == lrfinder::StopReason::diverged);
  CHECK(history.size() < 100);
}

TEST_CASE("The callback of rank 0 ends the test on all ranks, and the others are not asked") {
  const int last = GENERATE(0, 3, 9);
  const auto reports = in_processes(2, [&](Process& process) {
    torch::nn::Sequential model = mlp(1);
    const auto optimizer = sgd(model);
    return report_of(model, *optimizer, [&](Report& report) {
      lrfinder::LRFinder finder(model, *optimizer, torch::nn::CrossEntropyLoss(), on_all(process));
      int calls = 0;
      const auto options = RangeTestOptions().num_iter(10).on_iteration([&](const auto& iteration) {
        ++calls;
        return process.rank == 1 || iteration.index < last;
      });
      report["history"] = in_words(finder.range_test(learnable_batches(3, 8), options));
      report["calls"] = std::to_string(calls);
    });
  });
  check_all_well(reports);
  const History history = lrfinder::from_csv(reports.front().at("history"));
  CHECK(history.stop_reason == lrfinder::StopReason::stopped_by_caller);
  CHECK(history.size() == static_cast<std::size_t>(last + 1));
  CHECK(reports[0].at("calls") == std::to_string(last + 1));
  CHECK(reports[1].at("calls") == "0");
}

namespace {

/// An optimizer that calls `before` at each update, and evaluates its loss so many times more.
class Watched : public torch::optim::SGD {
 public:
  Watched(torch::nn::Sequential& model, std::function<void()> before, int evaluations = 0)
      : SGD(model->parameters(), torch::optim::SGDOptions(1e-3)),
        before_(std::move(before)),
        evaluations_(evaluations) {}

  torch::Tensor step(LossClosure closure = nullptr) override {
    before_();
    for (int i = 0; i < evaluations_; ++i) closure();
    return SGD::step();
  }

 private:
  std::function<void()> before_;
  int evaluations_;
};

/// A loader that calls `before` before each batch.
struct WatchedLoader {
  Batches batches;
  std::function<void()> before;

  struct Iterator {
    const WatchedLoader* loader;
    std::size_t place;
    const TensorBatch& operator*() const {
      loader->before();
      return loader->batches[place];
    }
    Iterator& operator++() {
      ++place;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return place != other.place; }
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, batches.size()}; }
};

/// Runs a test in which `fault` is called, from the third time on, at one place of one rank.
Report test_with_fault(Process& process, const std::string& where, int faulty_rank,
                       const std::function<void()>& fault) {
  int calls = 0;
  const auto at = [&](const std::string& place) {
    return [&, here = place == where && process.rank == faulty_rank] {
      if (here && ++calls > 2) fault();
    };
  };
  torch::nn::Sequential model = mlp(static_cast<std::uint64_t>(process.rank));
  Watched optimizer(model, at("optimizer"));
  return report_of(model, optimizer, [&](Report&) {
    const auto in_training = at("criterion"), in_validation = at("validation");
    const auto criterion = [&](const torch::Tensor& output, const torch::Tensor& target) {
      (output.requires_grad() ? in_training : in_validation)();
      return torch::cross_entropy_loss(output, target);
    };
    const auto metric = [in_metric = at("metric")](const auto& output, const auto& target) {
      in_metric();
      return lrfinder::accuracy(output, target);
    };
    lrfinder::LRFinder finder(model, optimizer, criterion,
                              on_all(process).metric("metric", metric));
    const WatchedLoader train{learnable_batches(2, 8), at("loader")};
    auto options = RangeTestOptions().num_iter(6);
    options.on_iteration([in_callback = at("callback")](const auto&) { in_callback(); });
    finder.range_test(train, learnable_batches(2, 4), options);
  });
}

}  // namespace

TEST_CASE("What throws on one rank ends the test on all, and all restore everything") {
  const std::string where =
      GENERATE("loader", "criterion", "optimizer", "validation", "metric", "callback");
  const int size = where == "criterion" ? 4 : 2;
  const int faulty = where == "callback" ? 0 : 1;
  CAPTURE(where);
  const auto reports = in_processes(size, [&](Process& process) {
    return test_with_fault(process, where, faulty,
                           [&] { throw std::runtime_error("a fault in the " + where); });
  });
  for (int rank = 0; rank < size; ++rank) {
    const Report& report = reports[static_cast<std::size_t>(rank)];
    REQUIRE(report.count("threw") == 0);
    CHECK(report.at("not restored") == "");
    if (rank == faulty) {
      CHECK(report.at("error") == "a fault in the " + where);
    } else {
      CHECK(report.at("rank") == std::to_string(faulty));
      CHECK_THAT(report.at("error"), contains("rank " + std::to_string(faulty) + " of") &&
                                         contains("a fault in the " + where));
    }
  }
}

TEST_CASE("What throws on one rank in the last update ends the test on all") {
  const auto reports = in_processes(2, [](Process& process) {
    torch::nn::Sequential model = mlp(1);
    int updates = 0;
    Watched optimizer(model, [&] {
      if (process.rank == 0 && ++updates == 5) throw std::runtime_error("a fault");
    });
    return report_of(model, optimizer, [&](Report& report) {
      lrfinder::LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss(), on_all(process));
      try {
        finder.range_test(learnable_batches(2, 8), RangeTestOptions().num_iter(5));
      } catch (...) {
        report["reason"] = to_string(finder.history().stop_reason);
        throw;
      }
    });
  });
  CHECK(reports[0].at("error") == "a fault");
  CHECK_THAT(reports[1].at("error"), contains("rank 0 of 2") && contains("a fault"));
  for (const Report& report : reports) {
    CHECK(report.at("not restored") == "");
    CHECK(report.at("reason") == "failed");
  }
}

TEST_CASE("A rank that is killed ends the test on all others, which restore everything") {
  const std::string where = GENERATE("loader", "criterion", "optimizer", "validation");
  const int size = where == "criterion" ? 4 : 2;
  CAPTURE(where);
  const auto reports = in_processes(
      size,
      [&](Process& process) {
        return test_with_fault(process, where, /*faulty_rank=*/1, [] { std::raise(SIGKILL); });
      },
      std::chrono::seconds(10));
  for (std::size_t rank = 0; rank < reports.size(); ++rank) {
    if (rank == 1) {
      CHECK(reports[rank].at("signal") == std::to_string(SIGKILL));
    } else {
      CHECK(reports[rank].at("not restored") == "");
      CHECK(reports[rank].at("rank") == "unknown");
      CHECK_THAT(reports[rank].at("error"), contains("lost the others"));
    }
  }
}

TEST_CASE("A rank that stalls ends the test on all within the timeout of the group") {
  const int size = GENERATE(2, 4);
  const auto reports = in_processes(
      size,
      [&](Process& process) {
        return test_with_fault(process, "criterion", 1, process.wait_for_the_others);
      },
      std::chrono::seconds(6));
  for (const Report& report : reports) {
    CHECK(report.at("not restored") == "");
    CHECK_THAT(report.at("error"), contains("did not come within the timeout"));
  }
}

TEST_CASE("Ranks that do not agree end before anything is trained, and say what differs") {
  struct Case {
    const char* what;
    const char* message;
  };
  const auto chosen = GENERATE(
      Case{"num_iter", "num_iter is 9 on rank 1 and 10 on rank 0"},
      Case{"clip", "clip_grad_norm is 1 on rank 1 and none on rank 0"},
      Case{"optimizer",
           "the type of optimizer 0 is torch::optim::Adam on rank 1 and torch::optim::SGD"},
      Case{"model", "tensor 0 is double [8, 4] on rank 1 and double [9, 4] on rank 0"},
      Case{"frozen", "requires_grad of tensor 0 is 0 on rank 1 and 1 on rank 0"},
      Case{"validation", "a validation loader is 1 on rank 1 and 0 on rank 0"},
      Case{"metric", "number of metrics is 1 on rank 1 and 0 on rank 0"},
      Case{"own mistake", "RangeTestOptions: smooth_f (2)"});
  CAPTURE(chosen.what);
  const auto reports = in_processes(2, [&](Process& process) {
    const auto differs = [&](const std::string& what) {
      return process.rank == 1 && what == chosen.what;
    };
    torch::nn::Sequential model = mlp(1);
    if (chosen.what == std::string("model") && process.rank == 0) {
      model = torch::nn::Sequential(torch::nn::Linear(4, 9), torch::nn::Linear(9, 3));
      model->to(torch::kDouble);
    }
    if (differs("frozen")) model->parameters().front().set_requires_grad(false);
    auto optimizer = sgd(model);
    if (differs("optimizer")) {
      optimizer = std::make_unique<torch::optim::Adam>(model->parameters());
    }
    return report_of(model, *optimizer, [&](Report&) {
      int evaluations = 0;
      const auto criterion = [&](const torch::Tensor& output, const torch::Tensor& target) {
        if (++evaluations > 0) throw std::logic_error("has been evaluated");
        return torch::cross_entropy_loss(output, target);
      };
      lrfinder::LRFinder finder(model, *optimizer, criterion, on_all(process));
      if (differs("metric")) finder.options().metric("accuracy", lrfinder::accuracy);
      if (differs("clip")) finder.options().clip_grad_norm(1);
      auto options = RangeTestOptions().num_iter(differs("num_iter") ? 9 : 10);
      if (differs("own mistake")) options.smooth_f(2);
      const Batches train = learnable_batches(2, 8);
      if (differs("validation")) {
        finder.range_test(train, train, options);
      } else {
        finder.range_test(train, options);
      }
    });
  });
  CHECK_THAT(reports[1].at("error"), contains(chosen.message));
  CHECK_THAT(reports[0].at("error"), contains("rank 1 of 2") && contains(chosen.message));
  CHECK(reports[0].at("not restored") == "");
  CHECK(reports[1].at("not restored") == "");
}

TEST_CASE("Optimizers that evaluate their loss unequally often are told to be out of step") {
  const auto reports = in_processes(2, [](Process& process) {
    torch::nn::Sequential model = mlp(1);
    Watched optimizer(
        model, [] {}, /*evaluations=*/1 + process.rank);
    return report_of(model, optimizer, [&](Report&) {
      lrfinder::LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss(), on_all(process));
      const Batches batches = learnable_batches(2, 8);
      finder.range_test(batches, batches);
    });
  });
  for (const Report& report : reports) {
    CHECK(report.at("not restored") == "");
    CHECK_THAT(report.at("error"), contains("out of step"));
  }
}

TEST_CASE("A part of the model that only some ranks use is trained on all") {
  const auto reports = in_processes(2, [](Process& process) {
    torch::nn::Sequential model = mlp(1);
    const auto optimizer = sgd(model);
    return report_of(model, *optimizer, [&](Report& report) {
      // Rank 1 leaves out the first layer, whose output rank 0 takes.
      const auto criterion = [&](torch::nn::Sequential& whole, const TensorBatch& batch) {
        auto last = whole->ptr<torch::nn::LinearImpl>(2);
        const auto inner = process.rank == 0
                               ? whole->ptr<torch::nn::LinearImpl>(0)->forward(batch.data)
                               : torch::cat({batch.data, batch.data}, 1);
        return torch::cross_entropy_loss(last->forward(inner), batch.target);
      };
      lrfinder::LRFinder finder(model, *optimizer, criterion, on_all(process));
      report["history"] = in_words(
          finder.range_test(learnable_batches(2, 8), RangeTestOptions().num_iter(10).end_lr(0.1)));
    });
  });
  check_all_well(reports);
}

namespace {

lrfinder::FindOptions quick_search() {
  return lrfinder::FindOptions(lrfinder::TrainingPlan().steps(500).decay(lrfinder::Decay::cosine))
      .budget(5)
      .range_test(RangeTestOptions().start_lr(1e-3).end_lr(10).num_iter(40));
}

}  // namespace

TEST_CASE("find runs on all ranks, with one result") {
  const bool validation = GENERATE(false, true);
  const auto reports = in_processes(2, [&](Process& process) {
    torch::nn::Sequential model = mlp(static_cast<std::uint64_t>(process.rank));
    const auto optimizer = sgd(model);
    return report_of(model, *optimizer, [&](Report& report) {
      lrfinder::LRFinder finder(model, *optimizer, torch::nn::CrossEntropyLoss(), on_all(process));
      const Batches train = share_of(learnable_batches(5, 16), process.rank, process.size);
      const Batches val = learnable_batches(1 + process.rank, 6, 5);
      report["history"] = exactly(validation ? finder.find(train, val, quick_search())
                                             : finder.find(train, quick_search()));
    });
  });
  check_all_well(reports);
}

TEST_CASE("What throws in a search on one rank ends it on all") {
  const auto reports = in_processes(2, [](Process& process) {
    torch::nn::Sequential model = mlp(1);
    const auto optimizer = sgd(model);
    return report_of(model, *optimizer, [&](Report&) {
      int evaluations = 0;
      const auto criterion = [&](const torch::Tensor& output, const torch::Tensor& target) {
        if (process.rank == 1 && ++evaluations > 70) throw std::runtime_error("a fault");
        return torch::cross_entropy_loss(output, target);
      };
      lrfinder::LRFinder finder(model, *optimizer, criterion, on_all(process));
      finder.find(learnable_batches(5, 16), quick_search());
    });
  });
  CHECK(reports[1].at("error") == "a fault");
  CHECK_THAT(reports[0].at("error"), contains("rank 1 of 2") && contains("a fault"));
  CHECK(reports[0].at("not restored") == "");
  CHECK(reports[1].at("not restored") == "");
}

TEST_CASE("A process group that is not there is refused") {
  CHECK_THROWS_AS(lrfinder::communicator(c10::intrusive_ptr<c10d::ProcessGroupGloo>()),
                  lrfinder::InvalidOption);
}

namespace {

/// How SIGPIPE is handled: the handler, whether it takes what has happened, and what it blocks.
std::string broken_pipe_action() {
  struct sigaction action {};
  ::sigaction(SIGPIPE, nullptr, &action);
  return std::string(action.sa_handler == SIG_DFL   ? "default"
                     : action.sa_handler == SIG_IGN ? "ignored"
                                                    : "handled") +
         (action.sa_flags & SA_SIGINFO ? ", with information" : "") +
         (::sigismember(&action.sa_mask, SIGUSR1) ? ", USR1 blocked" : "");
}

void handle_broken_pipe_by_own_handler() {
  struct sigaction action {};
  action.sa_sigaction = [](int, ::siginfo_t*, void*) {};
  action.sa_flags = SA_SIGINFO;
  ::sigaddset(&action.sa_mask, SIGUSR1);
  ::sigaction(SIGPIPE, &action, nullptr);
}

}  // namespace

TEST_CASE("Only SIGPIPE's default action is replaced, and only for as long as it is needed") {
  const auto reports = in_processes(1, [](Process& process) {
    const auto while_needed = [&] {
      auto first = lrfinder::communicator(process.group);
      const auto second = lrfinder::communicator(process.group);
      first.reset();
      std::raise(SIGPIPE);
      return broken_pipe_action();
    };
    Report report;
    std::signal(SIGPIPE, SIG_DFL);
    report["default"] = while_needed() + ", then " + broken_pipe_action();
    std::signal(SIGPIPE, SIG_IGN);
    report["ignored"] = while_needed() + ", then " + broken_pipe_action();
    handle_broken_pipe_by_own_handler();
    report["own"] = while_needed() + ", then " + broken_pipe_action();
    for (const std::string later : {"ignored", "own"}) {
      std::signal(SIGPIPE, SIG_DFL);
      auto communicator = lrfinder::communicator(process.group);
      later == "own" ? handle_broken_pipe_by_own_handler() : void(std::signal(SIGPIPE, SIG_IGN));
      communicator.reset();
      report["later " + later] = broken_pipe_action();
    }
    return report;
  });
  const Report& report = reports.front();
  CHECK(report.at("default") == "handled, then default");
  CHECK(report.at("ignored") == "ignored, then ignored");
  const std::string own = "handled, with information, USR1 blocked";
  CHECK(report.at("own") == own + ", then " + own);
  CHECK(report.at("later ignored") == "ignored");
  CHECK(report.at("later own") == own);
}
