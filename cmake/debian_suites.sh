#!/usr/bin/env bash
# Runs all tests and examples on other Debian suites, each with its own compiler, CMake, Catch2 and
# LibTorch. Warnings are errors there.
#
#   cmake/debian_suites.sh [SUITE...]      default: trixie sid
#
#   trixie       LibTorch 2.6
#   sid          the newest that Debian has
#   bullseye     GCC 10; without what needs LibTorch, which is too old there, and without the command;
#                installs the .deb
#   trixie-cuda  LibTorch 2.6 with CUDA, without a GPU and without cuDNN; takes 8 GB
#
# A suite is made by debootstrap where it is missing, under LRFINDER_SUITES (default:
# /var/tmp/lrfinder-suites), which needs root. Where that cannot be done, this says so and succeeds.
set -euo pipefail

source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
suites=${LRFINDER_SUITES:-/var/tmp/lrfinder-suites}

skip() {
  echo "NOT RUN on $suite: $*" >&2
  skipped+=("$suite")
}

make_suite() { # make_suite SUITE DIRECTORY
  local suite=${1%-cuda} components=main
  [ "$suite" = "$1" ] || components=main,contrib,non-free
  command -v debootstrap >/dev/null ||
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends debootstrap; } || return
  echo "Making $1 in $2"
  mkdir -p "$2"
  debootstrap --variant=minbase --components=$components "$suite" "$2" >"$2.log" 2>&1 || { tail -n 5 "$2.log"; rm -rf "$2"; return 1; }
}

# A mirror may lag behind, which apt takes for an attack.
accept_old_mirror() { # accept_old_mirror DIRECTORY
  echo 'Acquire::Check-Valid-Until "false";' >"$1/etc/apt/apt.conf.d/99lrfinder"
}

# Copies what differs, so that a build goes on where the one before ended, from a new checkout too.
copy_source() { # copy_source DIRECTORY
  local file
  mkdir -p "$1"
  sources | while IFS= read -r file; do
    cmp -s "$source/$file" "$1/$file" || install -D -m "$(stat -c %a "$source/$file")" "$source/$file" "$1/$file"
  done
  (cd "$1" && find . -path './build*' -prune -o -type f -print) | sort | comm -23 - <(sources) |
    while IFS= read -r file; do rm "$1/$file"; done
}

sources() {
  (cd "$source" && find . \( -name .git -o -path './build*' \) -prune -o -type f -print) | sort
}

# Runs a command in the suite, with the environment of a build.
in_suite() { # in_suite [NAME=VALUE]... COMMAND...
  # -O0: most of the time goes into compiling; what runs long is inside LibTorch.
  chroot "$directory" /usr/bin/env CXXFLAGS=-O0 LRFINDER_WARNINGS_AS_ERRORS=ON DEBIAN_FRONTEND=noninteractive "$@"
}

# All tests and examples. Those of Catch2 run in one process a program, as loading LibTorch takes longer
# than most of them.
run_tests() {
  in_suite /lrfinder/tests/run.sh --label-exclude unit
  # shellcheck disable=SC2016
  in_suite OMP_NUM_THREADS=1 bash -e -c '
    cd /lrfinder/build/tests
    timeout 1200 ./training_tests &
    for program in curve distributed operator_fault allocation_fault accelerator; do
      [ ! -x ./${program}_tests ] || timeout 600 ./${program}_tests
    done
    wait $!'
}

# The .deb is installed by apt, and an outside project built with it.
check_deb() {
  in_suite bash -e -c '
    rm -rf build-deb
    export CMAKE_GENERATOR=Ninja
    cmake -S lrfinder -B build-deb -DLRFINDER_TRAINING=OFF -DLRFINDER_BUILD_TESTS=OFF
    cd build-deb
    cpack -G DEB
    apt-get install -y -qq --no-install-recommends --reinstall ./lrfinder_*_all.deb
    cmake -S /lrfinder/tests/consume -B consumer -DVIA=find_package -DCOMPONENT=curve
    cmake --build consumer
    consumer/consumer
    apt-get purge -y -qq lrfinder'
}

# The package of cuDNN fetches it from NVIDIA and asks for consent to a licence. A library with the same
# functions, which nothing calls without a GPU, stands in for it.
install_cuda() {
  echo "nvidia-cudnn nvidia-cudnn/question select I Decline" | in_suite debconf-set-selections
  in_suite apt-get update -qq
  in_suite apt-get install -y -qq --no-install-recommends g++ nvidia-cuda-toolkit libtorch-cuda-dev \
    libgloo-cuda-dev
  in_suite bash -e -c '
    cd /usr/lib/x86_64-linux-gnu
    [ -e libcudnn.so.9 ] ||
      nm --dynamic --undefined-only libtorch_cuda.so | sed -En "s/ +U (cudnn[A-Za-z0-9_]+)(@.*)?$/void \1() {}/p" |
      gcc -x c -shared -fPIC -Wl,-soname,libcudnn.so.9 -Wl,--default-symver -o libcudnn.so.9 -'
}

# Outside projects build; training on a GPU that is not there ends with a message, training on the CPU
# with a rate.
check_cuda() {
  local message
  in_suite /lrfinder/tests/consume/run.sh training
  in_suite bash -c "cd /tmp && /lrfinder/build/examples/digits"
  if message=$(in_suite bash -c "cd /tmp && /lrfinder/build/examples/digits --device cuda" 2>&1); then
    echo "trained on CUDA without a GPU" >&2
    return 1
  fi
  echo "on CUDA: $message"
}

unmount() {
  if mountpoint -q "$directory/proc"; then umount "$directory/proc"; fi
}

[ $# -gt 0 ] || set -- trixie sid
skipped=()
for suite in "$@"; do
  directory=$suites/$suite
  if [ "$(id -u)" -ne 0 ]; then
    skip "debootstrap and chroot need root"
    continue
  elif [ ! -e "$directory/etc/debian_version" ] && ! make_suite "$suite" "$directory"; then
    skip "debootstrap cannot make the suite"
    continue
  elif ! mountpoint -q "$directory/proc" && ! mount -t proc proc "$directory/proc"; then
    skip "/proc cannot be mounted"
    continue
  fi
  trap unmount EXIT
  accept_old_mirror "$directory"
  copy_source "$directory/lrfinder"
  echo "Testing on $suite"
  case $suite in
    bullseye)
      # That suite has no CLI11.
      in_suite LRFINDER_TRAINING=OFF LRFINDER_BUILD_CLI=OFF /lrfinder/tests/run.sh
      check_deb
      ;;
    *-cuda)
      install_cuda
      run_tests
      check_cuda
      ;;
    *) run_tests ;;
  esac
  unmount
done
[ ${#skipped[@]} -eq 0 ] || echo "NOT TESTED: ${skipped[*]}" >&2
