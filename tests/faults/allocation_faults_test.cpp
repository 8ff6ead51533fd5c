// Memory that is not there: a fault in every allocation by operator new during a test, LibTorch's
// own included, one at a time.

#include <catch2.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <faulty_training.hpp>
#include <map>
#include <new>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

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

// What a test with a fault comes to; `ended`: LibTorch ended the process.
enum Outcome : char { no_fault, threw_without_fault, restored, reported, not_restored, ended };

// How a process that brings in faults ends.
enum ExitCode { all_done, terminated, cannot_train };

constexpr int most_processes = 1000;

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

// Brings a fault into every `step`-th allocation, from a number on, and writes what each comes to.
[[noreturn]] void bring_in_faults(FaultyTraining::Test test, lrfinder::Snapshot snapshot,
                                  std::int64_t number, std::int64_t step, int pipe) {
  const auto training = [&] { return FaultyTraining(FaultyTraining::Kind::sgd, test, snapshot); };
  std::set_terminate([] { std::_Exit(terminated); });
  try {
    training()();  // LibTorch makes what it makes once
    for (;; number += step) {
      FaultyTraining next = training();
      const Outcome outcome = outcome_of(next, number);
      if (::write(pipe, &outcome, 1) != 1) std::_Exit(cannot_train);
      if (outcome <= threw_without_fault) std::_Exit(all_done);
    }
  } catch (...) {  // a fault before has left LibTorch so
    std::_Exit(cannot_train);
  }
}

// What the faults come to, in their order, up to a test that has none. In processes of their own,
// as LibTorch ends some; this one must not train, or those that it forks cannot.
std::vector<Outcome> outcomes_of(FaultyTraining::Test test, lrfinder::Snapshot snapshot,
                                 std::int64_t step) {
  std::vector<Outcome> outcomes;
  for (int processes = 0; processes < most_processes; ++processes) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const ::pid_t child = ::fork();
    if (child == 0) {
      bring_in_faults(test, snapshot, static_cast<std::int64_t>(outcomes.size()) * step, step,
                      ends[1]);
    }
    ::close(ends[1]);
    for (Outcome outcome{}; ::read(ends[0], &outcome, 1) == 1;) outcomes.push_back(outcome);
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFEXITED(status));  // no signal
    if (WEXITSTATUS(status) == all_done) return outcomes;
    if (WEXITSTATUS(status) == terminated) outcomes.push_back(ended);
  }
  FAIL("too many processes ended");
  return outcomes;
}

}  // namespace

TEST_CASE("a fault in any allocation leaves everything restored, or says what is not") {
  using Test = FaultyTraining::Test;
  const auto test = GENERATE(Test::range_test, Test::validation, Test::find);
  const auto snapshot = GENERATE(lrfinder::Snapshot::device, lrfinder::Snapshot::disk);
  if (test == Test::find && snapshot != lrfinder::Snapshot::device) return;
  const std::int64_t step = every_fault() ? 1 : test == Test::find ? 101 : 17;
  std::map<Outcome, int> count;
  std::int64_t number = 0;
  for (const Outcome outcome : outcomes_of(test, snapshot, step)) {
    ++count[outcome];
    if (outcome == not_restored) FAIL_CHECK("not restored, and not said: allocation " << number);
    number += step;
  }
  CAPTURE(count[restored], count[reported], count[ended]);
  CHECK(count[no_fault] == 1);
  CHECK(count[restored] > (test == Test::find ? 100 : 30));
  CHECK(count[ended] < count[restored] / 10);
  if (every_fault())
    WARN("restored: " << count[restored] << ", reported: " << count[reported]
                      << ", ended the process: " << count[ended]);
}
