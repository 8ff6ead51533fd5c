// Memory that is not there: a fault in every allocation by operator new during a test, LibTorch's
// own included, one at a time, each in a process of its own.

#include <catch2.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <faulty_training.hpp>
#include <limits>
#include <map>
#include <new>
#include <sys/wait.h>
#include <unistd.h>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

namespace {

thread_local std::int64_t allocations_to_go = -1;  // up to the fault; negative: none comes

void* allocate(std::size_t size) {
  if (allocations_to_go >= 0 && allocations_to_go-- == 0) throw std::bad_alloc();
  if (void* const memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

// How a process ends.
enum Outcome { no_fault, threw_without_fault, restored, reported, not_restored, ended };

Outcome outcome_of(FaultyTraining& training, std::int64_t number) {
  bool said = false, threw = false;
  allocations_to_go = number;
  try {
    training();
  } catch (const lrfinder::SnapshotError&) {
    said = true;
  } catch (...) {  // LibTorch does without some of its memory, so nothing may be thrown either
    threw = true;
  }
  const bool fault = allocations_to_go < 0;
  allocations_to_go = -1;
  if (!fault) return threw || said ? threw_without_fault : no_fault;
  if (said) return reported;
  return training.not_restored().empty() ? restored : not_restored;
}

// Forks, so that what a fault leaves behind goes with the process, and what LibTorch ends by
// std::terminate() ends only that.
Outcome in_a_process(FaultyTraining& training, std::int64_t number) {
  const ::pid_t child = ::fork();
  if (child == 0) {
    std::set_terminate([] { std::_Exit(ended); });
    std::_Exit(outcome_of(training, number));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? static_cast<Outcome>(WEXITSTATUS(status)) : ended;
}

}  // namespace

TEST_CASE("a fault in any allocation leaves everything restored, or says what is not") {
  using Kind = FaultyTraining::Kind;
  using Test = FaultyTraining::Test;
  const auto test = GENERATE(Test::range_test, Test::validation, Test::race);
  const auto snapshot = GENERATE(lrfinder::Snapshot::device, lrfinder::Snapshot::disk);
  if (test == Test::race && snapshot != lrfinder::Snapshot::device) return;
  FaultyTraining training(Kind::sgd, test, snapshot);
  {
    // LibTorch makes what it makes once.
    FaultyTraining first(Kind::sgd, test, snapshot);
    first();
  }
  constexpr auto none = std::numeric_limits<std::int64_t>::max();
  if (in_a_process(training, none) == threw_without_fault) {
    WARN("skipped: LibTorch with CUDA does not train in a process that was forked");
    return;
  }
  std::map<Outcome, int> outcomes;
  const std::int64_t step = every_fault() ? 1 : test == Test::race ? 101 : 17;
  for (std::int64_t number = 0;; number += step) {
    const Outcome outcome = in_a_process(training, number);
    REQUIRE(outcome != threw_without_fault);
    if (outcome == no_fault) break;
    ++outcomes[outcome];
    if (outcome == not_restored) FAIL_CHECK("not restored, and not said: allocation " << number);
    if (outcome == ended) UNSCOPED_INFO("allocation " << number << " ends the process");
  }
  CAPTURE(outcomes[restored], outcomes[reported], outcomes[ended]);
  CHECK(outcomes[restored] > 50);
  if (every_fault())
    WARN("restored: " << outcomes[restored] << ", reported: " << outcomes[reported]
                      << ", ended the process: " << outcomes[ended]);
}
