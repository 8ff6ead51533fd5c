#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <iterator>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include <torch/torch.h>

#include <lrfinder/snapshot/random_state.hpp>

namespace lrfinder::detail {

/// A pass over a `torch::data` loader with worker threads, which work only while a batch is waited
/// for.
///
/// The workers draw from the same random generator as the model. If they read ahead while the model
/// draws or the random state is saved, chance decides who draws which number. Here the batches and
/// the random numbers between them are those of a loader without workers.
///
/// The first batch is loaded alone. If that has drawn nothing, several workers load the next ones
/// side by side. Once they have drawn, these batches are loaded again, and from then on one at a
/// time, when it is wanted.
template <class Dataset, class Batch, class Request>
class WorkerPass {
  using Loader = torch::data::DataLoaderBase<Dataset, Batch, Request>;
  struct Access : Loader {
    static auto& shuttle(Loader& loader) { return loader.*(&Access::shuttle_); }
    static auto request(Loader& loader) { return (loader.*(&Access::get_batch_request))(); }
    static void renew_sequencer(Loader& loader) {
      loader.*(&Access::sequencer_) = (loader.*(&Access::new_sequencer))();
    }
  };
  using Result =
      typename decltype(Access::shuttle(std::declval<Loader&>()).pop_result())::value_type;

 public:
  /// Begins the pass. Throws what the loader's begin() throws. `device`: where the workers may draw
  /// random numbers, besides the CPU. The loader must outlive this object.
  WorkerPass(Loader& loader, torch::Device device)
      : loader_(loader),
        device_(device),
        most_at_once_(std::max<std::size_t>(loader.options().max_jobs, 1)) {
    // A stateful dataset cannot load a batch again. One worker gains nothing.
    constexpr bool is_stateful = !std::is_same_v<Batch, typename Dataset::BatchType>;
    if (is_stateful || loader.options().workers == 1) most_at_once_ = 1;
    begin_idle();
  }

  /// Ends a pass of the user that was left in the middle: waits for the workers, and drops what
  /// they have loaded. Returns whether there was one.
  static bool drop(Loader& loader) {
    auto& shuttle = Access::shuttle(loader);
    const bool is_in_pass = shuttle.in_flight_jobs() > 0;
    shuttle.drain();
    return is_in_pass;
  }

  /// Returns the next batch; none after the last. Throws WorkerException if loading it has thrown.
  auto next() {
    if (results_.empty()) load_next();
    Result result;
    if (!results_.empty()) {
      result = std::move(results_.front());
      results_.pop_front();
    }
    if (result.exception) throw torch::data::WorkerException(result.exception);
    return std::move(result.batch);
  }

 private:
  // begin() sets the workers to work on `max_jobs` batches, and there is no other way to begin. So
  // it finds 0 there, in an object that takes the place of the options.
  void begin_idle() {
    auto* const options =
        const_cast<torch::data::FullDataLoaderOptions*>(std::addressof(loader_.options()));
    const torch::data::FullDataLoaderOptions given = *options;
    auto idle = given;
    idle.max_jobs = 0;
    new (options) torch::data::FullDataLoaderOptions(idle);
    try {
      loader_.begin();
    } catch (...) {
      new (options) torch::data::FullDataLoaderOptions(given);
      throw;
    }
    new (options) torch::data::FullDataLoaderOptions(given);
    Access::renew_sequencer(loader_);  // has room for `max_jobs` batches
  }

  void load_next() {
    while (requests_.size() < at_once_) {
      const RandomState before_request(device_);
      auto request = Access::request(loader_);
      if (!request) break;
      requests_.push_back(std::move(*request));
      // A sampler that draws must be asked when its batch is wanted.
      if (before_request.has_changed()) most_at_once_ = at_once_ = 1;
    }
    const RandomState before(device_);
    load(std::min(at_once_, requests_.size()));
    if (before.has_changed()) {
      most_at_once_ = 1;
      if (results_.size() > 1) {
        before.restore();
        load(1);
      }
    }
    at_once_ = most_at_once_;
    requests_.erase(requests_.begin(),
                    requests_.begin() + static_cast<std::ptrdiff_t>(results_.size()));
  }

  // Has the workers load the first `count` batches that are requested. They are idle afterwards.
  void load(std::size_t count) {
    auto& shuttle = Access::shuttle(loader_);
    results_.resize(count);
    try {
      for (std::size_t i = 0; i < count; ++i) shuttle.push_job({Request(requests_[i]), i});
      for (std::size_t i = 0; i < count; ++i) {
        auto result = shuttle.pop_result(loader_.options().timeout);
        results_[result->sequence_number] = std::move(*result);
      }
    } catch (...) {
      shuttle.drain();
      results_.clear();
      throw;
    }
  }

  Loader& loader_;
  torch::Device device_;
  std::size_t at_once_ = 1;  // how many batches are loaded next
  std::size_t most_at_once_;
  std::deque<Request> requests_;  // of batches that are not loaded yet
  std::deque<Result> results_;    // batches, or exceptions, that are not returned yet
};

/// Begins a pass over a loader of type `Loader`, and returns its iterator. The first argument is
/// the address of the loader.
template <class Loader>
decltype(auto) begin_pass(const void*, Loader& loader, torch::Device) {
  using std::begin;
  return begin(loader);
}
template <class Loader, class Dataset, class Batch, class Request>
auto begin_pass(torch::data::DataLoaderBase<Dataset, Batch, Request>* base, Loader& loader,
                torch::Device device)
    -> std::enable_if_t<std::is_same_v<decltype(loader.begin()), torch::data::Iterator<Batch>>,
                        torch::data::Iterator<Batch>> {
  if (base->options().workers == 0) return loader.begin();
  const auto pass = std::make_shared<WorkerPass<Dataset, Batch, Request>>(*base, device);
  using Iterator = torch::data::detail::ValidIterator<Batch>;
  return torch::data::Iterator<Batch>(std::make_unique<Iterator>([pass] { return pass->next(); }));
}

/// Ends a pass over a loader with worker threads that was left in the middle. Returns whether there
/// was one. The argument is the address of the loader.
inline bool drop_pass(const void*) { return false; }
template <class Dataset, class Batch, class Request>
bool drop_pass(torch::data::DataLoaderBase<Dataset, Batch, Request>* loader) {
  return WorkerPass<Dataset, Batch, Request>::drop(*loader);
}

}  // namespace lrfinder::detail
