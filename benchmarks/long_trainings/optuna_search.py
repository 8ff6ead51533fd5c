#!/usr/bin/env python3
"""Lets Optuna search on the recorded outcomes of long_trainings; prints what `judge` reads.

    optuna_search.py FOLDER > suggestions.csv

Needs Optuna (Debian: python3-optuna). Each study draws rates over the four decades of the grid and
minimises the loss on the samples held back, as its users do:

- with 1,000 updates, ten trainings of 100 updates;
- with 10,000 updates, full trainings of 3,000, with Optuna's default sampler (TPE) and its median
  pruner, or with its Hyperband pruner. Losses are reported after 100, 300 and 1,000 updates; there a
  rate that decays is still near its peak, so those of the constant rate stand for them.

Losses between the rates of the grid are interpolated over log lr, as in time_share.hpp.
"""

import collections
import csv
import math
import sys

import optuna

SEEDS = range(5)
FULL = 3000


def read(folder):
    """The losses by task, plan, steps and rate, and the loss before training by task."""
    losses = collections.defaultdict(dict)
    with open(f"{folder}/tasks.csv") as file:
        untrained = {row["task"]: float(row["untrained_loss"]) for row in csv.DictReader(file)}
    with open(f"{folder}/outcomes.csv") as file:
        for row in csv.DictReader(file):
            if row["seed"] == "1":
                key = row["task"], row["plan"], int(row["steps"])
                losses[key][float(row["lr"])] = float(row["val_loss"])
    return losses, untrained


def loss_at(lr, losses, worst):
    """The loss at a rate within the grid; `worst` beside a rate that diverged."""
    rates = sorted(losses)
    above = next((i for i, rate in enumerate(rates) if rate >= lr), len(rates) - 1)
    below = max(above - 1, 0)
    low, high = losses[rates[below]], losses[rates[above]]
    if not (math.isfinite(low) and math.isfinite(high)):
        return worst
    if above == below or rates[above] <= lr:
        return high
    share = math.log(lr / rates[below]) / math.log(rates[above] / rates[below])
    return low + share * (high - low)


class Search:
    """Counts updates while trials train on recorded losses."""

    def __init__(self, task, plan, losses, untrained, budget):
        self.task, self.plan, self.losses = task, plan, losses
        self.worst, self.budget, self.updates = 10 * untrained, budget, 0
        rates = sorted(losses[task, plan, FULL])
        # The grid may have been extended; its first rate is the lowest, two decades below the middle.
        self.low, self.high = rates[0], min(rates[-1], rates[0] * 1e4)

    def loss(self, plan, steps, lr):
        return loss_at(lr, self.losses[self.task, plan, steps], self.worst)

    def short(self, trial):
        lr = trial.suggest_float("lr", self.low, self.high, log=True)
        self.updates += 100
        return self.loss(self.plan, 100, lr)

    def full(self, trial):
        lr = trial.suggest_float("lr", self.low, self.high, log=True)
        before = 0
        for steps in (100, 300, 1000):
            self.updates += steps - before
            before = steps
            trial.report(self.loss("constant", steps, lr), steps)
            if trial.should_prune():
                raise optuna.TrialPruned()
        self.updates += FULL - before
        return self.loss(self.plan, FULL, lr)

    def run(self, objective, seed, pruner=None):
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner)
        while self.updates < self.budget:
            study.optimize(objective, n_trials=1)
        return study.best_params["lr"], self.updates


def main():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    losses, untrained = read(sys.argv[1])
    print("name,task,plan,lr,updates")
    for task in untrained:
        for plan in ("cosine", "constant"):
            for seed in SEEDS:
                search = lambda budget: Search(task, plan, losses, untrained[task], budget)
                short, tpe, hyperband = search(1000), search(10000), search(10000)
                results = {
                    "Optuna (ten trainings of 100)": short.run(short.short, seed),
                    "Optuna (TPE, median pruner)": tpe.run(
                        tpe.full, seed, optuna.pruners.MedianPruner()
                    ),
                    "Optuna (TPE, Hyperband)": hyperband.run(
                        hyperband.full, seed, optuna.pruners.HyperbandPruner(100, FULL)
                    ),
                }
                for name, (lr, updates) in results.items():
                    print(f"{name.replace(',', ' and')},{task},{plan},{lr:.5g},{updates}")


main()
