// A fault in every operator that LibTorch runs during a test, those within operators and those of
// the restore included, one at a time.

#include <catch2.hpp>
#include <cstdint>
#include <faulty_training.hpp>
#include <stdexcept>
#include <string>

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>
#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

namespace {

struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

thread_local std::int64_t operators_to_go = 0;  // up to the fault; negative: none comes

constexpr auto mode = c10::DispatchKey::TESTING_ONLY_GenericMode;

void count(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  if (operators_to_go-- == 0) throw Fault(toString(op.operator_name()));
  op.redispatchBoxed(keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, mode), stack);
}

TORCH_LIBRARY_IMPL(_, TESTING_ONLY_GenericMode, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&count>());
}

struct Outcome {
  bool fault = false;     // there were enough operators for one
  bool reported = false;  // a SnapshotError
  std::string error;
};

Outcome run_with_fault_in(std::int64_t number, FaultyTraining& training) {
  Outcome outcome;
  operators_to_go = number;
  try {
    const c10::impl::IncludeDispatchKeyGuard guard(mode);
    training();
  } catch (const lrfinder::SnapshotError& error) {
    outcome.reported = true;
    outcome.error = error.what();
  } catch (const std::exception& error) {
    outcome.error = error.what();
  }
  outcome.fault = operators_to_go < 0;
  operators_to_go = -1;
  return outcome;
}

}  // namespace

TEST_CASE("a fault in any operator leaves everything restored, or says what is not") {
  using Kind = FaultyTraining::Kind;
  using Test = FaultyTraining::Test;
  const auto kind = GENERATE(Kind::sgd, Kind::adam, Kind::lbfgs);
  const auto snapshot =
      GENERATE(lrfinder::Snapshot::device, lrfinder::Snapshot::host, lrfinder::Snapshot::disk);
  const auto test = GENERATE(Test::range_test, Test::validation, Test::find);
  // One of each is enough where trials repeat the same operators.
  if (test == Test::find && (kind != Kind::sgd || snapshot != lrfinder::Snapshot::device)) return;
  const std::int64_t step = every_fault() ? 1 : test == Test::find ? 41 : 7;
  std::int64_t faults = 0, reported = 0;
  for (std::int64_t number = 0;; number += step, ++faults) {
    FaultyTraining training(kind, test, snapshot);
    const Outcome outcome = run_with_fault_in(number, training);
    if (!outcome.fault) {
      CHECK(outcome.error == "");
      break;
    }
    const std::string difference = training.not_restored();
    CAPTURE(number, outcome.error, difference);
    if (outcome.reported) {
      ++reported;
      CHECK_THAT(outcome.error, contains("could not be restored") || contains("cannot be saved"));
    } else if (outcome.error.empty() || !difference.empty()) {
      FAIL_CHECK("a fault without effect, or not restored and not said");
    }
  }
  CAPTURE(faults, reported);
  CHECK(faults > 50);
  CHECK(reported < faults / 5);
  if (every_fault()) WARN("faults: " << faults << ", reported: " << reported);
}
