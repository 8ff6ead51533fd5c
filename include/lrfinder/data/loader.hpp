#pragma once

#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/data/batch.hpp>
#include <lrfinder/data/objective.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/torch/compatibility.hpp>

namespace lrfinder::detail {

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

/// True for anything that a range-based for loop iterates over.
template <class Loader>
inline constexpr bool is_loader = traits::is_loader<Loader>::value;

/// Iterates over the batches of a loader, again and again, on the calling thread.
///
/// The batches are fetched in the order, and at the moments, in which a range-based for loop would
/// fetch them, so that a loader that draws random numbers draws the same ones.
template <class Loader>
class BatchIterator {
 public:
  /// `name` is what error messages call the loader.
  BatchIterator(Loader& loader, std::string name) : loader_(&loader), name_(std::move(name)) {}
  BatchIterator(const BatchIterator&) = delete;
  BatchIterator& operator=(const BatchIterator&) = delete;
  ~BatchIterator() {
    if (position_) abandon_pass(*loader_);
  }

  /// Goes to the first batch. Throws EmptyLoader when there is none.
  void start() {
    using std::begin;
    using std::end;
    if (position_) abandon_pass(*loader_);
    position_.emplace(Position{begin(*loader_), end(*loader_)});
    at_first_ = true;
    if (!(position_->batch != position_->end)) {
      throw EmptyLoader("LRFinder: the " + name_ +
                        (read_before_
                             ? " yields no batch in a second pass; its begin() "
                               "has to start again from the first batch"
                             : " yields no batch; is its dataset empty, or smaller than one "
                               "batch that is dropped?"));
    }
    read_before_ = true;
  }

  /// The next batch; after the last one comes the first again.
  decltype(auto) next() {
    if (!position_ || !(at_first_ || advance())) start();
    at_first_ = false;
    return *position_->batch;
  }

  /// Calls `visit` with every batch of one pass, until `visit` returns false.
  template <class Visit>
  void for_each(Visit&& visit) {
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
  bool read_before_ = false;
};

}  // namespace lrfinder::detail

/// @file
/// The user's own types behind AnyBatch, AnyBatchIterator and AnyLoader.

namespace lrfinder::detail {

/// A batch as the objective evaluates it.
template <class Objective, class Batch>
class TypedBatch final : public AnyBatch {
 public:
  TypedBatch(Objective& objective, Batch batch) : objective_(objective), batch_(std::move(batch)) {}

  Evaluation evaluate() override { return objective_(*batch_); }

  std::int64_t samples() const override { return samples_in(*batch_); }

  BatchContents contents() const override {
    BatchContents contents;
    visit_leaves([&](const torch::Tensor& tensor) { contents.add(tensor); },
                 [&](const auto& leaf) {
                   using Leaf = std::decay_t<decltype(leaf)>;
                   if constexpr (traits::has_tensors_in<Leaf>::value) {
                     contents.is_shared = true;
                   } else if constexpr (!(std::is_arithmetic_v<Leaf> || std::is_enum_v<Leaf> ||
                                          std::is_same_v<Leaf, std::string>)) {
                     contents.is_opaque = true;
                   }
                 });
    return contents;
  }

  std::size_t hash() const override {
    std::size_t all = 0;
    visit_leaves([&](const torch::Tensor& tensor) { all = 31 * all + hash_of_bits(tensor); },
                 [](const auto&) {});
    return all;
  }

  void detach() override {
    Batch detached = with_leaves(*batch_, [](const auto& leaf) {
      if constexpr (std::is_same_v<std::decay_t<decltype(leaf)>, torch::Tensor>) {
        return is_owned(leaf) ? leaf : leaf.clone();
      } else {
        return leaf;
      }
    });
    batch_.emplace(std::move(detached));
  }

 private:
  // Calls `tensor` with every tensor that can be seen, and `other` with every leaf that is none.
  template <class Tensor, class Other>
  void visit_leaves(const Tensor& tensor, const Other& other) const {
    with_leaves(*batch_, [&](const auto& leaf) {
      using Leaf = std::decay_t<decltype(leaf)>;
      if constexpr (std::is_same_v<Leaf, torch::Tensor>) {
        tensor(leaf);
      } else {
        if constexpr (traits::has_tensors_in<Leaf>::value) {
          for (const torch::Tensor& inner : tensors_in(leaf)) tensor(inner);
        }
        other(leaf);
      }
      return leaf;
    });
  }

  // Whether nobody else holds the tensor or its memory, which LibTorch has allocated.
  static bool is_owned(const torch::Tensor& tensor) {
    return !tensor.defined() || (tensor.use_count() == 1 && tensor.storage().use_count() == 1 &&
                                 tensor.storage().allocator() != nullptr);
  }

  Objective& objective_;
  std::optional<Batch> batch_;  // never empty: some batches can be moved, but not assigned
};

/// Prepares the batches of a loader for an objective.
template <class Objective, class Loader>
class TypedBatchIterator final : public AnyBatchIterator {
 public:
  TypedBatchIterator(Objective& objective, Loader& loader, const char* name, torch::Device device)
      : objective_(objective), batches_(loader, name), device_(device) {}

  void start() override { batches_.start(); }

  std::shared_ptr<AnyBatch> next() override { return prepared(batches_.next()); }

  void for_each(const std::function<bool(std::unique_ptr<AnyBatch>)>& visit) override {
    batches_.for_each([&](const auto& batch) { return visit(prepared(batch)); });
  }

 private:
  template <class Batch>
  std::unique_ptr<AnyBatch> prepared(const Batch& batch) {
    using Prepared = std::decay_t<decltype(objective_.prepared(batch, device_))>;
    return std::make_unique<TypedBatch<Objective, Prepared>>(objective_,
                                                             objective_.prepared(batch, device_));
  }

  Objective& objective_;
  BatchIterator<Loader> batches_;
  torch::Device device_;
};

/// A loader whose batches an objective evaluates.
template <class Objective, class Loader>
class TypedLoader final : public AnyLoader {
 public:
  /// `name` is what error messages call the loader. The references live as long as this.
  TypedLoader(Objective& objective, Loader& loader, const char* name)
      : objective_(objective), loader_(loader), name_(name) {}

  std::unique_ptr<AnyBatchIterator> iterate(torch::Device device) override {
    return std::make_unique<TypedBatchIterator<Objective, Loader>>(objective_, loader_, name_,
                                                                   device);
  }

  bool has_metrics() const override {
    return Objective::template has_metrics<traits::batch_t<Loader>>();
  }

  const void* single_pass() const override {
    return traits::is_single_pass<traits::iterator_t<Loader>>::value ? std::addressof(loader_)
                                                                     : nullptr;
  }

 private:
  Objective& objective_;
  Loader& loader_;
  const char* name_;
};

}  // namespace lrfinder::detail
