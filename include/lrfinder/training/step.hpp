#pragma once

#include <cstdint>
#include <typeinfo>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/curve/error.hpp>
#include <lrfinder/training/compatibility.hpp>
#include <lrfinder/training/criterion.hpp>
#include <lrfinder/training/loader.hpp>
#include <lrfinder/training/optimizer_state.hpp>
#include <lrfinder/training/options.hpp>

namespace lrfinder::training {

/// One update of the optimizer, as a training loop does it.
template <class Model, class Criterion, class Loader>
class Step {
 public:
  Step(Model& model, torch::optim::Optimizer& optimizer, Criterion& criterion,
       Walk<Loader>& batches, torch::Device device, const RangeTestOptions& options)
      : model_(model),
        optimizer_(optimizer),
        criterion_(criterion),
        batches_(batches),
        device_(device),
        accumulation_steps_(options.accumulation_steps()),
        zero_in_place_(options.snapshot() != Snapshot::device),
        closure_(use_of_closure(optimizer)) {}

  /// Takes the next batches, adds up their gradients and updates. Returns the training loss from
  /// before the update, a scalar on the device.
  torch::Tensor operator()() {
    switch (closure_) {
      case Closure::unused: {
        torch::Tensor loss = fetch_and_differentiate();
        optimizer_.step();
        return loss;
      }
      case Closure::required: {
        torch::Tensor first_loss;
        optimizer_.step([&] {
          if (first_loss.defined()) return differentiate_again();
          return first_loss = fetch_and_differentiate();
        });
        return first_loss;
      }
      case Closure::possible: {
        torch::Tensor loss = fetch_and_differentiate();
        optimizer_.step([&] { return differentiate_again(); });
        return loss;
      }
    }
    return {};
  }

 private:
  // What step() does with its closure. LBFGS asks it for the loss, and asks again. An optimizer of
  // a user's own may use the gradients that are there, the closure, or both.
  enum class Closure { unused, required, possible };

  static Closure use_of_closure(const torch::optim::Optimizer& optimizer) {
    if (!is_libtorchs(optimizer)) return Closure::possible;
    return typeid(optimizer) == typeid(torch::optim::LBFGS) ? Closure::required : Closure::unused;
  }

  using Batch = traits::batch_t<Loader>;

  torch::Tensor fetch_and_differentiate() {
    kept_batches_.clear();
    return differentiate([&](std::int64_t) {
      Batch batch = on_device<Batch>(batches_.next(), device_);
      if (closure_ != Closure::unused) kept_batches_.push_back(batch);
      return batch;
    });
  }

  torch::Tensor differentiate_again() {
    return differentiate(
        [&](std::int64_t i) { return kept_batches_[static_cast<std::size_t>(i)]; });
  }

  // Leaves the gradients of all accumulation steps in the parameters; returns the sum of the
  // scaled losses.
  template <class BatchAt>
  torch::Tensor differentiate(BatchAt&& batch_at) {
    const torch::AutoGradMode with_gradients(true);
    zero_gradients(optimizer_, zero_in_place_);
    torch::Tensor sum;
    for (std::int64_t i = 0; i < accumulation_steps_; ++i) {
      torch::Tensor loss = loss_of(model_, criterion_, batch_at(i));
      if (!loss.requires_grad()) {
        throw InvalidStep(
            "range_test: the loss needs no gradient; are all parameters frozen, or does the "
            "criterion detach the output?");
      }
      if (accumulation_steps_ > 1) loss = loss / accumulation_steps_;
      loss.backward();
      sum = sum.defined() ? sum + loss.detach() : loss.detach();
    }
    require_gradients();
    return sum;
  }

  // An optimizer built with other parameters would otherwise record a flat curve.
  void require_gradients() {
    if (checked_gradients_) return;
    for (const auto& group : optimizer_.param_groups()) {
      for (const auto& parameter : group.params()) {
        if (parameter.grad().defined()) checked_gradients_ = true;
      }
    }
    if (!checked_gradients_) {
      throw InvalidStep(
          "range_test: no parameter of the optimizer got a gradient; was the optimizer built with "
          "the parameters of another model?");
    }
  }

  Model& model_;
  torch::optim::Optimizer& optimizer_;
  Criterion& criterion_;
  Walk<Loader>& batches_;
  torch::Device device_;
  std::int64_t accumulation_steps_;
  bool zero_in_place_;
  Closure closure_;
  bool checked_gradients_ = false;
  std::vector<Batch> kept_batches_;
};

}  // namespace lrfinder::training
