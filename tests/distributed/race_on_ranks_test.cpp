// Races and searches whose trials are spread over ranks.

#include <catch2.hpp>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <own_optimizer.hpp>
#include <processes.hpp>
#include <random>
#include <ranks.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <training.hpp>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed.hpp>
#include <lrfinder/lrfinder.hpp>
#include <lrfinder/race/trials_on_ranks.hpp>

namespace {

template <class Trials>
void write_table(std::ostream& words, const Trials& trials) {
  for (const auto& trial : trials) {
    words << '\n'
          << trial.lr << ' ' << trial.num_iter << ' ' << trial.loss << ' ' << trial.diverged;
    for (const auto& [name, value] : trial.metrics) words << ' ' << name << ' ' << value;
  }
}

std::string exactly(const lrfinder::RaceResult& result) {
  std::ostringstream words;
  words.precision(17);
  words << result.lr << ' ' << result.loss << ' ' << result.total_iter;
  write_table(words, result.table);
  return words.str();
}

std::string exactly(const lrfinder::Suggestion& found) {
  std::ostringstream words;
  words.precision(17);
  words << found.lr << ' ' << found.low << ' ' << found.high << ' ' << found.updates;
  write_table(words, found.trials);
  return words.str();
}

lrfinder::RangeTestOptions one_range_test() {
  return lrfinder::RangeTestOptions().start_lr(1e-3).end_lr(10).num_iter(40).metric(
      "accuracy", lrfinder::accuracy);
}

/// What a search reports, with a model, an optimizer state and random numbers that differ between
/// ranks; dropout, batch normalisation and a loader that shuffles. Alone where there is one
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
    lrfinder::LRFinder finder(model, *optimizer, torch::nn::CrossEntropyLoss());
    const auto ranks = process.size > 1 ? lrfinder::distributed(process.group) : nullptr;
    report["history"] = use(finder, *loader, *val_loader, ranks);
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

TEST_CASE("A race with one rate a rank has the table of one process, bit for bit") {
  struct Case {
    const char* name;
    bool validation;
    lrfinder::RaceOptions options;
  };
  const auto plan = lrfinder::TrainingPlan().steps(500).decay(lrfinder::Decay::cosine);
  const auto chosen =
      GENERATE_COPY(Case{"training loss", false, {}}, Case{"validation loss", true, {}},
                    Case{"diverging", false, lrfinder::RaceOptions().around(10).decades_up(4)},
                    Case{"plan", true, lrfinder::RaceOptions().plan(plan)});
  CAPTURE(chosen.name);
  check_same_as_one_process(
      {2, 3, 4}, sgd, [&](auto& finder, auto& train, auto& val, const auto& ranks) {
        finder.range_test(train, one_range_test().diverge_th(0));
        const auto options = lrfinder::RaceOptions(chosen.options).ranks(ranks);
        return exactly(chosen.validation ? finder.race(train, val, options)
                                         : finder.race(train, options));
      });
}

TEST_CASE("find with one rate a rank finds what one process finds, bit for bit") {
  const bool validation = GENERATE(false, true);
  check_same_as_one_process(
      {2, 3, 4}, sgd, [&](auto& finder, auto& train, auto& val, const auto& ranks) {
        const auto options =
            lrfinder::FindOptions()
                .plan(lrfinder::TrainingPlan().steps(500).decay(lrfinder::Decay::cosine))
                .budget(6)
                .ranks(ranks)
                .range_test(one_range_test());
        return exactly(validation ? finder.find(train, val, options) : finder.find(train, options));
      });
}

TEST_CASE("One rate a rank starts from the optimizer of rank 0, with its state and its counts") {
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
      [&](auto& finder, auto& train, auto&, const auto& ranks) {
        finder.range_test(train, one_range_test());
        return exactly(
            finder.race(train, lrfinder::RaceOptions().budget(3).around(0.03).ranks(ranks)));
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
  check_same_as_one_process({2}, sgd, [](auto& finder, auto&, auto&, const auto& ranks) {
    NoisyLoader train;
    return exactly(finder.find(
        train, lrfinder::FindOptions()
                   .plan(lrfinder::TrainingPlan().steps(500).decay(lrfinder::Decay::cosine))
                   .budget(4)
                   .ranks(ranks)
                   .range_test(one_range_test())));
  });
}

TEST_CASE("Only rank 0 needs a range test for a race with one rate a rank") {
  const auto reports = in_processes(2, [](Process& process) {
    torch::nn::Sequential model = mlp(1);
    const auto optimizer = sgd(model);
    return report_of(model, *optimizer, [&](Report& report) {
      lrfinder::LRFinder finder(model, *optimizer, torch::nn::CrossEntropyLoss());
      const Batches train = learnable_batches(5, 16);
      if (process.rank == 0) finder.range_test(train);
      const auto ranks = lrfinder::distributed(process.group);
      const auto result = finder.race(train, lrfinder::RaceOptions().ranks(ranks));
      report["history"] = exactly(result) + in_words(finder.history());
    });
  });
  check_all_well(reports);
}

namespace {

/// A race with one rate a rank, after a range test by each rank alone. `fault` is called from the
/// 31st training step or the first validation of the race on, at one place of rank 1.
Report race_with_fault(Process& process, const std::string& where,
                       const std::function<void()>& fault) {
  torch::nn::Sequential model = mlp(static_cast<std::uint64_t>(process.rank));
  const auto optimizer = sgd(model);
  return report_of(model, *optimizer, [&](Report&) {
    bool races = false;
    int evaluations = 0;
    lrfinder::LRFinder finder(
        model, *optimizer, [&](const torch::Tensor& output, const torch::Tensor& target) {
          const bool here = output.requires_grad() == (where == "training");
          if (races && here && process.rank == 1 && ++evaluations > (where == "training" ? 30 : 0))
            fault();
          return torch::cross_entropy_loss(output, target);
        });
    const Batches train = learnable_batches(5, 16);
    finder.range_test(train, lrfinder::RangeTestOptions().start_lr(1e-3).end_lr(1).num_iter(40));
    races = true;
    const auto ranks = lrfinder::distributed(process.group);
    finder.race(train, learnable_batches(1, 16, 2), lrfinder::RaceOptions().ranks(ranks));
  });
}

}  // namespace

TEST_CASE("What throws in a trial of one rank ends the race on all, and all restore everything") {
  const std::string where = GENERATE("training", "validation");
  const int size = GENERATE(2, 3);
  const auto reports = in_processes(size, [&](Process& process) {
    return race_with_fault(process, where, [] { throw std::runtime_error("a fault"); });
  });
  for (int rank = 0; rank < size; ++rank) {
    const Report& report = reports[static_cast<std::size_t>(rank)];
    CHECK(report.at("not restored") == "");
    if (rank == 1) {
      CHECK(report.at("error") == "a fault");
    } else {
      CHECK(report.at("rank") == "1");
      CHECK_THAT(report.at("error"), contains("rank 1 of") && contains("a fault"));
    }
  }
}

TEST_CASE("A rank that is killed in its trial ends the race on the others") {
  const auto reports = in_processes(
      3,
      [](Process& process) {
        return race_with_fault(process, "training", [] { std::raise(SIGKILL); });
      },
      std::chrono::seconds(10));
  CHECK(reports[1].at("signal") == std::to_string(SIGKILL));
  for (const std::size_t rank : {0U, 2U}) {
    CHECK(reports[rank].at("not restored") == "");
    CHECK_THAT(reports[rank].at("error"), contains("lost the others"));
  }
}

TEST_CASE("A rank that stalls in its trial ends the race within the timeout of the group") {
  const auto reports = in_processes(
      2,
      [](Process& process) {
        return race_with_fault(process, "training", process.wait_for_the_others);
      },
      std::chrono::seconds(6));
  for (const Report& report : reports) {
    CHECK(report.at("not restored") == "");
    CHECK_THAT(report.at("error"), contains("did not come within the timeout"));
  }
}

TEST_CASE("Ranks that cannot race each other are told before anything is trained") {
  struct Case {
    const char* what;
    const char* message;
  };
  const auto chosen = GENERATE(
      Case{"shares", "a hash of the first training batch is "},
      Case{"validation", "a hash of the first validation batches is "},
      Case{"budget", "the first candidates"},
      Case{"model", "tensor 0 is double [8, 4] on rank 1 and double [9, 4] on rank 0"},
      Case{"momentum", "a hash of the options but for the rate of group 0 of optimizer 0 is "},
      Case{"state", "parameters with a state of optimizer 0 is 4 on rank 1 and 0 on rank 0"},
      Case{"flags", "the list of training flags of a model is 1, 1, 0, 1 on rank 1"},
      Case{"gradients", "whether a parameter has a gradient is 1 on rank 1 and 0 on rank 0"},
      Case{"further optimizer", "a hash of the options but for the rate of group 0 of optimizer 1"},
      Case{"its rate", "the rate of group 0 of optimizer 1 is 0.25 on rank 1 and 0.5 on rank 0"},
      Case{"val_batches", "val_batches is 1 on rank 1 and "},
      Case{"own mistake", "RaceOptions: spacing (0)"}, Case{"untested", "no iteration"},
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
      bool races = false;
      lrfinder::LRFinder finder(model, *optimizer,
                                [&](const torch::Tensor& output, const torch::Tensor& target) {
                                  if (races) throw std::logic_error("has been evaluated");
                                  return torch::cross_entropy_loss(output, target);
                                });
      finder.also_restore(other, further);
      const Batches all = learnable_batches(4, 16);
      auto range_test = lrfinder::RangeTestOptions().start_lr(1e-3).end_lr(1).num_iter(40);
      if (differs("val_batches")) range_test.val_batches(1);
      if (is("gradients")) range_test.snapshot(lrfinder::Snapshot::host);
      if (is("together as well")) range_test.ranks(lrfinder::distributed(process.group));
      if (!is("untested")) finder.range_test(all, range_test);
      races = true;
      auto options = lrfinder::RaceOptions().ranks(lrfinder::distributed(process.group));
      if (differs("budget")) options.decades_down(2).budget(12);
      if (differs("own mistake")) options.spacing(0);
      const Batches train = is("shares") ? share_of(all, process.rank, process.size) : all;
      const Batches val = is("validation") ? share_of(all, process.rank, process.size) : all;
      finder.race(train, val, options);
    });
  });
  for (const Report& report : reports) {
    CHECK(report.at("not restored") == "");
    CHECK_THAT(report.at("error"), contains(chosen.message));
  }
}

