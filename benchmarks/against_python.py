"""Range tests by pytorch-lr-finder, for against_python.sh. Prints "task milliseconds" lines.

against_python.py [DEVICE]
"""

import sys
import time

import torch
from torch.utils.data import DataLoader, TensorDataset
from torch_lr_finder import LRFinder

NUM_ITER = 100


DEVICE = sys.argv[1] if len(sys.argv) > 1 else "cpu"


def images():
    return TensorDataset(torch.randn(10000, 784), torch.randint(0, 10, (10000,)))


def milliseconds(finder, **loaders):
    start = time.perf_counter()
    finder.range_test(end_lr=1e-4, num_iter=NUM_ITER, **loaders)
    finder.reset()
    return (time.perf_counter() - start) * 1000 / NUM_ITER


torch.manual_seed(1)
train = DataLoader(images(), batch_size=128)
held_back = DataLoader(images(), batch_size=1000)
model = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
model.to(DEVICE)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
finder = LRFinder(model, optimizer, torch.nn.CrossEntropyLoss(), device=DEVICE)
print("train %.4f" % milliseconds(finder, train_loader=train))
print("train+val %.4f" % milliseconds(finder, train_loader=train, val_loader=held_back))
