// The demo: finds a learning rate for handwritten digits and the plan that they are trained by,
// then trains with that peak, with a third of it and with three times as much, to show what it is
// worth.

#include "support/digits.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

namespace {

const char* const usage =
    "usage: digits [--data DIR] [--device cpu|cuda]\n"
    "  --data DIR     MNIST's IDX files in DIR (train-images-idx3-ubyte and so on)\n"
    "                 instead of the digits that come with lrfinder\n"
    "  --device NAME  where to train; default: cpu\n";

struct Arguments {
  std::string mnist_directory;
  torch::Device device = torch::kCPU;
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--help" || name == "-h") {
      std::fputs(usage, stdout);
      std::exit(0);
    }
    const std::string value = i + 1 < argc ? argv[++i] : "";
    if (name == "--data" && !value.empty()) {
      arguments.mnist_directory = value;
    } else if (name == "--device" && (value == "cpu" || value == "cuda")) {
      arguments.device = torch::Device(value);
    } else {
      std::fprintf(stderr, "digits: cannot make sense of '%s %s'\n%s", name.c_str(), value.c_str(),
                   usage);
      std::exit(2);
    }
  }
  return arguments;
}

struct Data {
  Digits train, validation, held_back;
};

Data read(const Arguments& arguments) {
  if (arguments.mnist_directory.empty()) {
    const Digits all = read_digits();
    return {all.slice(0, 1200), all.slice(1200, 1500), all.slice(1500, all.count())};
  }
  using torch::data::datasets::MNIST;
  const MNIST train(arguments.mnist_directory, MNIST::Mode::kTrain);
  const MNIST test(arguments.mnist_directory, MNIST::Mode::kTest);
  const Digits all(train.images(), train.targets());
  return {all.slice(0, 58000), all.slice(58000, all.count()), {test.images(), test.targets()}};
}

torch::nn::Sequential make_model() {
  using namespace torch::nn;
  return Sequential(Conv2d(Conv2dOptions(1, 16, 3).padding(1)), ReLU(), MaxPool2d(2),
                    Conv2d(Conv2dOptions(16, 32, 3).padding(1)), ReLU(), AdaptiveAvgPool2d(4),
                    Flatten(), Linear(32 * 4 * 4, 10));
}

constexpr int epochs = 20, batch_size = 32;

// Twenty epochs, with a short warm-up and a cosine decay.
lrfinder::TrainingPlan plan_for(const Digits& digits) {
  const std::int64_t batches = (digits.count() + batch_size - 1) / batch_size;
  return lrfinder::TrainingPlan()
      .steps(epochs * batches)
      .warmup(0.1)
      .decay(lrfinder::Decay::cosine);
}

void train(torch::nn::Sequential& model, const Digits& digits, double peak, torch::Device device) {
  torch::manual_seed(2);
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(peak).momentum(0.9));
  lrfinder::PlanLR scheduler(optimizer, plan_for(digits), peak);
  torch::nn::CrossEntropyLoss criterion;
  auto loader = shuffled(digits, batch_size);
  for (int epoch = 0; epoch < epochs; ++epoch) {
    for (const auto& batch : *loader) {
      optimizer.zero_grad();
      criterion(model->forward(batch.data.to(device)), batch.target.to(device)).backward();
      optimizer.step();
      scheduler.step();
    }
  }
}

double accuracy(torch::nn::Sequential& model, const Digits& digits, torch::Device device) {
  const torch::NoGradGuard no_grad;
  model->eval();
  std::int64_t right = 0;
  auto loader = in_order(digits, 512);
  for (const auto& batch : *loader) {
    const torch::Tensor answer = model->forward(batch.data.to(device)).argmax(1).cpu();
    right += answer.eq(batch.target).sum().item<std::int64_t>();
  }
  return static_cast<double>(right) / static_cast<double>(digits.count());
}

void run(const Arguments& arguments) {
  if (arguments.device.is_cuda() && !torch::cuda::is_available()) {
    throw std::runtime_error("this LibTorch finds no CUDA device; leave out --device cuda");
  }
  torch::manual_seed(1);
  const Data data = read(arguments);
  std::printf("%d digits to train with, %d to validate, %d held back\n",
              static_cast<int>(data.train.count()), static_cast<int>(data.validation.count()),
              static_cast<int>(data.held_back.count()));

  torch::nn::Sequential model = make_model();
  model->to(arguments.device);
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.01).momentum(0.9));
  torch::nn::CrossEntropyLoss criterion;
  auto train_loader = shuffled(data.train, batch_size);
  auto val_loader = in_order(data.validation, 512);

  const lrfinder::TrainingPlan plan = plan_for(data.train);
  std::printf("\nSearch for the learning rate of a training by a plan: %s\n",
              to_string(plan).c_str());
  lrfinder::LRFinder finder(model, optimizer, criterion);
  const lrfinder::Suggestion found =
      finder.find(*train_loader, *val_loader, lrfinder::FindOptions().plan(plan).progress(true));
  std::printf("\nLearning rate: %.3g (%.3g to %.3g do almost as well)\n", found.lr, found.low,
              found.high);
  std::printf("  %d trials, %d updates; the training takes %d\n",
              static_cast<int>(found.trials.size()), static_cast<int>(found.updates),
              static_cast<int>(plan.steps()));
  if (!found.caveat.empty()) std::printf("  %s\n", found.caveat.c_str());
  finder.plot("lr_finder.svg");
  std::puts("  picture: lr_finder.svg");

  std::puts("\nTraining by the plan from the untouched model; accuracy on what was held back:");
  for (double factor : {1.0 / 3, 1.0, 3.0}) {
    torch::nn::Sequential copy(
        std::dynamic_pointer_cast<torch::nn::SequentialImpl>(model->clone()));
    train(copy, data.train, factor * found, arguments.device);
    std::printf("  %-20s %8.3g   %5.1f %%\n",
                factor < 1   ? "a third"
                : factor > 1 ? "three times as much"
                             : "as found",
                factor * found, 100 * accuracy(copy, data.held_back, arguments.device));
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(parse(argc, argv));
  } catch (const c10::Error& error) {
    std::fprintf(stderr, "digits: %s\n", error.what_without_backtrace());
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "digits: %s\n", error.what());
    return 1;
  }
}
