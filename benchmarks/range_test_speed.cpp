// What a range test takes beyond a plain training loop: iterations, validation and, apart from
// them, saving and restoring; and what a search takes by where its batches come from.
//
//     range_test_speed [--device cuda] [--default-allocator]
//                      [--filter mlp] [--repetitions 25] [--seconds 60]
//
// Freed memory stays in the process, for the loop and the range test alike; with
// --default-allocator both run as glibc has it.

#include <cmath>
#include <cstring>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/lrfinder.hpp>

#include "support/allocator.hpp"
#include "support/paired.hpp"
#include "support/tasks.hpp"

namespace {

using MakeTask = std::function<std::unique_ptr<Task>()>;

// Runs something on a task of its own, on a heap that is laid out anew. The time of one and the
// same loop varies by half with the addresses of its tensors, which is no matter of who wrote it.
template <class Work>
double somewhere_else(const MakeTask& make_task, Work&& work) {
  static std::mt19937 random(1);
  std::vector<std::vector<char>> in_the_way;
  for (int i = 0; i < 4; ++i) in_the_way.emplace_back(random() % 300'000);
  const auto task = make_task();
  return work(*task);
}

lrfinder::RangeTestOptions options(std::int64_t num_iter) {
  // Rates so low that neither way diverges and the arithmetic stays the same.
  return lrfinder::RangeTestOptions().start_lr(1e-6).end_lr(1e-4).num_iter(num_iter);
}

double rate(std::int64_t iteration, std::int64_t num_iter) {
  return 1e-6 * std::pow(100, static_cast<double>(iteration) / static_cast<double>(num_iter - 1));
}

const Batch& batch_of(const Task& task, std::int64_t iteration) {
  return task.batches[static_cast<std::size_t>(iteration) % task.batches.size()];
}

// Seconds an iteration of a plain training loop. It reads every loss at once, as a loop has to
// that prints it; on an accelerator also the loop is measured that reads them all at the end.
double loop(Task& task, std::int64_t num_iter, bool reads_at_once,
            std::optional<at::ScalarType> dtype) {
  std::vector<torch::Tensor> losses;
  double last = 0;
  const double total = seconds(task.device, [&] {
    for (std::int64_t i = 0; i < num_iter; ++i) {
      losses.push_back(train(task, batch_of(task, i), rate(i, num_iter), dtype));
      if (reads_at_once) last = losses.back().item<double>();
    }
    if (!reads_at_once) last = torch::stack(losses).cpu()[-1].item<double>();
  });
  if (!std::isfinite(last)) std::cerr << "the loop diverged\n";
  return total / static_cast<double>(num_iter);
}

// `dtype`: of autocast, for the loop, too.
void add_iterations(const std::string& name, const MakeTask& make_task, bool is_cpu,
                    std::int64_t num_iter, std::optional<at::ScalarType> dtype = {}) {
  const auto add = [&](const std::string& way, const auto& work) {
    register_way(name, way, [=] { return somewhere_else(make_task, work); });
  };
  add("loop", [=](Task& task) { return loop(task, num_iter, is_cpu, dtype); });
  if (!is_cpu) {
    add("loop, read at once", [=](Task& task) { return loop(task, num_iter, true, dtype); });
  }
  for (const bool paired : {true, false}) {
    add(paired ? "range test" : "range test, not paired", [=](Task& task) {
      lrfinder::LRFinder finder(task.model, *task.optimizer, cross_entropy,
                                lrfinder::TrainingOptions().autocast(dtype));
      const auto& history = finder.range_test(task.batches, options(num_iter).paired(paired));
      return history.wall_seconds / static_cast<double>(num_iter);
    });
  }
  // The whole call less its iterations, which are as few as can be.
  add("save, restore", [](Task& task) {
    lrfinder::LRFinder finder(task.model, *task.optimizer, cross_entropy);
    finder.range_test(task.batches, options(2));
    double iterations = 0;
    const double total = seconds(task.device, [&] {
      iterations = finder.range_test(task.batches, options(2)).wall_seconds;
    });
    return total - iterations;
  });
}

// Seconds an iteration with a pass over the batches held back, of a plain training loop.
double validated_loop(Task& task, const std::vector<Batch>& held_back, std::int64_t num_iter) {
  double last = 0;
  const double total = seconds(task.device, [&] {
    for (std::int64_t i = 0; i < num_iter; ++i) {
      train(task, batch_of(task, i), rate(i, num_iter));
      const torch::NoGradGuard without_gradients;
      task.model->eval();
      std::vector<torch::Tensor> losses;
      for (const Batch& batch : held_back) {
        losses.push_back(cross_entropy(task.model->forward(batch.data), batch.target));
      }
      last = torch::stack(losses).mean().item<double>();  // the batches are of one size
      task.model->train();
    }
  });
  if (!std::isfinite(last)) std::cerr << "the loop diverged\n";
  return total / static_cast<double>(num_iter);
}

void add_validation(const std::string& name, const MakeTask& make_task,
                    const std::shared_ptr<std::vector<Batch>>& held_back, std::int64_t num_iter) {
  register_way(name, "loop", [=] {
    return somewhere_else(make_task,
                          [&](Task& task) { return validated_loop(task, *held_back, num_iter); });
  });
  register_way(name, "range test", [=] {
    return somewhere_else(make_task, [&](Task& task) {
      lrfinder::LRFinder finder(task.model, *task.optimizer, cross_entropy);
      return finder.range_test(task.batches, *held_back, options(num_iter)).wall_seconds /
             static_cast<double>(num_iter);
    });
  });
}

// Iterations over a data loader, which makes each batch anew.
void add_loader(const std::string& name, const MakeTask& make_task, std::int64_t num_iter) {
  const SharedImages samples{torch::randn({10'000, 784}), torch::randint(0, 10, {10'000})};
  register_way(name, "loop", [=] {
    return somewhere_else(make_task, [&](Task& task) {
      const auto batches = loader(samples, 128);
      std::int64_t iteration = 0;
      const double total = seconds(task.device, [&] {
        while (iteration < num_iter) {
          for (const Batch& batch : *batches) {
            train(task, {batch.data.to(task.device), batch.target.to(task.device)},
                  rate(iteration, num_iter))
                .item<double>();
            if (++iteration == num_iter) break;
          }
        }
      });
      return total / static_cast<double>(num_iter);
    });
  });
  register_way(name, "range test", [=] {
    return somewhere_else(make_task, [&](Task& task) {
      lrfinder::LRFinder finder(task.model, *task.optimizer, cross_entropy);
      const auto batches = loader(samples, 128);
      return finder.range_test(*batches, options(num_iter)).wall_seconds /
             static_cast<double>(num_iter);
    });
  });
}

// Seconds an update of a search, by where its batches come from. They can be learnt, or the search
// would find nothing.
void add_search(const std::string& name, const MakeTask& make_task) {
  const torch::Tensor data = torch::randn({10'000, 784});
  const SharedImages samples{data, data.slice(1, 0, 10).argmax(1)};
  std::vector<Batch> tensors;
  const auto first_pass = loader(samples, 128);
  for (const Batch& batch : *first_pass) tensors.push_back(batch);
  const auto search = [make_task](auto& batches, std::optional<std::int64_t> cache_training) {
    return somewhere_else(make_task, [&](Task& task) {
      lrfinder::LRFinder finder(task.model, *task.optimizer, cross_entropy,
                                lrfinder::TrainingOptions().cache_training(cache_training));
      std::int64_t updates = 1;
      const double total = seconds(task.device, [&] { updates = finder.find(batches).updates; });
      return total / static_cast<double>(updates);
    });
  };
  register_way(name, "batches in memory", [=] { return search(tensors, {}); });
  register_way(name, "data loader", [=] {
    const auto batches = loader(samples, 128);
    return search(*batches, {});
  });
  register_way(name, "data loader, uncached", [=] {
    const auto batches = loader(samples, 128);
    return search(*batches, 0);
  });
}

}  // namespace

int main(int argc, char** argv) {
  torch::Device device(torch::kCPU);
  bool default_allocator = false;
  std::vector<char*> others{argv[0]};
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--device") == 0 && i + 1 < argc) {
      device = torch::Device(argv[++i]);
    } else if (std::strcmp(argv[i], "--default-allocator") == 0) {
      default_allocator = true;
    } else {
      others.push_back(argv[i]);
    }
  }
  if (!default_allocator) keep_freed_memory();
  torch::manual_seed(1);
  const bool is_cpu = device.is_cpu();
  const auto task = [=](const auto& network, std::int64_t batch_size,
                        const std::vector<std::int64_t>& shape) -> MakeTask {
    return [=] {
      std::vector<Batch> batches;
      for (int i = 0; i < 8; ++i) batches.push_back(images(batch_size, shape));
      return std::make_unique<Task>(network(), std::move(batches), device);
    };
  };
  const auto wide = [](std::int64_t width) { return [width] { return mlp(width); }; };
  add_iterations("mlp 784-128-10, batch 128", task(wide(128), 128, {784}), is_cpu, 200);
  add_iterations("small cnn, batch 64", task(small_cnn, 64, {1, 28, 28}), is_cpu,
                 is_cpu ? 20 : 200);
  add_iterations("ResNet-18, 32x32, batch " + std::to_string(is_cpu ? 8 : 64),
                 task(resnet18, is_cpu ? 8 : 64, {3, 32, 32}), is_cpu, is_cpu ? 3 : 50);
  add_iterations("mlp, autocast to bfloat16", task(wide(128), 128, {784}), is_cpu, 200,
                 torch::kBFloat16);
  for (const std::int64_t num_iter : {30, 1000}) {
    add_iterations("mlp, " + std::to_string(num_iter) + " iterations", task(wide(128), 128, {784}),
                   is_cpu, num_iter);
  }
  // 1e4 to 1e8 parameters.
  for (const auto& [width, num_iter] :
       {std::pair{13, 200}, std::pair{126, 200}, std::pair{1258, 50}, std::pair{12579, 5},
        std::pair{125786, 2}}) {
    add_iterations("mlp of " + std::to_string(width * 795 + 10) + " parameters",
                   task(wide(width), 16, {784}), is_cpu, num_iter);
  }
  const auto held_back = std::make_shared<std::vector<Batch>>();
  for (int i = 0; i < 10; ++i) {
    const Batch batch = images(1000, {784});
    held_back->emplace_back(batch.data.to(device), batch.target.to(device));
  }
  add_loader("mlp, data loader", task(wide(128), 128, {784}), 78);
  add_search("mlp, search", task(wide(128), 128, {784}));
  add_validation("mlp, 10,000 held back", task(wide(128), 128, {784}), held_back, 100);
  return run_paired(static_cast<int>(others.size()), others.data(), 25);
}
