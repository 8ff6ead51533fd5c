// The promise that everything is restored, attacked: faults thrown from every place that runs
// user code, and random combinations of models, optimizers, options and loaders.

#include <catch2.hpp>
#include <csignal>
#include <everything.hpp>
#include <random>
#include <sys/resource.h>
#include <training.hpp>

#include <lrfinder/lrfinder.hpp>

using lrfinder::LRFinder;
using lrfinder::RangeSchedule;
using lrfinder::RangeTestOptions;
using lrfinder::Snapshot;
using lrfinder::TrainingOptions;
using torch::Tensor;
using namespace torch::optim;

namespace {

// A std::exception: LibTorch's autograd engine does not survive others many times over.
struct Fault : std::exception {
  explicit Fault(std::int64_t at_call) : call(at_call) {}
  std::int64_t call;
};

// Counts the calls of user code, and throws at one of them.
struct Faults {
  void point() {
    if (++calls == throw_at) throw Fault{calls};
  }
  std::int64_t calls = 0;
  std::int64_t throw_at = -1;
};
Faults faults;

struct FaultyBackward : torch::autograd::Function<FaultyBackward> {
  static Tensor forward(torch::autograd::AutogradContext*, Tensor input) {
    faults.point();
    return input.clone();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 torch::autograd::variable_list gradients) {
    faults.point();
    return gradients;
  }
};

// A model that throws in forward and in backward.
struct FaultyModelImpl : torch::nn::Module {
  template <class Inner>
  explicit FaultyModelImpl(Inner inner)
      : forward_inner([inner](const Tensor& input) mutable { return inner->forward(input); }) {
    register_module("inner", inner);
  }
  Tensor forward(const Tensor& input) { return FaultyBackward::apply(forward_inner(input)); }
  std::function<Tensor(const Tensor&)> forward_inner;
};

Tensor faulty_criterion(const Tensor& output, const Tensor& target) {
  faults.point();
  return torch::nn::functional::cross_entropy(output, target);
}

// A loader that throws when it is begun and when it goes on.
struct FaultyLoader {
  struct Iterator {
    const TensorBatch& operator*() const { return *position; }
    Iterator& operator++() {
      faults.point();
      ++position;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return position != other.position; }
    std::vector<TensorBatch>::const_iterator position;
  };
  Iterator begin() const {
    faults.point();
    torch::rand({1});  // as a shuffling loader draws
    return {batches.begin()};
  }
  Iterator end() const { return {batches.end()}; }
  std::vector<TensorBatch> batches;
};

// An optimizer of LibTorch's whose step throws, before or after the update.
template <class Kind>
struct Faulty : Kind {
  using Kind::Kind;
  Tensor step(Optimizer::LossClosure closure = nullptr) override {
    faults.point();
    Tensor loss = Kind::step(std::move(closure));
    faults.point();
    return loss;
  }
};

using MakeOptimizer = std::function<std::unique_ptr<Optimizer>(std::vector<Tensor>)>;

template <class Kind, class Options>
MakeOptimizer maker(Options options) {
  return [options](std::vector<Tensor> parameters) {
    return std::make_unique<Kind>(std::move(parameters), options);
  };
}

std::shared_ptr<FaultyModelImpl> make_model(int kind) {
  const auto faulty = [](auto model) { return std::make_shared<FaultyModelImpl>(model); };
  using namespace torch::nn;
  switch (kind) {
    case 0:
      return faulty(Sequential(Linear(4, 3)));
    case 1:
      return faulty(small_classifier());
    case 2:
      return faulty(Sequential(Unflatten(UnflattenOptions(1, {1, 4})),
                               Conv1d(Conv1dOptions(1, 4, 3).padding(1)), GELU(), Flatten(),
                               LayerNorm(LayerNormOptions({16})), Dropout(0.2), Linear(16, 3)));
    default: {
      struct RecurrentImpl : Module {
        RecurrentImpl()
            : lstm(register_module("lstm", LSTM(LSTMOptions(2, 5).num_layers(2).dropout(0.3)))),
              head(register_module("head", Linear(5, 3))) {}
        Tensor forward(const Tensor& input) {
          return head(std::get<0>(lstm->forward(input.view({-1, 2, 2}).transpose(0, 1)))[-1]);
        }
        LSTM lstm;
        Linear head;
      };
      return faulty(std::make_shared<RecurrentImpl>());
    }
  }
}

// A model and an optimizer that have trained a little, the same for the same arguments.
struct Trained {
  Trained(int kind, const MakeOptimizer& make, bool fine_tuning) {
    torch::manual_seed(11);
    model = make_model(kind);
    optimizer = make(model->parameters());
    if (fine_tuning) train(2);
  }
  void train(int steps) {
    for (int i = 0; i < steps; ++i) {
      const auto input = torch::randn({6, 4});
      const auto target = torch::randint(0, 3, {6});
      optimizer->step([&] {
        optimizer->zero_grad();
        auto loss = torch::nn::functional::cross_entropy(model->forward(input), target);
        loss.backward();
        return loss;
      });
    }
  }
  std::vector<Tensor> tensors() const {
    auto all = model->parameters();
    for (const auto& buffer : model->buffers()) all.push_back(buffer);
    return all;
  }
  std::shared_ptr<FaultyModelImpl> model;
  std::unique_ptr<Optimizer> optimizer;
};

// Walks the validation loader anew every time, for as many calls that can fail as there can be.
TrainingOptions two_batches_an_update(Snapshot snapshot) {
  return TrainingOptions().accumulation_steps(2).cache_validation(0).snapshot(snapshot);
}

void run(Trained& trained, const TrainingOptions& options, std::int64_t num_iter = 4) {
  const FaultyLoader train_loader{class_batches(3, 6, 4, 3, 1)};
  const FaultyLoader val_loader{class_batches(2, 6, 4, 3, 2)};
  LRFinder finder(trained.model, *trained.optimizer, faulty_criterion, options);
  finder.range_test(train_loader, val_loader,
                    RangeTestOptions().start_lr(1e-4).end_lr(1).num_iter(num_iter).on_iteration(
                        [](const lrfinder::Iteration&) { faults.point(); }));
}

}  // namespace

