#pragma once

#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <lrfinder/curve/error.hpp>
#include <lrfinder/training/compatibility.hpp>

namespace lrfinder::training {

namespace traits {

using std::begin;
using std::end;

template <class Loader>
using iterator_t = decltype(begin(std::declval<Loader&>()));
template <class Loader>
using sentinel_t = decltype(end(std::declval<Loader&>()));
template <class Loader>
using batch_t = std::decay_t<decltype(*std::declval<iterator_t<Loader>&>())>;

template <class Loader, class = void>
struct is_loader : std::false_type {};
template <class Loader>
struct is_loader<Loader, std::void_t<iterator_t<Loader>, sentinel_t<Loader>, batch_t<Loader>>>
    : std::true_type {};

template <class Iterator, class = void>
struct is_single_pass : std::false_type {};
template <class Iterator>
struct is_single_pass<Iterator,
                      std::void_t<typename std::iterator_traits<Iterator>::iterator_category>>
    : std::is_same<typename std::iterator_traits<Iterator>::iterator_category,
                   std::input_iterator_tag> {};

}  // namespace traits

/// True for anything that a range-based for loop walks.
template <class Loader>
inline constexpr bool is_loader = traits::is_loader<Loader>::value;

/// Walks a loader on the calling thread.
///
/// The batches are fetched in the order, and at the moments, in which a range-based for loop would
/// fetch them, so that a loader that draws random numbers draws the same ones.
template <class Loader>
class Walk {
 public:
  /// `name` is what error messages call the loader.
  Walk(Loader& loader, std::string name) : loader_(&loader), name_(std::move(name)) {}
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;
  ~Walk() {
    if (position_) give_up_walk(*loader_);
  }

  /// Goes to the first batch. Throws EmptyLoader when there is none.
  void start() {
    using std::begin;
    using std::end;
    if (position_) give_up_walk(*loader_);
    position_.emplace(Position{begin(*loader_), end(*loader_)});
    at_first_ = true;
    if (!(position_->batch != position_->end)) {
      throw EmptyLoader("range_test: the " + name_ +
                        (walked_ ? " yields no batch when it is walked a second time; its begin() "
                                   "has to start again from the first batch"
                                 : " yields no batch; is its dataset empty, or smaller than one "
                                   "batch that is dropped?"));
    }
    walked_ = true;
  }

  /// The next batch; after the last one comes the first again.
  decltype(auto) next() {
    if (!position_ || !(at_first_ || advance())) start();
    at_first_ = false;
    return *position_->batch;
  }

  /// Calls `visit` with every batch of one pass; `visit` returns whether it wants another.
  template <class Visit>
  void each(Visit&& visit) {
    if (!at_first_) start();
    at_first_ = false;
    while (visit(*position_->batch) && advance()) {
    }
  }

 private:
  struct Position {
    traits::iterator_t<Loader> batch;
    traits::sentinel_t<Loader> end;
  };

  bool advance() {
    ++position_->batch;
    return position_->batch != position_->end;
  }

  Loader* loader_;
  std::string name_;
  std::optional<Position> position_;
  bool at_first_ = false;
  bool walked_ = false;
};

}  // namespace lrfinder::training
