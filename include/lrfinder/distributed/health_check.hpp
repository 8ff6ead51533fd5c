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

#include <lrfinder/distributed/ranks.hpp>
#include <lrfinder/error.hpp>

namespace lrfinder::detail {

/// What an exception says, without the stack that LibTorch adds to its own.
inline std::string message_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

/// Where in a test a roll call is held.
enum class SyncPoint { start, agreed, backward, measured, decision, end };

/// How the ranks of a test find out whether all of them are still there and well, so that none
/// waits for one that is gone.
///
/// A roll call is one small sum over all ranks. All ranks hold the same ones, whatever happens:
/// user code runs only between roll calls, and every other collective follows one that found all
/// well, with no user code in between. So a rank whose user code throws knows what the others do
/// next, a roll call, and joins it to say so (leave()). All then learn who failed and why, and end.
/// A rank that dies or stalls is missing in a collective, which the engine underneath reports;
/// after that no further collective is tried. Ranks that hold it at different places learn that
/// too.
class HealthCheck {
 public:
  /// Most figures that a roll call brings.
  static constexpr std::size_t max_values = 57;

  /// Without ranks, a roll call of this process alone.
  explicit HealthCheck(std::shared_ptr<Ranks> ranks) : ranks_(std::move(ranks)) {}

  /// True where there are no ranks; one rank alone is not alone in this sense.
  bool alone() const noexcept { return !ranks_; }
  std::int64_t rank() const { return ranks_ ? ranks_->rank() : 0; }
  std::int64_t size() const { return ranks_ ? ranks_->size() : 1; }

  /// Waits for all ranks. Returns the sums of their figures, the same bits on every rank.
  ///
  /// Throws RankFailed when one of them has left, died, not come in time or come from elsewhere.
  std::vector<double> operator()(SyncPoint place, std::vector<double> figures = {}) {
    if (!ranks_) return figures;
    const std::size_t count = figures.size();
    figures.resize(max_values);
    figures.resize(max_values + places, 0);
    figures[max_values + static_cast<std::size_t>(place)] = 1;
    if (!all_well(figures)) {
      const auto [rank, message] = failure(std::nullopt);
      std::ostringstream text;
      text << "range_test: rank " << rank << " of " << size()
           << " ended the test by an exception: " << message;
      throw RankFailed(text.str(), rank);
    }
    require_one_place(figures);
    figures.resize(count);
    return figures;
  }

  /// Runs collectives that every rank is known to run: right after a roll call, without user code.
  ///
  /// Throws RankFailed with the words of whatever ends them, saying that this happened while
  /// `doing` something.
  template <class Collectives>
  void all(const char* doing, Collectives&& collectives) {
    try {
      collectives(*ranks_);
    } catch (...) {
      over_ = true;
      std::ostringstream text;
      text
          << "range_test: rank " << rank() << " of " << size() << " lost the others while " << doing
          << "; one of them has died, or did not come within the timeout of the process group. The "
             "process group says: "
          << message_of(std::current_exception());
      throw RankFailed(text.str());
    }
  }

  /// The last roll call: what goes wrong after it is no longer the matter of the others.
  void end() {
    (*this)(SyncPoint::end);
    over_ = true;
  }

  /// Tells the others, at their next roll call, that this rank ends by an exception. Does nothing
  /// where they know already, or cannot be reached.
  void leave(const std::exception_ptr& exception) noexcept {
    if (!ranks_ || over_) return;
    try {
      std::vector<double> no_figures(max_values + places);
      all_well(no_figures, /*i_am=*/false);
      failure(message_of(exception));
    } catch (...) {  // the exception that led here says more
    }
  }

 private:
  static constexpr std::size_t longest_message = 1000;
  static constexpr std::size_t places = 6;
  static constexpr char failed = '!';  // in front of a message, which may be empty

  // Sums the figures, all there can be of them, and behind them the number of ranks that are not
  // well: what a rank brings must not depend on where it is, which the others do not know.
  bool all_well(std::vector<double>& figures, bool i_am = true) {
    figures.push_back(i_am ? 0 : 1);
    all("calling the roll", [&](Ranks& ranks) { figures = ranks.sum(std::move(figures)); });
    over_ = figures.back() > 0;
    return !over_;
  }

  // For example, an optimizer of a user's own evaluates its closure more often on one rank.
  void require_one_place(const std::vector<double>& sums) {
    static constexpr const char* words[places] = {
        "before the test",       "after the comparison of settings",
        "after a backward pass", "after a validation",
        "after the callback",    "at the end"};
    std::ostringstream where;
    std::size_t different = 0;
    for (std::size_t place = 0; place < places; ++place) {
      const double there = sums[max_values + place];
      if (there > 0) where << (different++ > 0 ? ", " : "") << there << ' ' << words[place];
    }
    if (different == 1) return;
    over_ = true;
    throw RankFailed("range_test: the ranks are out of step (" + where.str() +
                     "); all have to make the same calls, and their optimizers to evaluate the "
                     "loss equally often");
  }

  // The first rank that failed, and what it says: all ranks come here with their own failure.
  std::pair<std::int64_t, std::string> failure(const std::optional<std::string>& mine) {
    std::vector<std::string> texts;
    all("hearing why a rank failed",
        [&](Ranks& ranks) { texts = ranks.gather(mine ? failed + *mine : "", longest_message); });
    const auto first = std::find_if(texts.begin(), texts.end(),
                                    [](const std::string& text) { return !text.empty(); });
    return {first - texts.begin(), first != texts.end() ? first->substr(1) : ""};
  }

  std::shared_ptr<Ranks> ranks_;
  bool over_ = false;
};

}  // namespace lrfinder::detail
