#pragma once

#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/data/batch.hpp>
#include <lrfinder/data/worker_pass.hpp>
#include <lrfinder/error.hpp>

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
template <class T>
using tensors_in_t = decltype(std::vector<torch::Tensor>(tensors_in(std::declval<const T&>())));
template <class Iterator>
using single_pass_t =
    std::enable_if_t<std::is_same_v<typename std::iterator_traits<Iterator>::iterator_category,
                                    std::input_iterator_tag>>;

}  // namespace traits

/// True for every type that a range-based for loop can iterate over.
template <class Loader>
inline constexpr bool is_loader =
    is_valid<traits::sentinel_t, Loader>&& is_valid<traits::batch_t, Loader>;

/// A batch of a user's type, prepared for the objective.
template <class Objective, class Batch>
class ErasedBatch final : public AnyBatch {
 public:
  ErasedBatch(Objective& objective, Batch batch)
      : objective_(objective), batch_(std::move(batch)) {}

  ForwardResult forward_loss() override { return objective_.forward_loss(batch_); }
  std::int64_t samples() const override { return samples_in(batch_).value_or(1); }

  VisibleTensors tensors() const override {
    VisibleTensors visible;
    with_leaves(batch_, [&](const auto& leaf) {
      using Leaf = std::decay_t<decltype(leaf)>;
      if constexpr (std::is_same_v<Leaf, torch::Tensor>) {
        visible.add(leaf);
      } else if constexpr (is_valid<traits::tensors_in_t, Leaf>) {
        for (const torch::Tensor& tensor : tensors_in(leaf)) visible.add(tensor);
      } else if constexpr (!(std::is_arithmetic_v<Leaf> || std::is_enum_v<Leaf> ||
                             std::is_empty_v<Leaf> || std::is_same_v<Leaf, std::string>)) {
        visible.are_all = false;
      }
      return leaf;
    });
    return visible;
  }

  std::shared_ptr<AnyBatch> copy() const override {
    return std::make_shared<ErasedBatch>(
        objective_, with_leaves(batch_, [](const auto& leaf) {
          if constexpr (std::is_same_v<std::decay_t<decltype(leaf)>, torch::Tensor>) {
            if (!leaf.defined() || !leaf.is_leaf()) return leaf.defined() ? leaf.clone() : leaf;
            return leaf.detach().clone().set_requires_grad(leaf.requires_grad());
          } else {
            return leaf;
          }
        }));
  }

 private:
  Objective& objective_;
  Batch batch_;
};

/// Iterates over a loader, and prepares its batches for an objective.
template <class Objective, class Loader>
class ErasedBatchIterator final : public AnyBatchIterator {
 public:
  ErasedBatchIterator(Objective& objective, Loader& loader, std::string name, torch::Device device)
      : objective_(objective), loader_(loader), name_(std::move(name)), device_(device) {}

  void start() override {
    using std::end;
    position_.reset();
    position_.emplace(
        Position{begin_pass(std::addressof(loader_), loader_, device_), end(loader_)});
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

  std::shared_ptr<AnyBatch> next() override {
    if (!position_ || !(at_first_ || advance())) start();
    return prepared_batch();
  }

  void for_each(const std::function<bool(const std::shared_ptr<AnyBatch>&)>& visit) override {
    if (!at_first_) start();
    while (visit(prepared_batch()) && advance()) {
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

  std::shared_ptr<AnyBatch> prepared_batch() {
    at_first_ = false;
    auto batch = objective_.prepared(*position_->batch, device_);
    return std::make_shared<ErasedBatch<Objective, decltype(batch)>>(objective_, std::move(batch));
  }

  Objective& objective_;
  Loader& loader_;
  std::string name_;
  torch::Device device_;
  std::optional<Position> position_;
  bool at_first_ = false;
  bool read_before_ = false;
};

/// Makes an AnyLoader whose batches go through an objective. `name`: the name of the loader in
/// error messages. The references must outlive the result.
template <class Objective, class Loader>
AnyLoader erased(Objective& objective, Loader& loader, const char* name) {
  const bool is_single_pass = is_valid<traits::single_pass_t, traits::iterator_t<Loader>>;
  return {[&objective, &loader, name](torch::Device device) -> std::unique_ptr<AnyBatchIterator> {
            return std::make_unique<ErasedBatchIterator<Objective, Loader>>(objective, loader, name,
                                                                            device);
          },
          Objective::template has_metrics<traits::batch_t<Loader>>(),
          is_single_pass ? std::addressof(loader) : nullptr,
          [&loader, name] {
            if (!drop_pass(std::addressof(loader))) return;
            TORCH_WARN("LRFinder: the ", name,
                       " was in the middle of a pass, which ends here: a LibTorch loader with "
                       "workers can be in one pass only");
          }};
}

}  // namespace lrfinder::detail
