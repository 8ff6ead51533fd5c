#!/usr/bin/env bash
# Builds examples/distributed.cpp and examples/parallel_trials.cpp, on a machine that may have nothing but
# a shell, and runs each as two processes that talk to each other over this machine's loopback.
set -euo pipefail
# shellcheck source=cmake/bootstrap.sh
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/bootstrap.sh"

bootstrap libgloo-dev
build "example_distributed example_parallel_trials" -DLRFINDER_BUILD_TESTS=OFF -DLRFINDER_BUILD_EXAMPLES=ON

export MASTER_ADDR=127.0.0.1 MASTER_PORT=${MASTER_PORT:-29500} WORLD_SIZE=2
for program in distributed parallel_trials; do
  RANK=0 "$root/build/examples/$program" &
  first=$!
  RANK=1 "$root/build/examples/$program" &
  wait "$first" && wait $!
done