TEST_CASE("A rank whose trials have ended early takes one of another rank, which trains") {
  using lrfinder::Trial;
  const auto trial_at = [](double lr) {
    return Trial{lr, 32, 1 / lr, false, {{"metric", lr / 3}}};
  };
  const auto reports = in_processes(2, [&](Process& process) {
    lrfinder::detail::Session session(lrfinder::distributed(process.group));
    std::int64_t meetings = 0, on_others = 0, mine = 0;
    std::ostringstream runs;
    const auto run = [&](double lr, std::int64_t, const std::function<void()>& after_update) {
      runs << lr << ' ';
      // The other trials end at once; this one goes on until the other rank has ended those.
      do {
        ++mine;
        after_update();
      } while (lr == 2 && on_others < 3 && meetings < 100);
      return trial_at(lr);
    };
    lrfinder::detail::TrialsOnRanks trials(session, run, [&](std::int64_t updates) {
      ++meetings;
      on_others += updates;
    });
    std::ostringstream results;
    results.precision(17);
    write_table(results, trials({1, 2, 3, 4}, 32));
    return Report{{"results", results.str()},
                  {"runs", runs.str()},
                  {"mine", std::to_string(mine)},
                  {"on others", std::to_string(on_others)}};
  });
  std::ostringstream expected;
  expected.precision(17);
  write_table(expected, std::vector<Trial>{trial_at(1), trial_at(2), trial_at(3), trial_at(4)});
  for (const Report& report : reports) CHECK(report.at("results") == expected.str());
  CHECK(reports[0].at("runs") == "1 3 4 ");
  CHECK(reports[1].at("runs") == "2 ");
  CHECK(reports[0].at("on others") == reports[1].at("mine"));
  CHECK(reports[1].at("on others") == reports[0].at("mine"));
}
