#!/usr/bin/env bash
# Builds and runs a user's project against lrfinder in every way that there is: add_subdirectory,
# FetchContent, the single headers, and find_package and pkg-config after cmake --install to a prefix
# that is then moved; with the part that needs no LibTorch and with the whole. `package`: the same of
# what cpack makes, installed in a folder.
#
#   tests/consume/run.sh [curve] [training] [package]      default: curve training
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v ninja >/dev/null && export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}

# Runs a command and shows what it printed only when it fails.
quietly() {
  "$@" >"$work/log" 2>&1 || { cat "$work/log"; echo "failed: $*" >&2; exit 1; }
}

consume() { # consume COMPONENT VIA [CMake options]
  local component=$1 via=$2 build
  build=$(mktemp -d "$work/consumer-XXXXXX")
  shift 2
  quietly cmake -S "$here" -B "$build" -DLRFINDER="$source" -DVIA="$via" -DCOMPONENT="$component" "$@"
  quietly cmake --build "$build"
  [[ $* != *TARGET=compiled* ]] || via+=", compiled apart"
  echo "$component by $via: $("$build/consumer")"
}

# A user's program that is compiled without CMake.
consume_by_pkg_config() { # consume_by_pkg_config PREFIX
  if ! command -v pkg-config >/dev/null; then
    echo "NOT RUN: curve by pkg-config, which is not here" >&2
    return
  fi
  local flags
  flags=$(PKG_CONFIG_PATH=$1/share/pkgconfig pkg-config --cflags "lrfinder-curve >= 0.1")
  # shellcheck disable=SC2086 # several flags are several words
  quietly "${CXX:-c++}" -std=c++17 $flags "$here/curve.cpp" -o "$work/by-pkg-config"
  echo "curve by pkg-config: $("$work/by-pkg-config")"
}

# What cpack makes is installed by dpkg into a folder, and unpacked.
check_packages() {
  # By make, with which cpack builds all targets unless it is told otherwise.
  quietly cmake -S "$source" -B "$work/package" -G "Unix Makefiles" -DLRFINDER_TRAINING=OFF -DLRFINDER_BUILD_CLI=ON
  (cd "$work/package" && quietly cpack)
  [ -e "$work/package/examples/cli/lrfinder" ] || { echo "cpack has not built the command" >&2; exit 1; }
  if [ -n "$(find "$work/package/tests" -name '*.o')" ]; then
    echo "cpack has built tests" >&2
    exit 1
  fi
  local root=$work/root
  mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$work/unpacked"
  touch "$root/var/lib/dpkg/status"
  # The libraries that it depends on are not in this folder.
  quietly dpkg --root="$root" --force-depends --force-not-root --force-script-chrootless \
    --install "$work"/package/lrfinder_*.deb
  tar -xzf "$work"/package/lrfinder-*.tar.gz -C "$work/unpacked" --strip-components=1
  local prefix
  for prefix in "$root/usr" "$work/unpacked"; do
    [ "$prefix" = "$work/unpacked" ] && echo "From the .tar.gz:" || echo "From the .deb:"
    "$prefix/bin/lrfinder" plan --help >/dev/null
    consume curve find_package -DCMAKE_PREFIX_PATH="$prefix"
    consume_by_pkg_config "$prefix"
  done
  dpkg-deb --info "$work"/package/lrfinder_*.deb | grep -E "Depends|Recommends|Suggests|Architecture"
}

# What a user sees who has no LibTorch: the ways to get it, or a package that is not found.
expect_message_without_torch() { # expect_message_without_torch COMMAND...
  if "$@" -DCMAKE_DISABLE_FIND_PACKAGE_Torch=ON -DLRFINDER_PYTHON=false >"$work/log" 2>&1; then
    echo "configured without LibTorch: $*" >&2
    exit 1
  fi
  for way in libtorch-dev "pip install torch" CMAKE_PREFIX_PATH LRFINDER_TRAINING; do
    grep -q -- "$way" "$work/log" || { cat "$work/log"; echo "no word of $way" >&2; exit 1; }
  done
}

# A package of another version, or without the component, is not taken.
expect_not_found() { # expect_not_found NAME [CMake options]
  local build=$work/not-found-$1
  shift
  if cmake -S "$here" -B "$build" -DVIA=find_package -DCMAKE_PREFIX_PATH="$work/prefix" "$@" >"$work/log" 2>&1; then
    echo "found, but should not be: $*" >&2
    exit 1
  fi
  grep -q lrfinder "$work/log" || { cat "$work/log"; exit 1; }
}

# Installed without LibTorch, and moved: neither matters to the package.
quietly cmake -S "$source" -B "$work/lrfinder" -DLRFINDER_TRAINING=OFF -DLRFINDER_BUILD_TESTS=OFF
quietly cmake --install "$work/lrfinder" --prefix "$work/first"
mv "$work/first" "$work/prefix"
if grep -rnE "(^|[^[:alnum:]_./}-])($source|$work)/" "$work/prefix"; then
  echo "the installed package names paths of this machine" >&2
  exit 1
fi

[ $# -gt 0 ] || set -- curve training
quietly cmake --build "$work/lrfinder" --target single_include
for component in "$@"; do
  if [ "$component" = package ]; then
    check_packages
    continue
  fi
  consume "$component" add_subdirectory
  consume "$component" FetchContent
  consume "$component" find_package -DCMAKE_PREFIX_PATH="$work/prefix"
  consume "$component" single_include -DLRFINDER="$work/lrfinder/single_include"
  [ "$component" = training ] || { consume_by_pkg_config "$work/prefix"; continue; }
  consume "$component" add_subdirectory -DTARGET=compiled
  consume "$component" find_package -DTARGET=compiled -DCMAKE_PREFIX_PATH="$work/prefix"
done

expect_not_found newer -DCOMPONENT=curve -DVERSION=0.99
expect_not_found component -DCOMPONENT=nonsense
echo "another version, or a component that there is not: not found"

expect_message_without_torch cmake -S "$source" -B "$work/no-torch"
expect_message_without_torch cmake -S "$here" -B "$work/no-torch-package" -DVIA=find_package \
  -DCOMPONENT=training -DCMAKE_PREFIX_PATH="$work/prefix"
echo "without LibTorch: a message that says how to get it"
