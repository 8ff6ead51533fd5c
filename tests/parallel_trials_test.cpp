// Searches whose trials are spread over ranks.

#include <algorithm>
#include <catch2.hpp>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <own_optimizer.hpp>
#include <processes.hpp>
#include <random>
#include <ranks.hpp>
#include <stdexcept>
#include <string>
#include <training.hpp>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed.hpp>
#include <lrfinder/lrfinder.hpp>
#include <lrfinder/parallel_trials.hpp>

namespace {

lrfinder::FindOptions quick_search(double budget) {
  return lrfinder::FindOptions(lrfinder::TrainingPlan().steps(500).decay(lrfinder::Decay::cosine))
      .budget(budget)
      .range_test(lrfinder::RangeTestOptions().start_lr(1e-3).end_lr(10).num_iter(40));
}

std::shared_ptr<lrfinder::TrialRunner> on_ranks(Process& process) {
  return lrfinder::parallel_trials(lrfinder::communicator(process.group));
}

/// What a search reports, with a model, an optimizer state and random numbers that differ between
/// ranks; dropout, batch normalisation and a loader that shuffles. Alone if there is one
/// process. `more_steps`: of the optimizer before it, from one rank to the next.
template <class Use>
Report search(Process& process, const Optimizers& make_optimizer, int more_steps, Use&& use) {
  torch::manual_seed(static_cast<std::uint64_t>(7 + process.rank));
  torch::nn::Sequential model = small_classifier(4, 2);
  const auto optimizer = make_optimizer(model);
  // The optimizer has a state, and the gradients are there.
  for (const auto& batch : class_batches(2 + more_steps * process.rank, 8, 4, 2)) {
    optimizer->step([&] {
      optimizer->zero_grad();
      auto loss = torch::cross_entropy_loss(model->forward(batch.data), batch.target);
      loss.backward();
      return loss;
    });
  }
  auto loader = shuffling_loader();
  auto val_loader = shuffling_loader();
  return report_of(model, *optimizer, [&](Report& report) {
    lrfinder::LRFinder finder(model, *optimizer, torch::nn::CrossEntropyLoss(),
                              lrfinder::TrainingOptions().metric("accuracy", lrfinder::accuracy));
    const auto runner = process.size > 1 ? on_ranks(process) : nullptr;
    report["history"] = exactly(use(finder, *loader, *val_loader, runner));
    report["curve"] = in_words(finder.history());
  });
}

/// Every rank reports what one process reports.
template <class Use>
void check_same_as_one_process(const std::vector<int>& sizes, const Optimizers& make_optimizer,
                               Use&& use, int more_steps = 1) {
  const auto run = [&](Process& process) {
    return search(process, make_optimizer, more_steps, use);
  };
  const auto one = in_processes(1, run);
  check_all_well(one);
  for (const int size : sizes) {
    CAPTURE(size);
    const auto several = in_processes(size, run);
    check_all_well(several);
    CHECK(several.front().at("history") == one.front().at("history"));
    for (const Report& report : several) CHECK(report.at("curve") == one.front().at("curve"));
  }
}

/// Makes optimizers of a kind.
template <class Kind, class Options>
Optimizers optimizers(const Options& options) {
  return [options](torch::nn::Sequential& model) {
    return std::make_unique<Kind>(model->parameters(), options);
  };
}

}  // namespace

TEST_CASE("find with parallel trials finds what one process finds, bit for bit") {
  struct Case {
    const char* name;
    bool validation;
    double budget;
    double end_lr;
  };
  const auto chosen =
      GENERATE(Case{"training loss", false, 6, 10}, Case{"validation loss", true, 6, 10},
               Case{"no divergence", false, 6, 1}, Case{"short", false, 2, 10});
  CAPTURE(chosen.name);
  check_same_as_one_process(
      {2, 3, 4, 7}, sgd, [&](auto& finder, auto& train, auto& val, const auto& runner) {
        auto options = quick_search(chosen.budget).trial_runner(runner);
        options.range_test().end_lr(chosen.end_lr).diverge_th(chosen.validation ? 5 : 0);
        return chosen.validation ? finder.find(train, val, options) : finder.find(train, options);
      });
}

TEST_CASE("Parallel trials tell the steps that half precision skips", "[half]") {
  if (!lrfinder::detail::has_autocast(torch::kCPU, torch::kHalf)) {
    WARN("skipped: this LibTorch has no half precision on the CPU");
    return;
  }
  check_same_as_one_process({2}, sgd, [](auto& finder, auto& train, auto&, const auto& runner) {
    const auto scaler = lrfinder::GradientScalerOptions().init_scale(1e8);  // overflows at first
    finder.options().autocast(torch::kHalf).gradient_scaler(scaler);
    return finder.find(train, quick_search(6).trial_runner(runner));
  });
}

