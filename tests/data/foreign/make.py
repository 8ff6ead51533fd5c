"""Writes the files of this folder: one curve as each tool saves it. SOURCE.md says after which code."""

import csv
import json
import math
import random
import struct


def single(value):  # a number of PyTorch's default type
    return struct.unpack("f", struct.pack("f", value))[0]


def losses_at(rates):  # as measured, before smoothing
    bits = random.Random(1)
    losses = []
    for rate in rates:
        fallen = 1.9 / (1 + (3e-3 / rate) ** 1.3)
        diverged = 0.05 * math.expm1(min(40, 4 * rate))
        losses.append(single(2.3 - fallen + diverged + bits.gauss(0, 0.03)))
    return losses


def until_diverged(smoothed, threshold):
    best = smoothed[0]
    for i, loss in enumerate(smoothed):
        best = min(best, loss)
        if i > 0 and loss > threshold * best:
            return i + 1
    return len(smoothed)


def exponential(losses, f):  # pytorch-lr-finder and Ignite
    smoothed = losses[:1]
    for loss in losses[1:]:
        smoothed.append(f * loss + (1 - f) * smoothed[-1])
    return smoothed


def lightning(losses, beta):
    average, smoothed = 0.0, []
    for i, loss in enumerate(losses):
        global_step = i + 1  # at the end of batch i, after the step of the optimizer
        average = beta * average + (1 - beta) * loss
        smoothed.append(average / (1 - beta ** (global_step + 1)))
    return smoothed


def fastai(losses, beta):
    value, smoothed = 0.0, []
    for i, loss in enumerate(losses):
        # torch.lerp and the division are in single precision
        value = single(value - single(single(value - loss) * single(1 - beta)))
        smoothed.append(single(value / (1 - beta ** (i + 1))))
    return smoothed


def steepest_index(losses):  # numpy.gradient(losses).argmin()
    inner = [(after - before) / 2 for before, after in zip(losses, losses[2:])]
    gradient = [losses[1] - losses[0], *inner, losses[-1] - losses[-2]]
    return gradient.index(min(gradient))


indices = range(100)
tools = {
    "pytorch_lr_finder": ([1e-7 * 1e8 ** (i / 99) for i in indices], lambda x: exponential(x, 0.05), 5),
    "ignite": ([1e-7 * 1e8 ** ((i + 1) / 100) for i in indices], lambda x: exponential(x, 0.05), 5),
    "lightning": ([1e-8 * 1e8 ** ((i + 1 if i else 0) / 100) for i in indices], lambda x: lightning(x, 0.98), 4),
    "fastai": ([1e-7 * 1e8 ** (i / 100) for i in indices], lambda x: fastai(x, 0.98), 4),
}
measured = {}
curves = {}
for tool, (rates, smooth, threshold) in tools.items():
    losses = losses_at(rates)
    smoothed = smooth(losses)
    count = until_diverged(smoothed, threshold)
    curves[tool] = {"lr": rates[:count], "loss": smoothed[:count]}
    measured[tool] = losses[:count]

for tool in ("pytorch_lr_finder", "ignite", "lightning"):
    with open(f"{tool}.json", "w") as file:
        json.dump(curves[tool], file)

with open("fastai.csv", "w", newline="") as file:  # pandas.DataFrame(...).to_csv()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["", "lr", "loss"])
    writer.writerows([i, *row] for i, row in enumerate(zip(*curves["fastai"].values())))

rates = curves["pytorch_lr_finder"]["lr"]
losses = measured["pytorch_lr_finder"]
with open("wandb.csv", "w", newline="") as file:  # a chart of lr and train/loss
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
    names = ["swift-sun-3 - lr", "swift-sun-3 - train/loss"]
    writer.writerow(["Step", *(name + end for name in names for end in ("", "__MIN", "__MAX"))])
    writer.writerows([i, *[rate] * 3, *[loss] * 3] for i, (rate, loss) in enumerate(zip(rates, losses)))

with open("tensorboard.csv", "w", newline="") as file:  # the scalar train/loss
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(["Wall time", "Step", "Value"])
    writer.writerows([1764357000.25 + i / 8, i, loss] for i, loss in enumerate(losses))

with open("tensorboard_joined.csv", "w", newline="") as file:  # as our message says, by pandas
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["", "Wall time_lr", "Step", "Value_lr", "Wall time_loss", "Value_loss"])
    writer.writerows(
        [i, 1764357000.25 + i / 8, i, single(rate), 1764357000.25 + i / 8, loss]
        for i, (rate, loss) in enumerate(zip(rates, losses))
    )

with open("measured.csv", "w", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["tool", "loss"])
    writer.writerows((tool, loss) for tool, losses in measured.items() for loss in losses)

own = curves["pytorch_lr_finder"]
print("pytorch-lr-finder's plot() suggests", own["lr"][10 + steepest_index(own["loss"][10:-5])])
