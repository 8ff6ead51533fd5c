#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/data/batch.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/torch/module.hpp>

/// @file
/// How a loss comes out of a model and a batch: the two forms of a criterion.

namespace lrfinder::detail {

/// Calls a criterion: a module or module holder through its forward(), all else as a callable.
template <class Criterion, class... Arguments, std::enable_if_t<is_model<Criterion>, int> = 0>
auto call_criterion(Criterion& criterion, Arguments&&... arguments)
    -> decltype(module_of(criterion).forward(std::forward<Arguments>(arguments)...)) {
  return module_of(criterion).forward(std::forward<Arguments>(arguments)...);
}
template <class Criterion, class... Arguments, std::enable_if_t<!is_model<Criterion>, int> = 0>
auto call_criterion(Criterion& criterion, Arguments&&... arguments)
    -> std::invoke_result_t<Criterion&, Arguments...> {
  return criterion(std::forward<Arguments>(arguments)...);
}

namespace traits {

template <class Result>
inline constexpr bool is_loss = std::is_convertible_v<Result, torch::Tensor>;

template <class Model, class Criterion, class Batch, class = void>
struct takes_output_and_target : std::false_type {};
template <class Model, class Criterion, class Batch>
struct takes_output_and_target<
    Model, Criterion, Batch,
    std::enable_if_t<is_batch<Batch> &&
                     is_loss<decltype(call_criterion(
                         std::declval<Criterion&>(),
                         forward(std::declval<Model&>(), input_of(std::declval<Batch&>())),
                         target_of(std::declval<Batch&>())))>>> : std::true_type {};

template <class Model, class Criterion, class Batch, class = void>
struct takes_model_and_batch : std::false_type {};
template <class Model, class Criterion, class Batch>
struct takes_model_and_batch<
    Model, Criterion, Batch,
    std::enable_if_t<is_loss<decltype(call_criterion(
        std::declval<Criterion&>(), std::declval<Model&>(), std::declval<const Batch&>()))>>>
    : std::true_type {};

}  // namespace traits

/// True when the criterion is called with the model's output and the target of the batch, which is
/// collated() where need be.
template <class Model, class Criterion, class Batch>
inline constexpr bool takes_output_and_target = traits::takes_output_and_target<
    Model, Criterion, std::decay_t<decltype(collated(std::declval<const Batch&>()))>>::value;

/// True when the criterion is called with the model itself and the whole batch. Where a criterion
/// could be called both ways, it gets the output and the target.
template <class Model, class Criterion, class Batch>
inline constexpr bool takes_model_and_batch =
    !takes_output_and_target<Model, Criterion, Batch> &&
    traits::takes_model_and_batch<Model, Criterion, Batch>::value;

/// True when a loss can be had from this model, criterion and batch.
template <class Model, class Criterion, class Batch>
inline constexpr bool is_criterion_for = takes_output_and_target<Model, Criterion, Batch> ||
                                         takes_model_and_batch<Model, Criterion, Batch>;

/// Throws InvalidStep unless the tensor is there.
inline void require_defined(const torch::Tensor& tensor, const char* what) {
  if (!tensor.defined()) {
    throw InvalidStep(std::string("LRFinder: the batch has no ") + what +
                      ": its tensor is undefined");
  }
}
template <class T>
void require_defined(const T&, const char*) {}

/// What is evaluated on every batch: a model under a criterion.
template <class Model, class Criterion>
class Objective {
 public:
  Objective(Kept<Model> its_model, Kept<Criterion> its_criterion)
      : model_(std::move(its_model)), criterion_(std::move(its_criterion)) {}

  Model& model() noexcept { return model_; }
  Criterion& criterion() noexcept { return criterion_; }

  /// The batch as it is evaluated: collated where the criterion takes an output and a target, and
  /// on the device.
  template <class Batch>
  static auto prepared(const Batch& batch, torch::Device device) {
    if constexpr (takes_output_and_target<Model, Criterion, Batch>) {
      return on_device(collated(batch), device);
    } else {
      return on_device(batch, device);
    }
  }

  /// True when metrics can be evaluated on batches of this type.
  template <class Batch>
  static constexpr bool has_metrics() {
    if constexpr (takes_output_and_target<Model, Criterion, Batch>) {
      using Prepared = std::decay_t<decltype(collated(std::declval<const Batch&>()))>;
      using Output =
          decltype(forward(std::declval<Model&>(), input_of(std::declval<const Prepared&>())));
      using Target = decltype(target_of(std::declval<const Prepared&>()));
      return std::is_convertible_v<Output, torch::Tensor> &&
             std::is_convertible_v<Target, torch::Tensor>;
    } else {
      return false;
    }
  }

  /// Runs the model and the criterion on a prepared batch.
  ///
  /// Throws InvalidStep when the batch has no tensors.
  template <class Batch>
  Evaluation operator()(const Batch& batch) {
    if constexpr (takes_output_and_target<Model, Criterion, Batch>) {
      require_defined(input_of(batch), "input");
      require_defined(target_of(batch), "target");
      const auto output = forward(model(), input_of(batch));
      torch::Tensor loss = call_criterion(criterion(), output, target_of(batch));
      if constexpr (has_metrics<Batch>()) {
        return {std::move(loss), output, target_of(batch)};
      } else {
        return {std::move(loss), {}, {}};
      }
    } else {
      return {call_criterion(criterion(), model(), batch), {}, {}};
    }
  }

 private:
  Kept<Model> model_;
  Kept<Criterion> criterion_;
};

}  // namespace lrfinder::detail