TEST_CASE("Parallel trials start from a range test that was made before, that of rank 0") {
  const auto run = [](Process& process) {
    torch::nn::Sequential model = mlp(1);
    const auto optimizer = sgd(model);
    return report_of(model, *optimizer, [&](Report& report) {
      lrfinder::LRFinder finder(model, *optimizer, torch::nn::CrossEntropyLoss());
      const Batches train = learnable_batches(5, 16);
      auto history = finder.range_test(train, quick_search(4).range_test());
      if (process.rank == 1) history.loss.resize(20), history.raw_loss.resize(20);
      if (process.rank == 1) history.lr.resize(20), history.untrained_loss.resize(20);
      auto options = quick_search(4).history(history);
      if (process.size > 1) options.trial_runner(on_ranks(process));
      report["history"] = exactly(finder.find(train, options)) + in_words(finder.history());
    });
  };
  const auto one = in_processes(1, run);
  const auto two = in_processes(2, run);
  check_all_well(two);
  CHECK(two.front().at("history") == one.front().at("history"));
}

TEST_CASE("Parallel trials start from the optimizer of rank 0, with its state and its counts") {
  using namespace torch::optim;
  struct Case {
    const char* name;
    Optimizers optimizer;
    bool same_steps = false;
  };
  const auto chosen = GENERATE_COPY(
      Case{"Adam", optimizers<Adam>(AdamOptions(1e-3))},
      Case{"AdamW", optimizers<AdamW>(AdamWOptions(1e-3).amsgrad(true))},
      Case{"Adagrad", optimizers<Adagrad>(AdagradOptions(1e-3).lr_decay(0.1))},
      // Not of another number of steps: it has a tensor for each of them.
      Case{"LBFGS", optimizers<LBFGS>(LBFGSOptions(1e-3).max_iter(2)), /*same_steps=*/true},
      Case{"RMSprop", optimizers<RMSprop>(RMSpropOptions(1e-3).momentum(0.9).centered(true))},
      Case{"own", optimizers<OwnOptimizer>(1e-3)},
      Case{"derived", optimizers<CountingSGD>(SGDOptions(1e-3).momentum(0.9))});
  CAPTURE(chosen.name);
  check_same_as_one_process(
      {2}, chosen.optimizer,
      [&](auto& finder, auto& train, auto&, const auto& runner) {
        return finder.find(train, quick_search(4).trial_runner(runner));
      },
      /*more_steps=*/chosen.same_steps ? 0 : 1);
}

namespace {

/// A loader with random numbers of its own, which LibTorch knows nothing of, so that no two passes
/// yield the same batches. For each batch it also draws some of LibTorch's, as the model does.
class NoisyLoader {
 public:
  class Iterator {
   public:
    Iterator(NoisyLoader* loader, std::size_t index) : loader_(loader), index_(index) {}
    TensorBatch operator*() const {
      TensorBatch batch = loader_->batches_[index_];
      batch.data = batch.data * (1 + 0.01 * static_cast<double>(loader_->random_() % 100));
      batch.data += 0.1 * torch::rand_like(batch.data);
      return batch;
    }
    Iterator& operator++() {
      ++index_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return index_ != other.index_; }

   private:
    NoisyLoader* loader_;
    std::size_t index_;
  };

  Iterator begin() { return {this, 0}; }
  Iterator end() { return {this, batches_.size()}; }

 private:
  Batches batches_ = class_batches(30, 8, 4, 2);
  std::mt19937 random_{1};
};

}  // namespace

TEST_CASE("The comparison of batches takes nothing from a loader with random numbers of its own") {
  check_same_as_one_process({2}, sgd, [](auto& finder, auto&, auto&, const auto& runner) {
    NoisyLoader train;
    return finder.find(train, quick_search(4).trial_runner(runner));
  });
}

namespace {

/// A search by several ranks. `fault` is called from the 31st training step or the first validation
/// of the trials on, at one place of rank 1. `where`: "training", "validation", or "second search",
/// with the runner of one that has succeeded.
Report search_with_fault(Process& process, const std::string& where,
                         const std::function<void()>& fault) {
  torch::nn::Sequential model = mlp(static_cast<std::uint64_t>(process.rank));
  const auto optimizer = sgd(model);
  return report_of(model, *optimizer, [&](Report& report) {
    bool in_trials = false;
    int evaluations = 0;
    const auto criterion = [&](const torch::Tensor& output, const torch::Tensor& target) {
      const bool here = output.requires_grad() == (where != "validation");
      const int allowed = where != "validation" ? 30 : 0;
      if (in_trials && here && process.rank == 1 && ++evaluations > allowed) fault();
      return torch::cross_entropy_loss(output, target);
    };
    lrfinder::LRFinder finder(model, *optimizer, criterion);
    const Batches train = learnable_batches(5, 16), val = learnable_batches(1, 16, 2);
    const auto history = finder.range_test(train, val, quick_search(6).range_test());
    const auto search = quick_search(6).history(history).trial_runner(on_ranks(process));
    if (where == "second search") finder.find(train, val, search);
    in_trials = true;
    const torch::Tensor parameter = model->parameters().front();
    const auto handles = parameter.use_count();
    try {
      finder.find(train, val, search);
    } catch (...) {
      report["handles that the runner keeps"] = std::to_string(parameter.use_count() - handles);
      throw;
    }
  });
}

}  // namespace

