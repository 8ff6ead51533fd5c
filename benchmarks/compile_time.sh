#!/usr/bin/env bash
# What lrfinder costs to compile, in seconds of processor time (medians, in turns): a file that
# includes torch/torch.h and trains in a loop written by hand, against the same file with a range
# test and a suggestion in place of the loop, by lr_finder.hpp, which leaves the work to a file that
# is compiled once, and by lrfinder.hpp, which does it all in place; then that one file, and
# curve.hpp alone.
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
cat >"$work/by_hand.cpp" <<END
#include "common.hpp"
int main() {
  for (const auto& batch : loader) {
    optimizer.zero_grad();
    criterion(model->forward(batch.data), batch.target).backward();
    optimizer.step();
  }
}
END
for header in lr_finder lrfinder; do
  cat >"$work/$header.cpp" <<END
#include "common.hpp"
#include <lrfinder/$header.hpp>
int main() {
  lrfinder::LRFinder finder(model, optimizer, criterion);
  finder.range_test(loader);
  return finder.suggestion().lr > 1;
}
END
done
echo '#include <lrfinder/lr_finder.cpp>' >"$work/once.cpp"
echo '#include <lrfinder/curve.hpp>' >"$work/curve.cpp"

options=(-std=c++17 -w -I "$root/include")
for folder in ${TORCH_INCLUDE:-/usr/include/torch/csrc/api/include}; do
  options+=(-isystem "$folder")
done
TIMEFORMAT='%U %S'
for ((round = 0; round < rounds; ++round)); do
  for file in by_hand lr_finder lrfinder once curve; do
    { time "${CXX:-c++}" "${options[@]}" "$@" -c "$work/$file.cpp" -o "$work/$file.o"; } \
      2>>"$work/$file.times"
  done
done
median() { # median FILE
  awk '{ print $1 + $2 }' "$work/$1.times" | sort -n | awk '{ t[NR] = $1 }
    END { print (t[int((NR + 1) / 2)] + t[int(NR / 2) + 1]) / 2 }'
}
by_hand=$(median by_hand)
row() { # row WORDS FILE
  awk -v words="$1" -v seconds="$(median "$2")" -v by_hand="$by_hand" \
    'BEGIN { printf "%-40s %6.2f s, ratio %.3f\n", words, seconds, seconds / by_hand }'
}
row "torch.h, loop by hand" by_hand
row "range test by lr_finder.hpp" lr_finder
row "range test by lrfinder.hpp" lrfinder
row "lr_finder.cpp, once in a program" once
row "curve.hpp alone" curve
