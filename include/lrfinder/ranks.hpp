#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <torch/torch.h>

namespace lrfinder {

/// The processes that train one model together, each on its share of the data, or that try learning
/// rates of their own side by side, as one of them sees it. `distributed()` in
/// `<lrfinder/distributed.hpp>` makes one from a process group of c10d; nothing here needs c10d.
///
/// Every operation is a collective: all ranks call the same ones in the same order. Where one
/// cannot be completed, because a rank has died or does not come within the time limit of the
/// engine underneath, it throws; what it throws is passed on in the words of a RankFailed.
class Ranks {
 public:
  Ranks() = default;
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;
  virtual ~Ranks() = default;

  /// Which one this process is, from 0 to size() - 1.
  virtual std::int64_t rank() const = 0;

  /// How many there are.
  virtual std::int64_t size() const = 0;

  /// The sums over all ranks of a few numbers, the same bits on every rank.
  virtual std::vector<double> sum(std::vector<double> values) = 0;

  /// The texts of all ranks, by rank, each cut to `length` bytes.
  virtual std::vector<std::string> gather(const std::string& text, std::size_t length) = 0;

  /// Begins to sum a tensor over all ranks in place: contiguous, real numbers, on the device of
  /// the model. Returns what waits for the sum; until then the tensor is not touched.
  virtual std::function<void()> begin_sum(const torch::Tensor& values) = 0;

  /// Gives all ranks the bytes of rank 0: a contiguous tensor of `torch::kByte`, of one size on all
  /// ranks.
  virtual void broadcast(const torch::Tensor& bytes) = 0;
};

}  // namespace lrfinder