TEST_CASE("What throws in a trial of one rank ends the search on all, and all restore everything") {
  const std::string where = GENERATE("training", "validation", "second search");
  const int size = GENERATE(2, 3);
  const auto reports = in_processes(size, [&](Process& process) {
    return search_with_fault(process, where, [] { throw std::runtime_error("a fault"); });
  });
  for (int rank = 0; rank < size; ++rank) {
    const Report& report = reports[static_cast<std::size_t>(rank)];
    CHECK(report.at("not restored") == "");
    CHECK(report.at("handles that the runner keeps") == "0");
    if (rank == 1) {
      CHECK(report.at("error") == "a fault");
    } else {
      CHECK(report.at("rank") == "1");
      CHECK_THAT(report.at("error"), contains("rank 1 of") && contains("a fault"));
    }
  }
}

TEST_CASE("A rank that is killed in its trial ends the search on the others") {
  const auto reports = in_processes(
      3,
      [](Process& process) {
        return search_with_fault(process, "training", [] { std::raise(SIGKILL); });
      },
      std::chrono::seconds(10));
  CHECK(reports[1].at("signal") == std::to_string(SIGKILL));
  for (const std::size_t rank : {0U, 2U}) {
    CHECK(reports[rank].at("not restored") == "");
    CHECK_THAT(reports[rank].at("error"), contains("lost the others"));
  }
}

TEST_CASE("A rank that stalls in its trial ends the search within the timeout of the group") {
  const auto reports = in_processes(
      2,
      [](Process& process) {
        return search_with_fault(process, "training", process.wait_for_the_others);
      },
      std::chrono::seconds(6));
  for (const Report& report : reports) {
    CHECK(report.at("not restored") == "");
    CHECK_THAT(report.at("error"), contains("did not come within the timeout"));
  }
}

TEST_CASE("Ranks whose trials cannot be compared are told before anything is trained") {
  struct Case {
    const char* what;
    const char* message;
  };
  const auto chosen = GENERATE(
      Case{"shares", "a hash of the first training batch is "},
      Case{"validation", "a hash of the first validation batches is "},
      Case{"budget", "budget is 7 on rank 1 and 6 on rank 0"}, Case{"plan", "the plan is "},
      Case{"model", "tensor 0 is double [8, 4] on rank 1 and double [9, 4] on rank 0"},
      Case{"momentum", "a hash of the options but for the rate of group 0 of optimizer 0 is "},
      Case{"state", "parameters with a state of optimizer 0 is 4 on rank 1 and 0 on rank 0"},
      Case{"flags", "the list of training flags of a model is 1, 1, 0, 1 on rank 1"},
      Case{"gradients", "whether a parameter has a gradient is 1 on rank 1 and 0 on rank 0"},
      Case{"further optimizer", "a hash of the options but for the rate of group 0 of optimizer 1"},
      Case{"its rate", "the rate of group 0 of optimizer 1 is 0.25 on rank 1 and 0.5 on rank 0"},
      Case{"val_batches", "val_batches is 1 on rank 1 and "},
      Case{"own mistake", "FindOptions: budget (1)"}, Case{"clip", "clip_grad_norm is 1 on rank 1"},
      Case{"together as well", "leave one of them out"});
  CAPTURE(chosen.what);
  const auto is = [&](const char* what) { return chosen.what == std::string(what); };
  const auto reports = in_processes(2, [&](Process& process) {
    const auto differs = [&](const char* what) { return process.rank == 1 && is(what); };
    torch::nn::Sequential model = mlp(1);
    if (is("model") && process.rank == 0) {
      model = torch::nn::Sequential(torch::nn::Linear(4, 9), torch::nn::Linear(9, 3));
      model->to(torch::kDouble);
    }
    const auto optimizer = sgd(model);
    if (differs("momentum")) {
      static_cast<torch::optim::SGDOptions&>(optimizer->param_groups()[0].options()).momentum(0.8);
    }
    if (differs("flags")) model->ptr(1)->eval();
    if (differs("state") || differs("gradients")) {
      const auto batch = learnable_batches(1, 8).front();
      torch::cross_entropy_loss(model->forward(batch.data), batch.target).backward();
      if (is("state")) optimizer->step();
    }
    torch::nn::Linear other(2, 2);
    torch::optim::SGD further(other->parameters(),
                              torch::optim::SGDOptions(differs("its rate") ? 0.25 : 0.5)
                                  .nesterov(differs("further optimizer"))
                                  .momentum(0.9));
    return report_of(model, *optimizer, [&](Report&) {
      const auto criterion = [&](const torch::Tensor&, const torch::Tensor&) -> torch::Tensor {
        throw std::logic_error("has been evaluated");
      };
      lrfinder::LRFinder finder(model, *optimizer, criterion);
      finder.also_restore(other, further);
      if (differs("val_batches")) finder.options().val_batches(1);
      if (differs("clip")) finder.options().clip_grad_norm(1);
      if (is("gradients")) finder.options().snapshot(lrfinder::Snapshot::host);
      if (is("together as well")) {
        finder.options().data_parallel(lrfinder::communicator(process.group));
      }
      auto options = quick_search(differs("own mistake") ? 1 : differs("budget") ? 7 : 6);
      if (differs("plan")) options.plan(lrfinder::TrainingPlan().steps(501));
      const Batches all = learnable_batches(4, 16);
      const Batches train = is("shares") ? share_of(all, process.rank, process.size) : all;
      const Batches val = is("validation") ? share_of(all, process.rank, process.size) : all;
      finder.find(train, val, options.trial_runner(on_ranks(process)));
    });
  });
  for (const Report& report : reports) {
    CHECK(report.at("not restored") == "");
    CHECK_THAT(report.at("error"), contains(chosen.message));
  }
}

