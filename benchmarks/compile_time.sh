#!/usr/bin/env bash
# What lrfinder costs to compile, in seconds of processor time (medians, in turns): a file that
# includes torch/torch.h and trains in a plain loop, against the same file with a range
# test and a suggestion in place of the loop, with LRFINDER_COMPILED, which leaves the work to a
# source that is compiled once, and header-only; then that one source, and curve.hpp alone.
#
#   benchmarks/compile_time.sh [ROUNDS] [COMPILER OPTIONS]     default: 5 -O0
#
# LibTorch is taken from TORCH_INCLUDE (folders, separated by blanks; default: Debian's).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
rounds=${1:-5}
shift || true
[ $# -gt 0 ] || set -- -O0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/common.hpp" <<END
#include <torch/torch.h>
inline torch::nn::Sequential model(torch::nn::Linear(4, 2));
inline torch::optim::SGD optimizer(model->parameters(), 1e-3);
inline torch::nn::CrossEntropyLoss criterion;
inline const std::vector<torch::data::Example<>> loader;
END
cat >"$work/loop.cpp" <<END
#include "common.hpp"
int main() {
  for (const auto& batch : loader) {
    optimizer.zero_grad();
    criterion(model->forward(batch.data), batch.target).backward();
    optimizer.step();
  }
}
END
for mode in COMPILED HEADER_ONLY; do
  cat >"$work/$mode.cpp" <<END
#define LRFINDER_$mode
#include "common.hpp"
#include <lrfinder/lrfinder.hpp>
int main() {
  lrfinder::LRFinder finder(model, optimizer, criterion);
  finder.range_test(loader);
  return finder.suggestion().lr > 1;
}
END
done
cp "$root/src/lrfinder.cpp" "$work/once.cpp"
echo '#include <lrfinder/curve.hpp>' >"$work/curve.cpp"

options=(-std=c++17 -w -I "$root/include")
for folder in ${TORCH_INCLUDE:-/usr/include/torch/csrc/api/include}; do
  options+=(-isystem "$folder")
done
TIMEFORMAT='%U %S'
for ((round = 0; round < rounds; ++round)); do
  for file in loop COMPILED HEADER_ONLY once curve; do
    { time "${CXX:-c++}" "${options[@]}" "$@" -c "$work/$file.cpp" -o "$work/$file.o"; } \
      2>>"$work/$file.times"
  done
done
median() { # median FILE
  awk '{ print $1 + $2 }' "$work/$1.times" | sort -n | awk '{ t[NR] = $1 }
    END { print (t[int((NR + 1) / 2)] + t[int(NR / 2) + 1]) / 2 }'
}
loop=$(median loop)
row() { # row WORDS FILE
  awk -v words="$1" -v seconds="$(median "$2")" -v loop="$loop" \
    'BEGIN { printf "%-40s %6.2f s, ratio %.3f\n", words, seconds, seconds / loop }'
}
row "torch.h, plain loop" loop
row "range test, LRFINDER_COMPILED" COMPILED
row "range test, header-only" HEADER_ONLY
row "lrfinder.cpp, once in a program" once
row "curve.hpp alone" curve