TEST_CASE("a fault in any call of user code leaves no trace") {
  struct Configuration {
    int model;
    MakeOptimizer make;
    bool fine_tuning;
    Snapshot snapshot;
  };
  const auto configuration = GENERATE(values<Configuration>({
      {0, maker<Faulty<SGD>>(SGDOptions(1e-3)), false, Snapshot::device},
      {1, maker<Faulty<SGD>>(SGDOptions(1e-3).momentum(0.9)), true, Snapshot::device},
      {1, maker<Adam>(AdamOptions(1e-3).amsgrad(true)), true, Snapshot::disk},
      {1, maker<Faulty<Adam>>(AdamOptions(1e-3)), false, Snapshot::host},
      {2, maker<Faulty<AdamW>>(AdamWOptions(1e-3)), true, Snapshot::device},
      {2, maker<RMSprop>(RMSpropOptions(1e-3).centered(true)), true, Snapshot::host},
      {3, maker<Faulty<Adagrad>>(AdagradOptions(1e-3)), true, Snapshot::device},
      {3, maker<LBFGS>(LBFGSOptions(1e-3).max_iter(3)), true, Snapshot::device},
  }));
  const auto fresh = [&] {
    faults = Faults();
    return Trained(configuration.model, configuration.make, configuration.fine_tuning);
  };
  const auto options = two_batches_an_update(configuration.snapshot);

  Trained untested = fresh();
  untested.train(3);
  const auto expected = untested.tensors();
  Trained faultless = fresh();
  faults = Faults();
  run(faultless, options);
  const std::int64_t reached = faults.calls;
  REQUIRE(reached > 60);

  // Every call, and once none: the test's own restore.
  for (std::int64_t call = 1; call <= reached + 1; ++call) {
    Trained trained = fresh();
    const Everything before(*trained.model, *trained.optimizer);
    faults = Faults{0, call};
    std::int64_t thrown = 0;
    try {
      run(trained, options);
    } catch (const Fault& fault) {
      thrown = fault.call;
    }
    faults = Faults();
    INFO("call " << call << " of " << reached);
    REQUIRE(thrown == (call <= reached ? call : 0));
    REQUIRE(before.differences(Everything(*trained.model, *trained.optimizer)) == "");
    trained.train(3);
    REQUIRE(same_bits(trained.tensors(), expected));
  }
}

TEST_CASE("faults at random moments of long tests leave no trace") {
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    const int model = i % 4;
    const auto make = maker<Faulty<Adam>>(AdamOptions(1e-3));
    faults = Faults();
    Trained trained(model, make, true);
    const Everything before(*trained.model, *trained.optimizer);
    faults = Faults{0, std::uniform_int_distribution<std::int64_t>(1, 300)(random)};
    auto options = two_batches_an_update(i % 3 == 0 ? Snapshot::disk : Snapshot::device);
    if (i % 2 == 0) options.cache_validation(std::nullopt);
    INFO("model " << model << ", call " << faults.throw_at);
    REQUIRE_THROWS_AS(run(trained, options, 20), Fault);
    REQUIRE(before.differences(Everything(*trained.model, *trained.optimizer)) == "");
  }
}

TEST_CASE("a fault while the snapshot is written leaves no trace") {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit unlimited{};
  ::getrlimit(RLIMIT_FSIZE, &unlimited);
  faults = Faults();
  Trained trained(1, maker<SGD>(SGDOptions(1e-3).momentum(0.9)), true);
  const Everything before(*trained.model, *trained.optimizer);
  int failures = 0;
  for (rlim_t bytes = 0; bytes < 900; bytes += 9) {
    const rlimit limit{bytes, unlimited.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      run(trained, two_batches_an_update(Snapshot::disk));
    } catch (const lrfinder::SnapshotError&) {
      ++failures;
    }
    ::setrlimit(RLIMIT_FSIZE, &unlimited);
    REQUIRE(before.differences(Everything(*trained.model, *trained.optimizer)) == "");
  }
  CHECK(failures == 100);
}

