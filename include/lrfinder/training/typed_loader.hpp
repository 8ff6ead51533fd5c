#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <torch/torch.h>

#include <lrfinder/training/any_loader.hpp>
#include <lrfinder/training/batch.hpp>
#include <lrfinder/training/loader.hpp>
#include <lrfinder/training/objective.hpp>

/// @file
/// The user's own types behind AnyBatch, AnyWalk and AnyLoader.

namespace lrfinder::training {

/// A batch as the objective evaluates it.
template <class Objective, class Batch>
class TypedBatch final : public AnyBatch {
 public:
  TypedBatch(Objective& objective, Batch batch) : objective_(objective), batch_(std::move(batch)) {}

  Evaluation evaluate() override { return objective_(*batch_); }

  std::int64_t samples() const override { return samples_in(*batch_); }

  BatchContents contents() const override {
    BatchContents contents;
    with_leaves(*batch_, [&](const auto& leaf) {
      using Leaf = std::decay_t<decltype(leaf)>;
      if constexpr (std::is_same_v<Leaf, torch::Tensor>) {
        contents.add(leaf);
      } else if constexpr (traits::has_tensors_in<Leaf>::value) {
        for (const torch::Tensor& tensor : tensors_in(leaf)) contents.add(tensor);
        contents.is_shared = true;
      } else {
        contents.is_opaque =
            contents.is_opaque || !(std::is_arithmetic_v<Leaf> || std::is_enum_v<Leaf> ||
                                    std::is_same_v<Leaf, std::string>);
      }
      return leaf;
    });
    return contents;
  }

  void own() override {
    Batch owned = with_leaves(*batch_, [](const auto& leaf) {
      if constexpr (std::is_same_v<std::decay_t<decltype(leaf)>, torch::Tensor>) {
        return is_owned(leaf) ? leaf : leaf.clone();
      } else {
        return leaf;
      }
    });
    batch_.emplace(std::move(owned));
  }

 private:
  // Whether nobody else holds the tensor or its memory, which LibTorch has allocated.
  static bool is_owned(const torch::Tensor& tensor) {
    return !tensor.defined() || (tensor.use_count() == 1 && tensor.storage().use_count() == 1 &&
                                 tensor.storage().allocator() != nullptr);
  }

  Objective& objective_;
  std::optional<Batch> batch_;  // never empty: some batches can be moved, but not assigned
};

/// A walk that prepares the batches of a loader for an objective.
template <class Objective, class Loader>
class TypedWalk final : public AnyWalk {
 public:
  TypedWalk(Objective& objective, Loader& loader, const char* name, torch::Device device)
      : objective_(objective), walk_(loader, name), device_(device) {}

  void start() override { walk_.start(); }

  std::unique_ptr<AnyBatch> next() override { return prepared(walk_.next()); }

  void each(const std::function<bool(std::unique_ptr<AnyBatch>)>& visit) override {
    walk_.each([&](const auto& batch) { return visit(prepared(batch)); });
  }

 private:
  template <class Batch>
  std::unique_ptr<AnyBatch> prepared(const Batch& batch) {
    using Prepared = std::decay_t<decltype(objective_.prepared(batch, device_))>;
    return std::make_unique<TypedBatch<Objective, Prepared>>(objective_,
                                                             objective_.prepared(batch, device_));
  }

  Objective& objective_;
  Walk<Loader> walk_;
  torch::Device device_;
};

/// A loader whose batches an objective evaluates.
template <class Objective, class Loader>
class TypedLoader final : public AnyLoader {
 public:
  /// `name` is what error messages call the loader. The references live as long as this.
  TypedLoader(Objective& objective, Loader& loader, const char* name)
      : objective_(objective), loader_(loader), name_(name) {}

  std::unique_ptr<AnyWalk> walk(torch::Device device) override {
    return std::make_unique<TypedWalk<Objective, Loader>>(objective_, loader_, name_, device);
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

}  // namespace lrfinder::training