TEST_CASE("Ranks that would wait train what the search asks for next") {
  const auto updates_of_a_search = [](int size) {
    const auto reports = in_processes(size, [](Process& process) {
      torch::nn::Sequential model = mlp(1);
      const auto optimizer = sgd(model);
      return report_of(model, *optimizer, [&](Report& report) {
        int updates = 0;
        const auto criterion = [&](const torch::Tensor& output, const torch::Tensor& target) {
          updates += torch::GradMode::is_enabled() ? 1 : 0;
          return torch::cross_entropy_loss(output, target);
        };
        lrfinder::LRFinder finder(model, *optimizer, criterion);
        const Batches train = learnable_batches(5, 16);
        const auto history = finder.range_test(train, quick_search(6).range_test());
        updates = 0;
        report["history"] = exactly(
            finder.find(train, quick_search(6).history(history).trial_runner(on_ranks(process))));
        report["updates"] = std::to_string(updates);
      });
    });
    check_all_well(reports);
    int most = 0;
    for (const Report& report : reports) most = std::max(most, std::stoi(report.at("updates")));
    return most;
  };
  // On no rank more than one trial at a time: with seven, no more than one of each length.
  const int one = updates_of_a_search(1), three = updates_of_a_search(3),
            seven = updates_of_a_search(7);
  CHECK(three <= one / 2);
  CHECK(seven < three);
}

TEST_CASE("What throws only in a trial that nobody has asked for does not end the search") {
  // A criterion that throws at rates above those that one process tries.
  const auto run = [](double limit) {
    return [limit](Process& process) {
      torch::nn::Sequential model = mlp(1);
      const auto optimizer = sgd(model);
      return report_of(model, *optimizer, [&](Report& report) {
        double highest = 0;
        bool in_trials = false;
        const auto criterion = [&](const torch::Tensor& output, const torch::Tensor& target) {
          const double lr = optimizer->param_groups().front().options().get_lr();
          if (in_trials && lr > limit) throw std::runtime_error("too high");
          if (in_trials) highest = std::max(highest, lr);
          return torch::cross_entropy_loss(output, target);
        };
        lrfinder::LRFinder finder(model, *optimizer, criterion);
        const Batches train = learnable_batches(5, 16);
        const auto history = finder.range_test(train, quick_search(6).range_test().diverge_th(0));
        in_trials = true;
        auto options = quick_search(6).history(history);
        if (process.size > 1) options.trial_runner(on_ranks(process));
        report["history"] = exactly(finder.find(train, options));
        report["highest"] = std::to_string(highest);
      });
    };
  };
  const auto one = in_processes(1, run(std::numeric_limits<double>::infinity()));
  const double highest = std::stod(one.front().at("highest"));
  const auto unlimited = in_processes(7, run(std::numeric_limits<double>::infinity()));
  double tried = 0;
  for (const Report& report : unlimited) tried = std::max(tried, std::stod(report.at("highest")));
  REQUIRE(tried > 1.5 * highest);
  const auto limited = in_processes(7, run(1.5 * highest));
  check_all_well(limited);
  CHECK(limited.front().at("history") == one.front().at("history"));
}
