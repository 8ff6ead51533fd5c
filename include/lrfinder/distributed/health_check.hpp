#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/communicator.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/torch/compatibility.hpp>

namespace lrfinder::detail {

/// The points of a test at which the ranks check each other.
enum class SyncPoint : std::size_t { start, agreed, backward, measured, decision, trial, end };

/// The names of these points in messages.
inline constexpr const char* sync_point_names[] = {"before the test",
                                                   "after the comparison of settings",
                                                   "after a backward pass",
                                                   "after a validation",
                                                   "after the callback",
                                                   "in trials of their own",
                                                   "at the end"};

/// Tells the ranks of a test whether all of them still run, so that none waits for one that has
/// ended.
///
/// A health check is one small sum over all ranks. All ranks take part in the same checks. Every
/// other collective comes right after a check that found no failure, before any user code runs. So
/// if user code throws on one rank, the next collective of the other ranks is a check. In this
/// check, the failed rank reports why (leave()). All ranks then learn which rank failed and why,
/// and end. If a rank dies or stalls, the process group reports an error in the next collective.
/// After such an error, no rank starts another collective. A check also detects ranks that are at
/// different points of the test.
class HealthCheck {
 public:
  /// The maximum number of values that a check can sum.
  static constexpr std::size_t max_values = 57;

  /// `ranks`: null if this process runs alone.
  explicit HealthCheck(std::shared_ptr<Communicator> ranks) : ranks_(std::move(ranks)) {}

  /// True if `ranks` is null. A process group of one rank does not count as a single process.
  bool is_single_process() const noexcept { return !ranks_; }

  /// The rank of this process, and the number of ranks; 0 and 1 for a single process.
  std::int64_t rank() const { return ranks_ ? ranks_->rank() : 0; }
  std::int64_t size() const { return ranks_ ? ranks_->size() : 1; }

  /// Waits for all ranks. Returns the sums of their values, bitwise the same on every rank.
  ///
  /// Throws RankFailed if a rank has left, died, timed out, or is at another point of the test.
  std::vector<double> sum_if_all_well(SyncPoint point, std::vector<double> values = {}) {
    if (!ranks_) return values;
    const std::size_t count = values.size();
    values = check(std::move(values), point);
    require_same_point(values);
    values.resize(count);
    return values;
  }

  /// Runs a whole test, and returns its result. If it throws, the other ranks learn this and end.
  template <class Test>
  auto run(Test&& test) {
    try {
      return test();
    } catch (...) {
      leave(std::current_exception());
      throw;
    }
  }

  /// Runs collectives that every rank runs, right after a check and without user code in between.
  ///
  /// Throws RankFailed if they throw. The message names `doing`, which they did, and quotes theirs.
  template <class Collectives>
  void run_collectives(const char* doing, Collectives&& collectives) {
    try {
      collectives(*ranks_);
    } catch (...) {
      over_ = true;
      throw RankFailed(
          concat("LRFinder: rank ", rank(), " of ", size(), " lost the others while ", doing,
                 "; one of them has died, or did not come within the timeout of the process group. "
                 "The process group says: ",
                 message_of(std::current_exception())));
    }
  }

  /// The last check. A failure after it does not affect the other ranks.
  void end() {
    sum_if_all_well(SyncPoint::end);
    over_ = true;
  }

  /// Tells the other ranks, at their next check, that an exception ends this rank. Does nothing if
  /// they already know or cannot be reached.
  void leave(const std::exception_ptr& exception) noexcept {
    if (!ranks_ || over_) return;
    try {
      check({}, std::nullopt, message_of(exception));
    } catch (...) {  // `exception` says more
    }
  }

 private:
  static constexpr std::size_t longest_message = 1000;

  // Sums `max_values` values, then the number of ranks at each point, then the failures of each
  // rank. The size of the sum must be the same at all points, because a rank does not know where
  // the others are. A rank without a point has failed, and gives its `reason`.
  std::vector<double> check(std::vector<double> values, std::optional<SyncPoint> point,
                            std::string reason = {}) {
    constexpr std::size_t points = std::size(sync_point_names), failures = max_values + points;
    const auto me = static_cast<std::size_t>(rank());
    values.resize(failures + static_cast<std::size_t>(size()));
    values[point ? max_values + static_cast<std::size_t>(*point) : failures + me] = 1;
    run_collectives("checking that all ranks are well",
                    [&](Communicator& ranks) { values = ranks.sum(std::move(values)); });
    std::size_t failed = 0;
    while (failures + failed < values.size() && values[failures + failed] == 0) ++failed;
    if (failures + failed == values.size()) return values;
    over_ = true;
    // All other ranks add zeros, so the sums are the letters of the message of the failed rank.
    std::vector<double> letters(longest_message);
    if (failed == me) {
      reason.resize(std::min(reason.size(), longest_message));
      std::copy(reason.begin(), reason.end(), letters.begin());
    }
    run_collectives("learning why a rank failed",
                    [&](Communicator& ranks) { letters = ranks.sum(std::move(letters)); });
    std::string message;
    for (const double letter : letters) {
      if (letter != 0) message += static_cast<char>(letter);
    }
    throw RankFailed(concat("LRFinder: rank ", failed, " of ", size(),
                            " ended the test by an exception: ", message),
                     static_cast<std::int64_t>(failed));
  }

  // Fails, for example, if a user's optimizer evaluates its closure more often on one rank.
  void require_same_point(const std::vector<double>& sums) {
    std::string ranks_at;
    for (std::size_t point = 0; point < std::size(sync_point_names); ++point) {
      const double count = sums[max_values + point];
      if (count == static_cast<double>(size())) return;
      if (count > 0) {
        ranks_at += concat(ranks_at.empty() ? "" : ", ", count, ' ', sync_point_names[point]);
      }
    }
    over_ = true;
    throw RankFailed("LRFinder: the ranks are out of step (" + ranks_at +
                     "); all must make the same calls, and their optimizers must evaluate the "
                     "loss equally often");
  }

  std::shared_ptr<Communicator> ranks_;
  bool over_ = false;
};

}  // namespace lrfinder::detail
