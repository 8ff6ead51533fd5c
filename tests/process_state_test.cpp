// The whole state of the process, the model and the optimizer, before and after every public call,
// over all kinds of models, optimizers and loaders.

#include <catch2.hpp>
#include <csignal>
#include <everything.hpp>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <own_optimizer.hpp>
#include <process_state.hpp>
#include <sstream>
#include <stdexcept>
#include <temporary_directory.hpp>
#include <training.hpp>
#include <vector>
#include <warnings.hpp>

#include <lrfinder/lrfinder.hpp>

using namespace lrfinder;

namespace process_state_test {

using torch::Tensor;
using MakeOptimizer = std::function<std::unique_ptr<torch::optim::Optimizer>(std::vector<Tensor>)>;

template <class Kind, class Options>
MakeOptimizer of_kind(const Options& options) {
  return [options](std::vector<Tensor> parameters) {
    return std::make_unique<Kind>(std::move(parameters), options);
  };
}

// What a process may have set that is unlike the default.
class OddSettings {
 public:
  OddSettings() : locale_(std::locale::global(std::locale(std::locale(), new Comma))) {
    ::sigaction(SIGPIPE, nullptr, &pipe_);
    struct sigaction own {};
    own.sa_handler = [](int) {};
    own.sa_flags = SA_RESTART | SA_NODEFER;
    ::sigaddset(&own.sa_mask, SIGUSR1);
    ::sigaction(SIGPIPE, &own, nullptr);
    ::sigset_t blocked;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGUSR2);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &mask_);
    umask_ = ::umask(0027);
    std::cout << std::hex;
    std::fesetround(FE_UPWARD);
    at::autocast::set_autocast_cache_enabled(false);
  }
  OddSettings(const OddSettings&) = delete;
  OddSettings& operator=(const OddSettings&) = delete;
  ~OddSettings() {
    at::autocast::set_autocast_cache_enabled(true);
    std::fesetround(FE_TONEAREST);
    std::cout << std::dec;
    ::umask(umask_);
    ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
    ::sigaction(SIGPIPE, &pipe_, nullptr);
    std::locale::global(locale_);
  }

 private:
  struct Comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
  };

  std::locale locale_;
  struct sigaction pipe_ {};
  ::sigset_t mask_{};
  ::mode_t umask_ = 0;
  torch::NoGradGuard without_gradients_;
};

Tensor loss_of(const Tensor& output, const Tensor& target) {
  return torch::nn::functional::cross_entropy(output, target);
}

// Makes every public call, and compares the states before and after it.
template <class Model, class Loader>
void check_calls(Model model, torch::optim::Optimizer& optimizer, Loader& loader) {
  LRFinder finder(model, optimizer, loss_of);
  const lrfinder::detail::ModuleHandle handle(lrfinder::detail::module_of(model));
  const auto check = [&](const char* call, auto&& make) {
    INFO(call);
    const Everything before(handle, optimizer, {});
    const ProcessState state;
    make();
    CHECK(state.differences(ProcessState()) == "");
    CHECK(before.differences(Everything(handle, optimizer, {})) == "");
  };
  const auto options = RangeTestOptions().start_lr(1e-4).end_lr(1).num_iter(20);
  const auto validation = class_batches(2, 6, 4, 3, 1);
  const TemporaryDirectory folder;
  check("range_test", [&] { finder.range_test(loader, options); });
  check("suggestion", [&] {
    try {
      static_cast<void>(finder.suggestion());
    } catch (const NoSuggestion&) {  // the batches are noise
    }
  });
  check("plot and save", [&] {
    std::ostringstream text;
    finder.plot(text);
    finder.plot(folder / "curve.txt");
    finder.plot(folder / "curve.gp");
    finder.history().save(folder / "curve.csv");
  });
  check("load", [&] { static_cast<void>(History::load(folder / "curve.csv")); });
  check("range_test with validation, by autocast, with a snapshot on disk", [&] {
    finder.options() = TrainingOptions().autocast(torch::kBFloat16).snapshot(Snapshot::disk);
    finder.range_test(loader, validation, options);
    finder.options() = {};
  });
  check("range_test that throws", [&] {
    const auto stop = [](const Iteration& it) {
      if (it.index == 5) throw std::runtime_error("stop");
    };
    CHECK_THROWS_WITH(finder.range_test(loader, RangeTestOptions(options).on_iteration(stop)),
                      "stop");
  });
  check("range_test without restore, and reset", [&] {
    finder.range_test(loader, RangeTestOptions(options).restore(false));
    finder.reset();
  });
  check("find", [&] {
    try {
      finder.find(loader,
                  FindOptions().plan(TrainingPlan().steps(30)).range_test(options).budget(100));
    } catch (const NoSuggestion&) {
    }
  });
}

