#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "hard_task.hpp"
#include "loss_kinds.hpp"
#include "noisy_kinds.hpp"
#include "uneven_kinds.hpp"

/// @file
/// All hard tasks.

/// The kinds that are held out. The list was fixed before any of them was trained: rules are chosen
/// on the other kinds, and these say what a rule is worth.
inline constexpr std::array held_out_hard_kinds{
    "four_samples", "wildly_weighted", "detection_tenth", "huber",       "likelihood_from_zero",
    "huge_loss",    "periodic",        "batch_norm",      "variational", "recurrent_text"};

/// The functions that add kinds, each the kinds of one idea.
inline std::vector<HardKind> hard_kinds() {
  std::vector<HardKind> kinds;
  for (const auto& add :
       {add_small_batches, add_uneven_weights, add_texts, add_summed_batches, add_changing_batches,
        add_alternating_tasks, add_noisy_targets, add_noisy_models, add_variational, add_augmented,
        add_fine_tuning_kind, add_nothing_to_learn, add_often_zero, add_imbalance, add_signed,
        add_scaled}) {
    add(kinds);
  }
  return kinds;
}

/// All tasks: every kind with each optimizer.
inline std::vector<HardTask> all_hard_tasks() {
  std::vector<HardTask> tasks;
  for (const HardKind& kind : hard_kinds()) {
    const bool held_out = std::find(held_out_hard_kinds.begin(), held_out_hard_kinds.end(),
                                    kind.name) != held_out_hard_kinds.end();
    for (const auto* optimizer : {"sgd", "momentum", "adam"}) {
      tasks.push_back(hard_task(kind, optimizer, tasks.size() + 1, held_out));
    }
  }
  return tasks;
}
