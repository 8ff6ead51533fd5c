// Prints how often answers are right on the trainings of hard_trainings.
//
//   judge_hard [--held-out] [--kinds] [--curves FOLDER] [--answers FILE] [FOLDER]
//
// FOLDER: what hard_trainings has written, and answers.csv, what hard_answers has printed.
// --held-out: judges the kinds held out, too, which is for a rule that is finished. --kinds: also
// prints a row for each kind. --curves: also judges what this version of the library reads off the
// curves that hard_answers has saved. --answers: another file of answers.

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <lrfinder/curve.hpp>

#include "../long_trainings/outcomes_file.hpp"
#include "answers_file.hpp"
#include "verdict.hpp"

namespace {

/// The tallies by name, in the order in which the names came.
class Tallies {
 public:
  Tally& operator[](const std::string& name) {
    for (auto& [known, tally] : tallies_) {
      if (known == name) return tally;
    }
    return tallies_.emplace_back(name, Tally()).second;
  }
  auto begin() const { return tallies_.begin(); }
  auto end() const { return tallies_.end(); }

 private:
  std::vector<std::pair<std::string, Tally>> tallies_;
};

constexpr Verdict verdicts[] = {Verdict::good, Verdict::wrong, Verdict::wrong_with_caveat,
                                Verdict::refused};

void print(const std::string& title, const Tallies& tallies) {
  std::printf(
      "\n%s\n\n| answer | good | wrong without a caveat | wrong with one | refused | asked "
      "|\n| --- | --- | --- | --- | --- | --- |\n",
      title.c_str());
  for (const auto& [name, tally] : tallies) {
    std::printf("| %s |", name.c_str());
    for (const Verdict verdict : verdicts) std::printf(" %.2f |", tally.share(verdict));
    std::printf(" %d |\n", tally.total());
  }
}

/// A row for each kind, with four numbers for each name.
void print_kinds(const Tallies& all, std::map<std::string, Tallies>& kinds) {
  std::printf("\ngood / wrong without a caveat / wrong with one / refused\n\n| kind |");
  for (const auto& named : all) std::printf(" %s |", named.first.c_str());
  std::printf("\n| --- |");
  for (auto named = all.begin(); named != all.end(); ++named) std::printf(" --- |");
  for (auto& [kind, of_kind] : kinds) {
    std::printf("\n| %s |", kind.c_str());
    for (const auto& named : all) {
      const Tally& tally = of_kind[named.first];
      std::printf(" %d / %d / %d / %d |", tally.count(Verdict::good), tally.count(Verdict::wrong),
                  tally.count(Verdict::wrong_with_caveat), tally.count(Verdict::refused));
    }
  }
  std::printf("\n");
}

/// What this version of the library reads off a saved curve.
Answer read_off(const std::string& path, const std::string& name, const std::string& plan,
                const lrfinder::Recipe& recipe) {
  Answer answer;
  answer.name = name;
  answer.plan = plan;
  try {
    const auto suggestion = recipe(lrfinder::History::load(path));
    answer.lr = suggestion.lr;
    answer.caveat = suggestion.caveat;
  } catch (const lrfinder::NoSuggestion& refusal) {
    answer.refusal = refusal.what();
  }
  return answer;
}

std::vector<Answer> answers_from_curves(const std::string& folder, const TrainedTask& task) {
  const auto plan = lrfinder::TrainingPlan()
                        .steps(task.plans.at("cosine").longest())
                        .decay(lrfinder::Decay::cosine);
  std::vector<Answer> answers;
  for (int seed = 1; seed <= times_asked; ++seed) {
    const std::string path = folder + '/' + curve_file(task.name, seed);
    if (!std::filesystem::exists(path)) continue;
    answers.push_back(read_off(path, "suggest::steepest", "constant", lrfinder::suggest::steepest));
    answers.push_back(read_off(path, "suggest::for_plan", "cosine", [&](const auto& history) {
      return lrfinder::suggest::for_plan(history, plan);
    }));
  }
  return answers;
}

/// What a search would answer that knows how shorter trainings end at every rate of the grid. As
/// find does, it carries the best rate to the length of the training.
std::vector<Answer> answers_of_oracles(const TrainedTask& task) {
  std::vector<Answer> answers;
  for (const auto& [name, outcomes] : task.plans) {
    for (const auto& [steps, losses] : outcomes.by_horizon) {
      if (steps == outcomes.longest()) continue;
      Answer answer;
      answer.name = "knows the best after " + std::to_string(steps) + ", carried";
      answer.plan = name;
      answer.lr = refined_best_rate(losses) * carried(steps, outcomes.longest(), name);
      answers.push_back(answer);
    }
  }
  return answers;
}

/// Judges the answers to tasks that train well, and says how many do not.
void judge(const std::vector<TrainedTask>& tasks,
           const std::map<std::string, std::vector<Answer>>& answers, const std::string& curves,
           bool held_out, bool by_kind) {
  Tallies all;
  std::map<std::string, Tallies> kinds;
  int judged = 0, left_out = 0;
  for (const TrainedTask& task : tasks) {
    if ((task.held_out > 0) != held_out) continue;
    const auto is_noise_by = [&](const std::string& plan) {
      return is_noise(task.plans.at(plan), task.other_order.at(plan));
    };
    if (is_noise_by("constant") || is_noise_by("cosine")) {
      ++left_out;
      continue;
    }
    ++judged;
    std::vector<Answer> of_task;
    if (const auto found = answers.find(task.name); found != answers.end()) of_task = found->second;
    if (!curves.empty()) {
      for (Answer& answer : answers_from_curves(curves, task)) of_task.push_back(std::move(answer));
    }
    for (Answer& answer : answers_of_oracles(task)) of_task.push_back(std::move(answer));
    for (const Answer& answer : of_task) {
      const Verdict found =
          verdict(mean_outcomes(task.plans.at(answer.plan), task.other_order.at(answer.plan)),
                  answer.lr, !answer.caveat.empty());
      const std::string name = answer.name + ", " + answer.plan;
      all[name].add(found);
      kinds[task.kind][name].add(found);
    }
  }
  print((held_out ? "Kinds held out: " : "Kinds to design with: ") + std::to_string(judged) +
            " tasks; " + std::to_string(left_out) + " left out, whose outcomes are noise",
        all);
  if (by_kind) print_kinds(all, kinds);
}

}  // namespace

int main(int argc, char** argv) try {
  std::string folder = "data", curves, answers_path;
  bool held_out = false, by_kind = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--held-out") {
      held_out = true;
    } else if (argument == "--kinds") {
      by_kind = true;
    } else if (argument == "--curves" && i + 1 < argc) {
      curves = argv[++i];
    } else if (argument == "--answers" && i + 1 < argc) {
      answers_path = argv[++i];
    } else if (argument.front() != '-') {
      folder = argument;
    } else {
      std::cerr << "usage: judge_hard [--held-out] [--kinds] [--curves FOLDER] [--answers FILE] "
                   "[FOLDER]\n";
      return 2;
    }
  }
  if (answers_path.empty()) answers_path = folder + "/answers.csv";
  std::map<std::string, std::vector<Answer>> answers;
  for (Answer& answer : answers_in(answers_path)) {
    answers[answer.task].push_back(std::move(answer));
  }
  const auto tasks = trained_tasks(folder);
  judge(tasks, answers, curves, false, by_kind);
  if (held_out) judge(tasks, answers, curves, true, by_kind);
} catch (const std::exception& fault) {
  std::cerr << fault.what() << '\n';
  return 1;
}
