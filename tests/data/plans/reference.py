"""Writes the learning rates (and momenta) of PyTorch's schedulers, step by step, beside this file.

    python3 reference.py        needs python3-torch
"""

import csv
import os

import torch
from torch.optim import lr_scheduler as schedulers

PEAK = 0.1


def rates(make, steps, optimizer=torch.optim.SGD, **options):
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = optimizer([parameter], lr=PEAK, **options)
    scheduler = make(optimizer)
    rows = []
    for step in range(steps):
        group = optimizer.param_groups[0]
        momentum = group["betas"][0] if "betas" in group else group["momentum"]
        rows.append((step, repr(group["lr"]), repr(momentum)))
        optimizer.step()
        if step + 1 < steps:
            scheduler.step()
    return rows


def cosine_by_closed_form(optimizer, steps, final):
    # CosineAnnealingLR chains its factors, which adds rounding errors; its closed form is what it means.
    scheduler = schedulers.CosineAnnealingLR(optimizer, steps, eta_min=final * PEAK)
    scheduler.get_lr = scheduler._get_closed_form_lr
    return scheduler


def linear_by_closed_form(optimizer, **options):
    scheduler = schedulers.LinearLR(optimizer, **options)
    scheduler.get_lr = scheduler._get_closed_form_lr
    return scheduler


def warm_cosine(optimizer):
    warmup = linear_by_closed_form(optimizer, start_factor=0.1, end_factor=1, total_iters=20)
    return schedulers.SequentialLR(
        optimizer, [warmup, cosine_by_closed_form(optimizer, 180, 0.01)], milestones=[20])


def cyclic(mode):
    return lambda optimizer: schedulers.CyclicLR(
        optimizer, base_lr=0.25 * PEAK, max_lr=PEAK, step_size_up=30, mode=mode, gamma=0.99,
        cycle_momentum=True, base_momentum=0.8, max_momentum=0.9)


CASES = {
    "cosine": (lambda o: cosine_by_closed_form(o, 200, 0), {}),
    "cosine_to_a_tenth": (lambda o: cosine_by_closed_form(o, 200, 0.1), {}),
    "linear": (lambda o: linear_by_closed_form(o, start_factor=1, end_factor=0.05, total_iters=200), {}),
    "step": (lambda o: schedulers.StepLR(o, step_size=60, gamma=0.3), {}),
    "warm_cosine": (warm_cosine, {}),
    "one_cycle": (lambda o: schedulers.OneCycleLR(o, PEAK, total_steps=200), {"momentum": 0.9}),
    "one_cycle_linear": (
        lambda o: schedulers.OneCycleLR(o, PEAK, total_steps=200, anneal_strategy="linear"),
        {"momentum": 0.9}),
    "one_cycle_adam": (
        lambda o: schedulers.OneCycleLR(o, PEAK, total_steps=137), {"optimizer": torch.optim.Adam}),
    "cyclic_triangular": (cyclic("triangular"), {"momentum": 0.9}),
    "cyclic_triangular2": (cyclic("triangular2"), {"momentum": 0.9}),
    "cyclic_exp_range": (cyclic("exp_range"), {"momentum": 0.9}),
}

for name, (make, options) in CASES.items():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".csv")
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("step", "lr", "momentum"))
        writer.writerows(rates(make, 137 if name == "one_cycle_adam" else 200, **options))
