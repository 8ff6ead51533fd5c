#!/usr/bin/env bash
# What a machine with a GPU can tell about lrfinder, by one command and in one report: which tests fail
# on the device, how fast range tests and searches are there, and how that compares.
#
#   benchmarks/gpu.sh [--device cuda] [--minutes 8] [REPORT]      REPORT: default gpu_report.md
#
# Needs a C++ compiler, CMake, ninja and LibTorch, for example that of Python's torch. Installs and fetches
# nothing. LRFINDER_DEPENDENCIES names a folder with what else there may be, by the folder's bin, lib,
# include and python: Catch2 (without it there are no tests), gnuplot, pytorch-lr-finder.
#
# Each step has its time, and a log in build-gpu/logs. A step that fails does not end the run. The report
# is written anew after each.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

device=cuda
minutes=8
report=gpu_report.md
while [ $# -gt 0 ]; do
  case $1 in
    --device) device=${2:?--device needs a name} && shift ;;
    --minutes) minutes=${2:?--minutes needs a number} && shift ;;
    -*) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit 2 ;;
    *) report=$1 ;;
  esac
  shift
done
folder=build-gpu
logs=$folder/logs
mkdir -p "$logs"
rm -f "$logs"/*
dependencies=${LRFINDER_DEPENDENCIES:-}
if [ -n "$dependencies" ]; then
  dependencies=$(realpath "$dependencies")
  export PATH=$dependencies/bin:$PATH PYTHONPATH=$dependencies/python${PYTHONPATH:+:$PYTHONPATH}
  export CMAKE_PREFIX_PATH=$dependencies${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}
fi
export LRFINDER_TEST_DEVICE=$device
jobs=$(nproc)
summary=()
sections=()

left() { echo $((minutes * 60 - SECONDS)); }

write_report() {
  {
    printf '# lrfinder on %s\n\n' "$device"
    cat "$logs/machine.md"
    printf '\n| step | result | seconds |\n|---|---|---|\n'
    printf '%s\n' "${summary[@]}"
    [ ${#sections[@]} -eq 0 ] || cat "${sections[@]}"
  } >"$report"
}

# A section of the report: a title, and what a command prints.
section() { # section NAME TITLE COMMAND...
  local file=$logs/$1.md
  { printf '\n## %s\n\n' "$2" && "${@:3}"; } >"$file"
  sections+=("$file")
  write_report
}

quote() { # quote LINES FILE: the end of a file, as text, without the stacks of LibTorch's errors
  printf '```\n'
  grep -v '^frame #' "$2" | tail -n "$1" | cut -c1-300
  printf '```\n'
}

# Runs a command for so many seconds at most, and notes how it ended.
step() { # step NAME SECONDS COMMAND...
  local name=$1 limit=$2 start=$SECONDS status=0 result=passed
  shift 2
  [ "$limit" -le "$(left)" ] || limit=$(left)
  if [ "$limit" -lt 5 ]; then
    summary+=("| $name | not run: no time left | |")
    write_report
    return 1
  fi
  printf '%3d s: %s\n' "$SECONDS" "$name"
  timeout --kill-after=5 "$limit" "$@" >"$logs/$name.log" 2>&1 </dev/null || status=$?
  case $status in
    0) ;;
    124 | 137) result="ended by its time limit" ;;
    *) result="FAILED ($status)" ;;
  esac
  summary+=("| $name | $result | $((SECONDS - start)) |")
  write_report
  return $status
}

skip() { # skip NAME REASON
  summary+=("| $1 | not run: $2 | |")
  write_report
}

machine() {
  printf '| what | found |\n|---|---|\n'
  printf '| commit | %s |\n' "$(git describe --always --dirty 2>/dev/null || echo unknown)"
  printf '| date | %s |\n' "$(date -u '+%Y-%m-%d %H:%M')"
  printf '| card, driver, memory | %s |\n' \
    "$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null || echo 'no nvidia-smi')"
  printf '| processor | %s, %s cores |\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$jobs"
  printf '| compiler | %s |\n' "$("${CXX:-c++}" --version | head -n 1)"
  printf '| CMake | %s |\n' "$(cmake --version | head -n 1)"
  printf '| Python'\''s torch | %s |\n' "$(python3 -c 'import torch
print(torch.__version__, "for CUDA", torch.version.cuda, "with", torch.cuda.device_count(), "devices")' 2>/dev/null || echo none)"
}

# How many tests have trained on the device, and which have failed.
test_results() {
  local log=$logs/tests.log
  [ "$device" = cpu ] || printf 'On the device: %d. On the CPU, by their tags:\n\n' \
    "$(sed -n 's/^[0-9]*: tests on .*: \([0-9]*\); not there:.*/\1/p' "$log" | awk '{ sum += $1 } END { print sum + 0 }')"
  sed -n 's/.*; not there: [0-9]* \[\(.*\)\].*/\1/p' "$log" | sort | uniq -c | sed 's/^ */- /'
  printf '\n'
  grep -E 'tests passed,|tests failed out of' "$log" || echo "The tests did not come to their end."
  printf '\n'
  sed -n '/The following tests FAILED/,/^Errors while/s/^\t */- /p' "$log"
  grep -E -A8 '^[0-9]+: .*FAILED:' "$log" | head -n 200 >"$logs/failures"
  [ ! -s "$logs/failures" ] || { printf '\n' && quote 200 "$logs/failures"; }
}