TEST_CASE("training after a range test of any kind is the training without it") {
  const std::vector<MakeOptimizer> makers{
      maker<SGD>(SGDOptions(1e-3).momentum(0.9)),
      maker<Adam>(AdamOptions(1e-3)),
      maker<AdamW>(AdamWOptions(1e-3).amsgrad(true)),
      maker<RMSprop>(RMSpropOptions(1e-3).momentum(0.5)),
      maker<Adagrad>(AdagradOptions(1e-3)),
      maker<LBFGS>(LBFGSOptions(1e-3).max_iter(3)),
      maker<Faulty<SGD>>(SGDOptions(1e-3).momentum(0.9)),
  };
  faults = Faults();
  std::mt19937 random(2);
  const auto below = [&](int end) {
    return std::uniform_int_distribution<int>(0, end - 1)(random);
  };
  for (int i = 0; i < 120; ++i) {
    const int model = below(4);
    const auto& make = makers[static_cast<std::size_t>(below(static_cast<int>(makers.size())))];
    const bool fine_tuning = below(2) == 0;
    const auto range =
        RangeTestOptions()
            .start_lr(std::pow(10.0, -below(8) - 1))
            .end_lr(std::pow(10.0, below(4)))
            .num_iter(2 + below(30))
            .smooth_f(0.1 * below(10))
            .diverge_th(below(3) == 0 ? 0 : 1 + below(5))
            .schedule(below(2) == 0 ? RangeSchedule::linear : RangeSchedule::exponential)
            .restore(below(3) > 0);
    const auto options = TrainingOptions()
                             .accumulation_steps(1 + below(3))
                             .snapshot(static_cast<Snapshot>(below(3)));
    const bool validates = below(2) == 0;
    const bool shuffles = below(2) == 0;
    const auto seed = static_cast<std::uint64_t>(below(100));
    INFO("configuration " << i << ": model " << model);

    const auto after_twenty_steps = [&](bool with_range_test) {
      auto loader = shuffling_loader();
      Trained trained(model, make, fine_tuning);
      const Everything before(*trained.model, *trained.optimizer);
      if (with_range_test) {
        LRFinder finder(trained.model, *trained.optimizer, faulty_criterion, options);
        const auto batches = class_batches(1 + static_cast<int>(seed % 5), 6, 4, 3, seed);
        const auto test = [&](auto&& train_loader) {
          if (validates) {
            finder.range_test(train_loader, class_batches(2, 3, 4, 3, seed + 1), range);
          } else {
            finder.range_test(train_loader, range);
          }
        };
        if (shuffles) {
          test(*loader);
        } else {
          test(batches);
        }
        finder.reset();
        CHECK(before.differences(Everything(*trained.model, *trained.optimizer)) == "");
      }
      trained.train(20);
      return trained.tensors();
    };
    REQUIRE(same_bits(after_twenty_steps(true), after_twenty_steps(false)));
  }
}

TEST_CASE("what the finder is not told of stays as user code leaves it") {
  faults = Faults();
  Trained trained(1, maker<SGD>(SGDOptions(1e-3)), false);
  const Everything before(*trained.model, *trained.optimizer);
  Tensor named = torch::zeros({1});
  Tensor unnamed = torch::zeros({1});
  std::mt19937 bits(1);
  auto generator = at::detail::createCPUGenerator(1);
  const Tensor state = generator.get_state();
  int calls = 0;
  LRFinder finder(trained.model, *trained.optimizer, faulty_criterion);
  finder.also_restore(named);
  finder.range_test(class_batches(2, 6, 4, 3),
                    RangeTestOptions().num_iter(4).on_iteration([&](const lrfinder::Iteration&) {
                      named.add_(1);
                      unnamed.add_(1);
                      bits();
                      torch::rand({1}, generator);
                      ++calls;
                    }));
  CHECK(before.differences(Everything(*trained.model, *trained.optimizer)) == "");
  CHECK(named.item<float>() == 0);
  CHECK(unnamed.item<float>() == 4);
  std::mt19937 four_later(1);
  four_later.discard(4);
  CHECK(bits == four_later);
  CHECK_FALSE(same_bits(generator.get_state(), state));
  CHECK(calls == 4);
}

TEST_CASE("a loader that was in the middle of a pass is not put back there") {
  // Goes on with each pass where the last one ended.
  struct Stream {
    struct Iterator {
      const TensorBatch& operator*() const { return stream->batches[stream->position]; }
      Iterator& operator++() {
        stream->position = (stream->position + 1) % stream->batches.size();
        return *this;
      }
      bool operator!=(const Iterator& other) const { return stream != other.stream; }
      Stream* stream;
    };
    Iterator begin() { return {this}; }
    static Iterator end() { return {nullptr}; }
    std::vector<TensorBatch> batches;
    std::size_t position = 0;
  };
  faults = Faults();
  Trained trained(1, maker<SGD>(SGDOptions(1e-3)), false);
  Stream loader{class_batches(5, 6, 4, 3), 1};
  LRFinder finder(trained.model, *trained.optimizer, faulty_criterion);
  finder.range_test(loader, RangeTestOptions().num_iter(7).diverge_th(0));
  CHECK(loader.position != 1);
}
