#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <torch/torch.h>

namespace lrfinder {

/// The processes that train one model together, each on its share of the data, or that each try
/// learning rates of their own. `communicator()` in `<lrfinder/distributed.hpp>` makes a
/// Communicator from a process group of c10d. This header does not need c10d.
///
/// Every operation is a collective: all ranks call the same operations in the same order. An
/// operation throws if a rank has died or does not come within the time limit. The message of the
/// exception becomes part of a RankFailed.
class Communicator {
 public:
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  /// The rank of this process, from 0 to size() - 1.
  virtual std::int64_t rank() const = 0;

  /// The number of ranks.
  virtual std::int64_t size() const = 0;

  /// Returns the sum of each value over all ranks: the same bits on every rank.
  virtual std::vector<double> sum(std::vector<double> values) = 0;

  /// Begins to sum a tensor over all ranks, in place. The tensor is contiguous, has a real type,
  /// and is on the device of the model. Returns a function that waits for the sum. The caller does
  /// not touch the tensor before that function returns.
  virtual std::function<void()> begin_sum(const torch::Tensor& values) = 0;

  /// Gives all ranks the bytes of rank 0. `bytes`: a contiguous tensor of `torch::kByte`, of the
  /// same size on all ranks.
  virtual void broadcast(const torch::Tensor& bytes) = 0;
};

}  // namespace lrfinder
