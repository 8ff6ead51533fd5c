#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/error.hpp>
#include <lrfinder/ranks.hpp>
#include <lrfinder/snapshot/restore_errors.hpp>

namespace lrfinder::detail {

/// Where in a test the ranks check each other.
enum class SyncPoint { start, agreed, backward, measured, decision, trial, end };

/// Tells the ranks of a test whether all of them are still there and well, so that none waits for
/// one that is gone.
///
/// A health check is one small sum over all ranks. All ranks take part in the same checks, whatever
/// happens: user code runs only between checks, and every other collective follows a check that
/// found all well, with no user code in between. So a rank whose user code throws knows what the
/// others do next, a check, and takes part in it to report its failure (leave()). All then learn
/// which rank failed and why, and end. A rank that dies or stalls is missing in a collective, which
/// the process group reports; after that no further collective is tried. Ranks at different places
/// of the test learn that too.
class HealthCheck {
 public:
  /// Most values that a check can sum.
  static constexpr std::size_t max_values = 56;

  /// Null: this process alone.
  explicit HealthCheck(std::shared_ptr<Ranks> ranks) : ranks_(std::move(ranks)) {}

  /// True where there are no ranks; one rank alone is not alone in this sense.
  bool alone() const noexcept { return !ranks_; }
  std::int64_t rank() const { return ranks_ ? ranks_->rank() : 0; }
  std::int64_t size() const { return ranks_ ? ranks_->size() : 1; }

  /// Waits for all ranks. Returns the sums of their values, the same bits on every rank.
  ///
  /// Throws RankFailed when one of them has left, died, not come in time or come from elsewhere.
  std::vector<double> operator()(SyncPoint point, std::vector<double> values = {}) {
    if (!ranks_) return values;
    const std::size_t count = values.size();
    values.resize(max_values);
    values.resize(max_values + places, 0);
    values[max_values + static_cast<std::size_t>(point)] = 1;
    if (!all_well(values)) {
      const auto [rank, message] = failure(std::nullopt);
      std::ostringstream text;
      text << "LRFinder: rank " << rank << " of " << size()
           << " ended the test by an exception: " << message;
      throw RankFailed(text.str(), rank);
    }
    require_same_point(values);
    values.resize(count);
    return values;
  }

  /// Runs collectives that every rank is known to run: right after a check, without user code.
  ///
  /// Throws RankFailed with the message of whatever ends them, and what the ranks were `doing`.
  template <class Collectives>
  void all(const char* doing, Collectives&& collectives) {
    try {
      collectives(*ranks_);
    } catch (...) {
      over_ = true;
      std::ostringstream text;
      text
          << "LRFinder: rank " << rank() << " of " << size() << " lost the others while " << doing
          << "; one of them has died, or did not come within the timeout of the process group. The "
             "process group says: "
          << message_of(std::current_exception());
      throw RankFailed(text.str());
    }
  }

  /// The last check: a failure after it does not concern the other ranks.
  void end() {
    (*this)(SyncPoint::end);
    over_ = true;
  }

  /// Tells the others, at their next check, that this rank ends by an exception. Does nothing where
  /// they know already, or cannot be reached.
  void leave(const std::exception_ptr& exception) noexcept {
    if (!ranks_ || over_) return;
    try {
      std::vector<double> no_values(max_values + places);
      all_well(no_values, /*i_am=*/false);
      failure(message_of(exception));
    } catch (...) {  // the exception that led here says more
    }
  }

 private:
  static constexpr std::size_t longest_message = 1000;
  static constexpr std::size_t places = 7;
  static constexpr char failed = '!';  // in front of a message, which may be empty

  // Sums as many values as there can be, and behind them the number of ranks that are not well: the
  // size of the sum must not depend on where a rank is, which the others do not know.
  bool all_well(std::vector<double>& values, bool i_am = true) {
    values.push_back(i_am ? 0 : 1);
    all("checking that all ranks are well",
        [&](Ranks& ranks) { values = ranks.sum(std::move(values)); });
    over_ = values.back() > 0;
    return !over_;
  }

  // For example, an optimizer of a user's own evaluates its closure more often on one rank.
  void require_same_point(const std::vector<double>& sums) {
    static constexpr const char* words[places] = {"before the test",
                                                  "after the comparison of settings",
                                                  "after a backward pass",
                                                  "after a validation",
                                                  "after the callback",
                                                  "in trials of their own",
                                                  "at the end"};
    std::ostringstream where;
    std::size_t different = 0;
    for (std::size_t place = 0; place < places; ++place) {
      const double there = sums[max_values + place];
      if (there > 0) where << (different++ > 0 ? ", " : "") << there << ' ' << words[place];
    }
    if (different == 1) return;
    over_ = true;
    throw RankFailed("LRFinder: the ranks are out of step (" + where.str() +
                     "); all have to make the same calls, and their optimizers to evaluate the "
                     "loss equally often");
  }

  // The first rank that failed, and what it says: all ranks come here with their own failure.
  std::pair<std::int64_t, std::string> failure(const std::optional<std::string>& mine) {
    std::vector<std::string> texts;
    all("learning why a rank failed",
        [&](Ranks& ranks) { texts = ranks.gather(mine ? failed + *mine : "", longest_message); });
    const auto first = std::find_if(texts.begin(), texts.end(),
                                    [](const std::string& text) { return !text.empty(); });
    return {first - texts.begin(), first != texts.end() ? first->substr(1) : ""};
  }

  std::shared_ptr<Ranks> ranks_;
  bool over_ = false;
};

}  // namespace lrfinder::detail
