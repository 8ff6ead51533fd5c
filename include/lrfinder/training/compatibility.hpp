#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include <torch/torch.h>

/// @file
/// What differs between versions of LibTorch, or has to be worked around in all of them.

namespace lrfinder::training {

/// The state of an optimizer, by parameter. The key is a string before LibTorch 2.1 and a pointer
/// since.
using OptimizerState = std::decay_t<decltype(std::declval<torch::optim::Optimizer&>().state())>;

/// Zeroes the gradients of the optimizer's parameters as its own zero_grad() does, or in place.
/// LibTorch 1.13 always zeroes in place; since 2.0 zero_grad() leaves them undefined.
template <class Optimizer>
auto zero_gradients(Optimizer& optimizer, bool in_place)
    -> decltype(optimizer.zero_grad(!in_place)) {
  optimizer.zero_grad(/*set_to_none=*/!in_place);
}
inline void zero_gradients(torch::optim::Optimizer& optimizer, ...) { optimizer.zero_grad(); }

namespace detail {

inline void drop_batches_under_way(void*) {}

template <class Dataset, class Batch, class BatchRequest>
void drop_batches_under_way(torch::data::DataLoaderBase<Dataset, Batch, BatchRequest>* loader) {
  using Base = torch::data::DataLoaderBase<Dataset, Batch, BatchRequest>;
  struct Access : Base {
    static auto& shuttle(Base& base) { return base.*(&Access::shuttle_); }
  };
  if (loader->options().workers > 0) Access::shuttle(*loader).drain();
}

}  // namespace detail

/// Makes a loader whose walk ended before its last batch ready for the next walk.
///
/// A `torch::data` loader with worker threads refuses a new walk while batches of the old one are
/// under way ("another iterator is not yet exhausted"), and walking on to the end can take an
/// epoch. What is under way is dropped instead, as DataLoaderBase::join() does it.
template <class Loader>
void give_up_walk(Loader& loader) {
  if constexpr (std::is_object_v<Loader> && !std::is_const_v<Loader> && !std::is_array_v<Loader>) {
    detail::drop_batches_under_way(std::addressof(loader));
  }
}

}  // namespace lrfinder::training
