#!/usr/bin/env bash
# Builds and runs the demo, examples/digits.cpp, on a machine that may have nothing but a shell.
# Arguments go to the demo: --data DIR for MNIST's files, --device cuda, --help.
set -euo pipefail
# shellcheck source=cmake/bootstrap.sh
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/bootstrap.sh"

bootstrap gnuplot-nox
build example_digits -DLRFINDER_BUILD_TESTS=OFF -DLRFINDER_BUILD_EXAMPLES=ON
exec "$root/build/examples/digits" "$@"
