# shellcheck shell=bash
# Set-up for the run scripts of examples and tests, which source it: makes sure that the tools and
# LibTorch are there, installing by apt what is missing, and configures build/.
#
#   bootstrap PACKAGE...        the tools, LibTorch (not with LRFINDER_TRAINING=OFF in the
#                               environment), and these Debian packages where their programs or
#                               files are missing
#   build TARGETS [OPTIONS]     configures build/ with these CMake options and builds the targets
#
# An existing LibTorch is used where there is one: Torch_DIR and CMAKE_PREFIX_PATH, the system's,
# that of python3's torch package.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What shows that a Debian package, or what it would bring, is there.
is_there() {
  case $1 in
    g++) command -v "${CXX:-c++}" || command -v g++ || command -v clang++ ;;
    cmake) command -v cmake ;;
    ninja-build) command -v ninja ;;
    gnuplot-nox) command -v gnuplot ;;
    catch2) first_of /usr/{,local/}{lib,lib/*,share}/cmake/Catch2/Catch2Config.cmake ;;
    libcli11-dev) first_of /usr/{,local/}{lib,lib/*,share}/cmake/CLI11/CLI11Config.cmake ;;
    nlohmann-json3-dev) first_of /usr/{,local/}{lib,lib/*,share}/cmake/nlohmann_json/nlohmann_jsonConfig.cmake ;;
    libtorch-dev) has_libtorch ;;
    libgloo-dev) first_of /usr/{,local/}include/gloo/config.h || has_other_libtorch ;;
    libopenblas0-pthread) first_of /usr/lib/*/libopenblas*.so* ;;
    *) command -v "$1" ;;
  esac >/dev/null 2>&1
}

first_of() { # the first of the paths that exists
  local path
  for path in "$@"; do
    if [ -e "$path" ]; then
      echo "$path"
      return
    fi
  done
  return 1
}

has_libtorch() {
  if [ -n "${Torch_DIR:-}" ] && [ -e "$Torch_DIR/TorchConfig.cmake" ]; then return; fi
  local prefix prefixes
  IFS=:\; read -ra prefixes <<<"${CMAKE_PREFIX_PATH:-}"
  for prefix in "${prefixes[@]}" /usr /usr/local; do
    first_of "$prefix"/{share,lib,lib/*}/cmake/Torch/TorchConfig.cmake "$prefix/Torch/TorchConfig.cmake" && return
  done
  python3 -c 'import os, torch
include = os.path.join(os.path.dirname(torch.__file__), "include/torch/csrc/api/include")
raise SystemExit(not os.path.exists(include + "/torch/all.h"))'
}

has_other_libtorch() { # one that Debian's packages do not go with
  has_libtorch && ! first_of /usr/lib/*/libtorch_cpu.so
}

bootstrap() {
  local package missing=() wanted=(g++ cmake ninja-build "$@")
  [ "${LRFINDER_TRAINING:-ON}" = OFF ] || wanted+=(libtorch-dev)
  for package in "${wanted[@]}"; do
    is_there "$package" || missing+=("$package")
  done
  # Debian's LibTorch takes its matrix products from whichever BLAS there is; without OpenBLAS it
  # is the reference one, which is many times slower.
  if [ -n "$(first_of /usr/lib/*/libtorch_cpu.so)" ] || [[ " ${missing[*]} " == *" libtorch-dev "* ]]; then
    is_there libopenblas0-pthread || missing+=(libopenblas0-pthread)
  fi
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

install_packages() {
  local as_root=()
  if ! command -v apt-get >/dev/null; then
    cannot_install "$*" "there is no apt-get"
  elif [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || cannot_install "$*" "apt-get needs root, and there is no sudo"
    as_root=(sudo)
  fi
  echo "Installing what is missing: $*"
  if ! "${as_root[@]}" apt-get update -qq ||
    ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
      --no-install-recommends "$@" >/dev/null </dev/null; then
    cannot_install "$*" "apt-get failed"
  fi
}

cannot_install() {
  echo "Missing, by the names of their Debian packages: $1" >&2
  echo "They cannot be installed here ($2)." >&2
  if [[ " $1 " == *" libtorch-dev "* ]]; then
    cat >&2 <<END
Any of these brings LibTorch (libtorch-dev):
  - Debian, Ubuntu: apt-get install libtorch-dev libopenblas0-pthread
  - Python's torch: pip install torch (found by itself when python3 can import it)
  - an unpacked LibTorch: CMAKE_PREFIX_PATH=/path/to/libtorch $0
END
  fi
  exit 1
}

build() {
  local targets=$1 build_dir=$root/build configuration=()
  shift
  if [ ! -e "$build_dir/CMakeCache.txt" ]; then
    # -O0, unless CXXFLAGS knows better: compiling takes longer than running, and what runs long is
    # inside LibTorch.
    local optimise=-O0
    [[ ${CXXFLAGS:-} != *-O* ]] || optimise=
    configuration=(-G Ninja -DCMAKE_BUILD_TYPE=Release "-DCMAKE_CXX_FLAGS_RELEASE=$optimise")
  fi
  cmake -S "$root" -B "$build_dir" "${configuration[@]}" "$@"
  # shellcheck disable=SC2086 # several targets are several words
  cmake --build "$build_dir" --parallel "$(nproc)" --target $targets
}
