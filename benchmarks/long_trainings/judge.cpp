// Prints what suggested learning rates are worth on the trainings of long_trainings.
//
//   judge [--held-out] [--kinds] [--suggestions FILE] [FOLDER]
//
// FOLDER: what long_trainings has written. --held-out: judges the kinds held out, too, which is for
// a rule that is finished. --kinds: also prints a table for each kind. FILE: more suggestions, a
// CSV file with the columns name,task,plan,lr; the plan is "constant", "cosine" or "both", and the
// lr is empty where there is no suggestion.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/curve.hpp>

#include "outcomes_file.hpp"
#include "time_share.hpp"

namespace {

/// The results of one way to choose a rate.
struct Result {
  std::vector<double> share, decades;
  std::size_t asked = 0;

  void add(const PlanOutcomes& outcomes, std::optional<double> lr) {
    ++asked;
    if (!lr || !std::isfinite(*lr)) return;
    share.push_back(outcomes.time_share(*lr));
    decades.push_back(std::log10(*lr / outcomes.best_rate()));
  }
};

/// The results by name, in the order in which the names came.
class Results {
 public:
  Result& operator[](const std::string& name) {
    for (auto& [known, result] : results_) {
      if (known == name) return result;
    }
    return results_.emplace_back(name, Result()).second;
  }
  void print(const std::string& title) const {
    std::printf(
        "\n%s\n\n| rate | median share | lowest tenth | worst | decades (median) | answered |\n",
        title.c_str());
    std::printf("| --- | --- | --- | --- | --- | --- |\n");
    for (const auto& [name, result] : results_) {
      if (result.share.empty()) {
        std::printf("| %s | | | | | 0/%zu |\n", name.c_str(), result.asked);
        continue;
      }
      const auto at = [&](double level) { return lrfinder::quantile(result.share, level); };
      std::printf("| %s | %.2f | %.2f | %.2f | %+.2f | %zu/%zu |\n", name.c_str(), at(0.5), at(0.1),
                  at(0), lrfinder::quantile(result.decades, 0.5), result.share.size(),
                  result.asked);
    }
  }

 private:
  std::vector<std::pair<std::string, Result>> results_;
};

std::optional<double> read_off(const std::string& curve, const lrfinder::Recipe& recipe) {
  try {
    return recipe(lrfinder::History::load(curve)).lr;
  } catch (const lrfinder::NoSuggestion&) {
    return std::nullopt;
  }
}

void add_recipes(Results& results, const PlanOutcomes& outcomes, const std::string& curve) {
  namespace suggest = lrfinder::suggest;
  const auto add = [&](const std::string& name, const lrfinder::Recipe& recipe) {
    results[name].add(outcomes, read_off(curve, recipe));
  };
  add("steepest", suggest::steepest);
  add("gradient_argmin", [](const auto& history) { return suggest::gradient_argmin(history); });
  add("valley", suggest::valley);
  add("ignite", suggest::ignite);
  add("lightning", [](const auto& history) { return suggest::lightning(history); });
  add("slide", suggest::slide);
  add("minimum", suggest::minimum);
}

/// The best of `count` full trainings at random rates over four decades around the middle.
void add_random_search(Results& results, const PlanOutcomes& outcomes, double centre, int count,
                       std::mt19937& random) {
  constexpr int repetitions = 200;
  std::uniform_real_distribution<double> decades(-2, 2);
  Result& result = results["best of " + std::to_string(count) + " random"];
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    double best = centre / 100;
    for (int i = 0; i < count; ++i) {
      const double lr = centre * std::pow(10, decades(random));
      if (outcomes.loss_at(lr) < outcomes.loss_at(best) || i == 0) best = lr;
    }
    result.add(outcomes, best);
  }
}

void judge(Results& results, const TrainedTask& task, const std::string& plan,
           const std::string& folder, const std::vector<std::vector<std::string>>& suggestions) {
  const PlanOutcomes& outcomes = task.plans.at(plan);
  add_recipes(results, outcomes, folder + "/curves/" + task.name + ".csv");
  for (const auto& [steps, losses] : outcomes.by_horizon) {
    if (steps == outcomes.longest()) continue;
    results["knows the best after " + std::to_string(steps)].add(outcomes,
                                                                 refined_best_rate(losses));
  }
  const auto& other_order = task.other_order;
  if (const auto found = other_order.find(plan); found != other_order.end()) {
    results["best with another order"].add(outcomes, refined_best_rate(found->second));
  }
  // The same numbers for every task, so that a table of some tasks agrees with that of all.
  std::mt19937 random(1);
  for (const int count : {5, 10}) add_random_search(results, outcomes, task.centre, count, random);
  for (const auto& row : suggestions) {
    if (row.at(1) != task.name || (row.at(2) != plan && row.at(2) != "both")) continue;
    const bool is_answered = row.size() > 3 && !row[3].empty();
    results[row.at(0)].add(outcomes, is_answered ? std::optional(std::stod(row[3])) : std::nullopt);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  std::string folder = "data", suggestions_path;
  bool held_out = false, by_kind = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--held-out") {
      held_out = true;
    } else if (argument == "--kinds") {
      by_kind = true;
    } else if (argument == "--suggestions" && i + 1 < argc) {
      suggestions_path = argv[++i];
    } else if (argument.front() != '-') {
      folder = argument;
    } else {
      std::cerr << "usage: judge [--held-out] [--kinds] [--suggestions FILE] [FOLDER]\n";
      return 2;
    }
  }
  const auto suggestions = csv_rows(suggestions_path);
  const auto tasks = trained_tasks(folder);
  for (const auto* plan : {"cosine", "constant"}) {
    Results all;
    std::map<std::string, std::pair<int, Results>> kinds;
    int count = 0;
    for (const TrainedTask& task : tasks) {
      if (task.held_out && !held_out) continue;
      ++count;
      judge(all, task, plan, folder, suggestions);
      auto& [count_of_kind, results] = kinds[task.kind];
      ++count_of_kind;
      judge(results, task, plan, folder, suggestions);
    }
    const auto title = [&](const std::string& what, int number) {
      return what + ", " + plan + ", " + std::to_string(number) + " tasks";
    };
    all.print(title("All", count));
    if (!by_kind) continue;
    for (const auto& [kind, of_kind] : kinds) of_kind.second.print(title(kind, of_kind.first));
  }
} catch (const std::exception& fault) {
  std::cerr << fault.what() << '\n';
  return 1;
}
