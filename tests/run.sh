#!/usr/bin/env bash
# Builds everything and runs all tests, on a machine that may have nothing but a shell.
#
#   tests/run.sh [--device cuda] [ARGUMENTS OF CTEST]      for example -R history or --verbose
#
# --device: the tests that train do it there (tests/support/test_device.hpp). In the environment,
# LRFINDER_WARNINGS_AS_ERRORS=ON makes warnings errors, LRFINDER_TRAINING=OFF leaves out all that needs
# LibTorch, and LRFINDER_BUILD_CLI=OFF the command.
set -euo pipefail
if [ "${1:-}" = --device ]; then
  export LRFINDER_TEST_DEVICE=${2:?--device needs a name}
  shift 2
fi
# shellcheck source=cmake/bootstrap.sh
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/bootstrap.sh"

training=${LRFINDER_TRAINING:-ON}
packages=(catch2 gnuplot-nox)
[ "${LRFINDER_BUILD_CLI:-ON}" = OFF ] || packages+=(libcli11-dev nlohmann-json3-dev)
[ "$training" = OFF ] || packages+=(libgloo-dev)
bootstrap "${packages[@]}"
build all -DLRFINDER_TRAINING="$training" -DLRFINDER_BUILD_TESTS=ON -DLRFINDER_BUILD_EXAMPLES=ON -DLRFINDER_BUILD_CLI="${LRFINDER_BUILD_CLI:-ON}" \
  -DLRFINDER_WARNINGS_AS_ERRORS="${LRFINDER_WARNINGS_AS_ERRORS:-OFF}"
cd "$root/build"
jobs=$(nproc)
# The tests run side by side, and are too small to gain from threads of their own.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec ctest --output-on-failure --parallel "$jobs" "$@"
