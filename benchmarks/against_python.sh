#!/usr/bin/env bash
# lrfinder against pytorch-lr-finder: an MLP 784-128-10 on 10,000 samples in batches of 128, with and
# without a validation loader of 10,000 samples. Both run in turns; prints medians and their ratio.
#
#   benchmarks/against_python.sh PROGRAM [ROUNDS [DEVICE]]
#
# PROGRAM is the built against_python; default: 9 rounds on the CPU.
#
# Freed memory stays in both processes (see support/allocator.hpp); with DEFAULT_ALLOCATOR=1 in the
# environment both run as glibc has it.
#
# Needs python3 with torch and torch_lr_finder (PYTHONPATH serves); says so and succeeds without.
# For a fair ratio both should use the same LibTorch: Debian's libtorch-dev and python3-torch do.
set -euo pipefail
program=$1
rounds=${2:-9}
device=${3:-cpu}
python=${PYTHON:-python3}
script=$(dirname "${BASH_SOURCE[0]}")/against_python.py
if ! "$python" -c 'import torch, torch_lr_finder' 2>/dev/null; then
  echo "SKIPPED: $python cannot import torch and torch_lr_finder (pytorch-lr-finder)"
  exit 0
fi
if [ -z "${DEFAULT_ALLOCATOR:-}" ]; then
  export MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=2146435072 MALLOC_TOP_PAD_=67108864
fi
values=$(mktemp)
trap 'rm -f "$values"' EXIT
for ((round = 0; round < rounds; ++round)); do
  "$program" "$device" ${DEFAULT_ALLOCATOR:+default} | sed 's/^/lrfinder /' >>"$values"
  "$python" "$script" "$device" 2>/dev/null | grep '^train' | sed 's/^/python /' >>"$values"
done
sort -k1,2 -k3,3n "$values" | awk '
  { key = $1 " " $2; values[key, ++count[key]] = $3 }
  function median(key) {
    n = count[key]
    return (values[key, int((n + 1) / 2)] + values[key, int(n / 2) + 1]) / 2
  }
  END {
    print "task, ms an iteration        lrfinder  pytorch-lr-finder  ratio"
    split("train train+val", tasks)
    for (t = 1; t <= 2; ++t) {
      for (form = 0; form < 2; ++form) {
        name = tasks[t] (form ? ":tensors" : "")
        label = tasks[t] == "train" ? "without validation" : "with validation"
        label = label (form ? ", tensors" : ", loader")
        printf "%-28s %8.3f  %17.3f  %5.2f\n", label, median("lrfinder " name), \
          median("python " tasks[t]), median("python " tasks[t]) / median("lrfinder " name)
      }
    }
  }'
