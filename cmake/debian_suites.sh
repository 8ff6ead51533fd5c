#!/usr/bin/env bash
# Runs all tests and examples on other Debian suites, each with its own compiler, CMake, Catch2 and
# LibTorch: trixie (LibTorch 2.6) and sid (the newest that Debian has). Warnings are errors there.
#
#   cmake/debian_suites.sh [SUITE...]      default: trixie sid
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
  command -v debootstrap >/dev/null ||
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends debootstrap; } || return
  echo "Making $1 in $2"
  mkdir -p "$2"
  debootstrap --variant=minbase "$1" "$2" >"$2.log" 2>&1 || { tail -n 5 "$2.log"; rm -rf "$2"; return 1; }
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
  # -O0: most of the time goes into compiling; what runs long is inside LibTorch.
  chroot "$directory" /usr/bin/env CXXFLAGS=-O0 LRFINDER_WARNINGS_AS_ERRORS=ON /lrfinder/tests/run.sh
  unmount
done
[ ${#skipped[@]} -eq 0 ] || echo "NOT TESTED: ${skipped[*]}" >&2