torch::jit::Module scripted() {
  torch::jit::Module model("Scripted");
  model.register_parameter("weight", torch::randn({3, 4}, torch::requires_grad()), false);
  model.register_buffer("seen", torch::zeros({1}));
  model.register_attribute("training", c10::BoolType::get(), true);
  model.define(R"(
    def forward(self, input):
        self.seen = self.seen + 1
        return torch.matmul(input, self.weight.t())
  )");
  return model;
}

const MakeOptimizer sgd = of_kind<torch::optim::SGD>(torch::optim::SGDOptions(1e-3).momentum(0.9));

template <class Model>
void check_loader(int kind, Model model, const std::vector<Tensor>& parameters) {
  const auto optimizer = sgd(parameters);
  const auto batches = class_batches(4, 6, 4, 3);
  const ReusingLoader reusing(batches);
  const auto of_libtorch = shuffling_loader(kind == 3 ? 2 : 0);
  if (kind == 0) check_calls(model, *optimizer, batches);
  if (kind == 1) check_calls(model, *optimizer, reusing);
  if (kind > 1) check_calls(model, *optimizer, *of_libtorch);
}

}  // namespace process_state_test

using namespace process_state_test;

TEST_CASE("no public call changes the state of the process, with any model and loader") {
  torch::manual_seed(1);
  const Warnings warnings;
  const bool is_odd = GENERATE(false, true);
  const int model = GENERATE(0, 1, 2, 3);
  const int loader = GENERATE(0, 1, 2, 3);
  if (is_odd && model > 0) return;
  INFO("model " << model << ", loader " << loader << (is_odd ? ", odd settings" : ""));
  const auto classifier = small_classifier();
  const torch::nn::Linear linear(4, 3);
  const auto script = scripted();
  std::optional<OddSettings> odd;
  if (is_odd) odd.emplace();
  const auto parameters = classifier->parameters();
  if (model == 0) check_loader(loader, classifier, parameters);
  if (model == 1) check_loader(loader, torch::nn::AnyModule(linear), linear->parameters());
  if (model == 2) check_loader(loader, classifier.ptr(), parameters);
  if (model == 3) check_loader(loader, script, {script.attr("weight").toTensor()});
}

TEST_CASE("no public call changes the state of the process, with any optimizer") {
  using namespace torch::optim;
  static const std::vector<MakeOptimizer> kinds{
      of_kind<SGD>(SGDOptions(1e-3)),
      of_kind<Adam>(AdamOptions(1e-3).amsgrad(true)),
      of_kind<AdamW>(AdamWOptions(1e-3)),
      of_kind<RMSprop>(RMSpropOptions(1e-3).centered(true).momentum(0.9)),
      of_kind<Adagrad>(AdagradOptions(1e-3)),
      of_kind<LBFGS>(LBFGSOptions(1e-3).max_iter(3)),
      of_kind<OwnOptimizer>(1e-3),
      of_kind<CountingSGD>(SGDOptions(1e-3).momentum(0.9)),
  };
  torch::manual_seed(1);
  const Warnings warnings;
  const auto kind = GENERATE(range(std::size_t{0}, kinds.size()));
  INFO("optimizer " << kind);
  const bool has_state = GENERATE(false, true);
  auto model = small_classifier();
  const auto batches = class_batches(4, 6, 4, 3);
  const auto optimizer = kinds[kind](model->parameters());
  for (int i = 0; has_state && i < 3; ++i) {
    optimizer->step([&] {
      optimizer->zero_grad();
      auto loss = loss_of(model->forward(batches[0].data), batches[0].target);
      loss.backward();
      return loss;
    });
  }
  check_calls(model, *optimizer, batches);
}

TEST_CASE("what changes the state of the process is seen") {
  const ProcessState before;
  CHECK(before.differences(ProcessState()) == "");
  const auto seen = [&] { return before.differences(ProcessState()); };
  {
    const OddSettings odd;
    for (const char* what : {"grad mode", "autocast's cache", "signal 13", "signal mask", "umask",
                             "decimal point", "rounding", "stream"}) {
      CHECK_THAT(seen(), contains(what));
    }
  }
  {
    const c10::InferenceMode inference;
    CHECK_THAT(seen(), contains("inference mode") && contains("dispatch keys"));
  }
  {
    const TemporaryDirectory folder;
    const std::ofstream file(folder / "file");
    CHECK_THAT(seen(), contains("file"));
  }
  CHECK(before.differences(ProcessState()) == "");
}
