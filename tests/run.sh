#!/usr/bin/env bash
# Builds everything and runs all tests, on a machine that may have nothing but a shell. Arguments
# go to ctest, for example -R history or --verbose. With LRFINDER_WARNINGS_AS_ERRORS=ON in the
# environment warnings are errors.
set -euo pipefail
# shellcheck source=cmake/bootstrap.sh
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/bootstrap.sh"

bootstrap catch2 gnuplot-nox libcli11-dev libgloo-dev
build all -DLRFINDER_BUILD_TESTS=ON -DLRFINDER_BUILD_EXAMPLES=ON -DLRFINDER_BUILD_CLI=ON \
  -DLRFINDER_WARNINGS_AS_ERRORS="${LRFINDER_WARNINGS_AS_ERRORS:-OFF}"
cd "$root/build"
jobs=$(nproc)
# The tests run side by side, and are too small to gain from threads of their own.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec ctest --output-on-failure --parallel "$jobs" "$@"
