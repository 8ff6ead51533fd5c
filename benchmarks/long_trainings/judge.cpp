// Prints what suggested learning rates are worth on the trainings of long_trainings.
//
//   judge [--held-out] [--kinds] [--suggestions FILE] [FOLDER]
//
// FOLDER: what long_trainings and, if it is there, parameter_free have written. --held-out:
// judges the kinds held out, too, which is for a rule that is finished. --kinds: also prints a
// table for each kind. FILE: more suggestions, a CSV file with the columns
// name,task,plan,lr,updates; the plan is "constant", "cosine" or "both", and the lr is empty if
// there is no suggestion. The columns low and high of an interval, and a caveat, may follow.

#include <algorithm>
#include <cmath>
#include <cstdio>
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

using Rows = std::vector<std::vector<std::string>>;

/// The results of one way to choose a rate, or to do without one.
struct Result {
  std::vector<double> share, regret, decades, updates;
  /// Of the intervals: half of the width in decades, and the share of the time share that is left
  /// at the worse end.
  std::vector<double> half_width, worse_end;
  std::size_t asked = 0;

  void add(const PlanOutcomes& outcomes, std::optional<double> lr, double updates_spent) {
    ++asked;
    if (!lr || !std::isfinite(*lr)) return;
    push_back(outcomes, outcomes.loss_at(*lr), updates_spent);
    decades.push_back(std::log10(*lr / outcomes.best_rate()));
  }

  void add_interval(const PlanOutcomes& outcomes, double lr, double low, double high) {
    half_width.push_back(std::log10(high / low) / 2);
    worse_end.push_back(std::min(outcomes.time_share(low), outcomes.time_share(high)) /
                        outcomes.time_share(lr));
  }

  /// A training without a rate, which ends with this loss.
  void add_loss(const PlanOutcomes& outcomes, double loss) {
    ++asked;
    push_back(outcomes, loss, outcomes.longest());
  }

  double within_half_a_decade() const {
    const auto near = [](double distance) { return std::fabs(distance) <= 0.5; };
    return static_cast<double>(std::count_if(decades.begin(), decades.end(), near)) /
           static_cast<double>(asked);
  }

 private:
  void push_back(const PlanOutcomes& outcomes, double loss, double updates_spent) {
    share.push_back(outcomes.time_share_of_loss(loss));
    regret.push_back(outcomes.regret_of_loss(loss));
    updates.push_back(updates_spent);
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
        "\n%s\n\n| rate | time share: median | lowest tenth | worst | regret | decades | within "
        "half "
        "a decade | answered | updates |\n",
        title.c_str());
    std::printf("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (const auto& named : results_) {
      const auto& name = named.first;
      const Result& result = named.second;
      if (result.share.empty()) {
        std::printf("| %s | | | | | | | 0/%zu | |\n", name.c_str(), result.asked);
        continue;
      }
      const auto share = [&](double level) {
        return lrfinder::detail::quantile(result.share, level);
      };
      const auto median = [](const auto& column) {
        return lrfinder::detail::quantile(column, 0.5);
      };
      std::printf("| %s | %.2f | %.2f | %.2f | %.3f |", name.c_str(), share(0.5), share(0.1),
                  share(0), median(result.regret));
      if (result.decades.empty()) {
        std::printf(" | |");
      } else {
        std::printf(" %+.2f | %.0f %% |", median(result.decades),
                    100 * result.within_half_a_decade());
      }
      std::printf(" %zu/%zu | %.0f |\n", result.share.size(), result.asked, median(result.updates));
    }
    for (const auto& [name, result] : results_) {
      if (result.worse_end.empty()) continue;
      std::printf(
          "%s: half of the interval %.2f decades (median); its worse end keeps %.2f of the "
          "time share (median; lowest tenth %.2f)\n",
          name.c_str(), lrfinder::detail::quantile(result.half_width, 0.5),
          lrfinder::detail::quantile(result.worse_end, 0.5),
          lrfinder::detail::quantile(result.worse_end, 0.1));
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
    results[name].add(outcomes, read_off(curve, recipe), 100);
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
    result.add(outcomes, best, outcomes.longest() * count);
  }
}

void judge(Results& results, const TrainedTask& task, const std::string& plan,
           const std::string& folder, const Rows& suggestions, const Rows& parameter_free) {
  const PlanOutcomes& outcomes = task.plans.at(plan);
  add_recipes(results, outcomes, folder + "/curves/" + task.name + ".csv");
  for (const auto& [steps, losses] : outcomes.by_horizon) {
    if (steps == outcomes.longest()) continue;
    const std::string name = "knows the best after " + std::to_string(steps);
    const double best = refined_best_rate(losses), updates = static_cast<double>(steps) * 13;
    results[name].add(outcomes, best, updates);
    results[name + ", carried"].add(outcomes, best * carried(steps, outcomes.longest(), plan),
                                    updates);
  }
  const auto& other_order = task.other_order;
  if (const auto found = other_order.find(plan); found != other_order.end()) {
    results["best with another order"].add(outcomes, refined_best_rate(found->second),
                                           13 * outcomes.longest());
  }
  // The same numbers for every task, so that a table of some tasks agrees with that of all.
  std::mt19937 random(1);
  for (const int count : {5, 10}) add_random_search(results, outcomes, task.centre, count, random);
  for (const auto& row : suggestions) {
    if (row.at(1) != task.name || (row.at(2) != plan && row.at(2) != "both")) continue;
    const bool is_answered = row.size() > 3 && !row[3].empty();
    const double updates = row.size() > 4 && !row[4].empty() ? std::stod(row[4]) : 0;
    results[row.at(0)].add(outcomes, is_answered ? std::optional(std::stod(row[3])) : std::nullopt,
                           updates);
    if (is_answered && row.size() > 6 && !row[5].empty()) {
      results[row.at(0)].add_interval(outcomes, std::stod(row[3]), std::stod(row[5]),
                                      std::stod(row[6]));
    }
  }
  for (const auto& row : parameter_free) {
    if (row.at(0) != task.name || row.at(1) != plan) continue;
    results[row.at(2)].add_loss(outcomes, std::stod(row.at(3)));
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
  const auto parameter_free = csv_rows(folder + "/parameter_free.csv");
  const auto tasks = trained_tasks(folder);
  const std::vector<std::pair<int, std::string>> groups{
      {0, "Kinds to design with"}, {1, "Kinds held out"}, {2, "Kinds held out later"}};
  for (const auto& [group, group_name] : groups) {
    if (group > 0 && !held_out) continue;
    for (const auto* plan : {"cosine", "constant"}) {
      Results all;
      std::map<std::string, Results> kinds;
      int count = 0;
      for (const TrainedTask& task : tasks) {
        if (task.held_out != group) continue;
        ++count;
        judge(all, task, plan, folder, suggestions, parameter_free);
        if (by_kind) judge(kinds[task.kind], task, plan, folder, suggestions, parameter_free);
      }
      all.print(group_name + ", " + plan + ", " + std::to_string(count) + " tasks");
      for (const auto& [kind, of_kind] : kinds) of_kind.print(kind + ", " + plan);
    }
  }
} catch (const std::exception& fault) {
  std::cerr << fault.what() << '\n';
  return 1;
}
