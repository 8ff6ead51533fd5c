// Trains the tasks of long_trainings by methods that need no learning rate, over the longest
// horizon, and appends the losses to parameter_free.csv. The program `judge` prints what they are
// worth.
//
//   parameter_free [FOLDER [PART PARTS]]
//
// FOLDER: where the file is; trainings that are there already are left out. PART: trains only every
// PARTS-th task, from the one of this number; the first is 0.

#include "parameter_free.hpp"

#include <array>
#include <cstddef>
#include <iostream>
#include <set>
#include <stdexcept>
#include <string>

#include <torch/torch.h>

#include "outcomes_file.hpp"
#include "tasks.hpp"
#include "train.hpp"

namespace {

bool has_batch_norm(const Network& network) {
  for (const auto& buffer : network.named_buffers()) {
    const std::string& name = buffer.key();
    if (name.find("running_mean") != std::string::npos) return true;
  }
  return false;
}

/// SGD's steps are longer than Adam's, and with them AdamW's weight decay is too strong, so DoG is
/// tried without it, too.
constexpr std::array parameter_free_rules{"DoG", "DoG without weight decay", "Prodigy"};

/// The rule of the given name, at the beginning of a training of the task.
UpdateRule parameter_free_rule(const std::string& name, const Task& task) {
  if (name == "Prodigy") return Prodigy();
  const double first_distance = has_batch_norm(*task.make().network) ? 1e-4 : 1e-6;
  if (name == "DoG") return DoG(first_distance, true);
  if (name == "DoG without weight decay") return DoG(first_distance, false);
  throw std::invalid_argument("no rule is named " + name);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc == 3 || argc > 4) {
    std::cerr << "usage: parameter_free [FOLDER [PART PARTS]]\n";
    return 2;
  }
  const std::string path = (argc > 1 ? std::string(argv[1]) : "data") + "/parameter_free.csv";
  const std::size_t part = argc > 2 ? std::stoul(argv[2]) : 0;
  const std::size_t parts = argc > 2 ? std::stoul(argv[3]) : 1;
  torch::set_num_threads(1);
  std::set<std::string> done;
  for (const auto& row : csv_rows(path)) done.insert(row.at(0) + ',' + row.at(1) + ',' + row.at(2));
  const auto tasks = all_tasks();
  for (std::size_t i = part; i < tasks.size(); i += parts) {
    const Task& task = tasks[i];
    Trainer trainer(task);
    for (const auto* plan : {"cosine", "constant"}) {
      for (const auto* method : parameter_free_rules) {
        const std::string training = task.name + ',' + plan + ',' + method;
        if (done.count(training) > 0) continue;
        trainer.train(plan, 1, {task.steps}, 1, parameter_free_rule(method, task));
        const std::string loss = rounded(trainer.outcomes().back().val_loss);
        append(path, "task,plan,method,loss", training + ',' + loss + '\n');
        std::cout << training << ',' << loss << std::endl;
      }
    }
  }
} catch (const std::exception& fault) {
  std::cerr << fault.what() << '\n';
  return 1;
}