machine >"$logs/machine.md"
write_report

configure() {
  local optimise
  optimise=$(grep -o -- "-O[0-9s]" <<<"${CXXFLAGS:-}" || echo -O1)
  cmake -S . -B $folder -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE="$optimise" \
    -DLRFINDER_BUILD_BENCHMARKS=ON -DLRFINDER_BUILD_EXAMPLES=ON -DLRFINDER_BUILD_CLI=OFF \
    -DLRFINDER_BUILD_TESTS="$1"
}
export -f configure
export folder
targets=(example_digits range_test_speed against_python)
if step configure 90 bash -c 'configure ON'; then
  targets=(training_tests operator_fault_tests "${targets[@]}")
else
  section configure "The tests are not built" quote 15 "$logs/configure.log"
  step configure_without_tests 90 bash -c 'configure OFF' || section configure_without_tests "Nothing is built" quote 30 "$logs/configure_without_tests.log"
fi
# What can be built is built.
step build 240 cmake --build $folder --parallel "$jobs" --target "${targets[@]}" -- -k 0 ||
  section build "What did not build" bash -c "grep -E 'error|FAILED' $logs/build.log | cut -c1-300 | head -n 60"

programs=$folder/benchmarks
if [ ! -x $programs/range_test_speed ]; then
  section device "Nothing has run: the programs are not built" quote 30 "$logs/build.log"
  exit 1
elif ! step device 60 $programs/range_test_speed --device "$device" --filter ^none$; then
  [ ! -e "$logs/device.log" ] || section device "There is no device $device" quote 10 "$logs/device.log"
  exit 1
fi

unit_tests() {
  cd $folder && ctest --label-regex '^unit$' "$@" --parallel "$jobs" --timeout 60 --verbose
}
export -f unit_tests
export jobs
if [ -x $folder/tests/training_tests ]; then
  # The tests run side by side, and are too small to gain from threads of their own.
  OMP_NUM_THREADS=1 step tests 120 bash -c "unit_tests --exclude-regex '^a fault in any operator'"
  section tests "Tests" test_results
else
  skip tests "they were not built; Catch2 has to be in LRFINDER_DEPENDENCIES"
fi
step speed 100 $programs/range_test_speed --device "$device" --seconds 85
section speed "Range tests and searches beside plain loops" cat "$logs/speed.log"
step python 40 benchmarks/against_python.sh $programs/against_python 5 "$device"
section python "Beside pytorch-lr-finder" quote 10 "$logs/python.log"
step demo 40 $folder/examples/digits --device "$device"
section demo "The demo" quote 40 "$logs/demo.log"
if [ -x $folder/tests/operator_fault_tests ]; then
  OMP_NUM_THREADS=1 step faults 90 $folder/tests/operator_fault_tests
  section faults "Faults in operators" quote 30 "$logs/faults.log"
fi
if ! command -v compute-sanitizer >/dev/null; then
  skip sanitizer "there is no compute-sanitizer"
elif [ -x $folder/tests/training_tests ]; then
  step sanitizer 60 compute-sanitizer --error-exitcode 9 $folder/tests/training_tests 'range_test restores everything*'
  section sanitizer "compute-sanitizer" quote 30 "$logs/sanitizer.log"
fi
printf 'written: %s\n' "$report"
! grep -q FAILED <<<"${summary[*]}"
