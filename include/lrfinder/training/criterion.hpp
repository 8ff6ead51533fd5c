#pragma once

#include <type_traits>
#include <utility>

#include <torch/torch.h>

#include <lrfinder/training/batch.hpp>
#include <lrfinder/training/model.hpp>

/// @file
/// How a loss comes out of a model and a batch: the two forms of a criterion.

namespace lrfinder::training {

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

}  // namespace lrfinder::training
