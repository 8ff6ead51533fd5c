#pragma once

#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/data/batch.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/torch/module.hpp>

namespace lrfinder::detail {

/// Calls a criterion: a module or module holder through forward(), everything else as a callable.
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

// The type of the batch with one input and one target. A vector of `Example`s, which an unmapped
// dataset yields, is stacked. Every other type stays.
template <class Batch>
using collated_t = std::conditional_t<std::is_same_v<Batch, std::vector<torch::data::Example<>>>,
                                      torch::data::Example<>, Batch>;
template <class Model, class Batch>
using output_t = decltype(forward(std::declval<Model&>(), input_of(std::declval<const Batch&>())));
template <class Batch>
using target_t = decltype(target_of(std::declval<const Batch&>()));

template <class Model, class Batch>
using metrics_t = std::enable_if_t<std::is_convertible_v<output_t<Model, Batch>, torch::Tensor> &&
                                   std::is_convertible_v<target_t<Batch>, torch::Tensor>>;

template <class Result>
using loss_t = std::enable_if_t<std::is_convertible_v<Result, torch::Tensor>>;
template <class Model, class Criterion, class Batch>
using output_and_target_t = loss_t<decltype(call_criterion(std::declval<Criterion&>(),
                                                           std::declval<output_t<Model, Batch>>(),
                                                           std::declval<target_t<Batch>>()))>;
template <class Model, class Criterion, class Batch>
using model_and_batch_t = loss_t<decltype(call_criterion(
    std::declval<Criterion&>(), std::declval<Model&>(), std::declval<const Batch&>()))>;

}  // namespace traits

/// True if the model can be called with the input of a batch, which is stacked if necessary.
template <class Model, class Batch>
inline constexpr bool has_output_for = is_valid<traits::output_t, Model, traits::collated_t<Batch>>;

/// True if the criterion can be called with the model's output and the batch's target. The batch
/// is stacked if necessary.
template <class Model, class Criterion, class Batch>
inline constexpr bool takes_output_and_target =
    is_valid<traits::output_and_target_t, Model, Criterion, traits::collated_t<Batch>>;

/// True if this model, criterion and batch give a loss. The criterion may also take the model and
/// the whole batch. If both forms are possible, it gets the output and the target. The other form
/// is then not even tried, because the body of a generic lambda may not compile with it.
template <class Model, class Criterion, class Batch>
inline constexpr bool is_criterion_for = std::disjunction_v<
    traits::is_valid<std::tuple<Model, Criterion, traits::collated_t<Batch>>,
                     traits::output_and_target_t>,
    traits::is_valid<std::tuple<Model, Criterion, Batch>, traits::model_and_batch_t>>;

/// Throws InvalidStep if a tensor is undefined.
template <class T>
void require_defined(const T& value, const char* what) {
  if constexpr (std::is_same_v<T, torch::Tensor>) {
    if (value.defined()) return;
    throw InvalidStep(std::string("LRFinder: the batch has no ") + what +
                      ": its tensor is undefined");
  }
}

/// A model and a criterion. Together they give the loss of a batch.
template <class Model, class Criterion>
class Objective {
 public:
  Objective(Held<Model> its_model, Held<Criterion> its_criterion)
      : model_(std::move(its_model)), criterion_(std::move(its_criterion)) {}

  Model& model() noexcept { return model_; }
  Criterion& criterion() noexcept { return criterion_; }

  /// Returns the batch for forward_loss(): on the device, and stacked if the criterion takes an
  /// output and a target.
  template <class Batch>
  static auto prepared(const Batch& batch, torch::Device device) {
    constexpr bool is_stacked = takes_output_and_target<Model, Criterion, Batch> &&
                                !std::is_same_v<traits::collated_t<Batch>, Batch>;
    if constexpr (is_stacked) {
      return on_device(torch::data::transforms::Stack<>().apply_batch(batch), device);
    } else {
      return on_device(batch, device);
    }
  }

  /// True if metrics can be evaluated on batches of this type.
  template <class Batch>
  static constexpr bool has_metrics() {
    return takes_output_and_target<Model, Criterion, Batch> &&
           is_valid<traits::metrics_t, Model, traits::collated_t<Batch>>;
  }

  /// Runs the model and the criterion on a prepared batch.
  template <class Batch>
  ForwardResult forward_loss(const Batch& batch) {
    if constexpr (takes_output_and_target<Model, Criterion, Batch>) {
      require_defined(input_of(batch), "input");
      require_defined(target_of(batch), "target");
      const auto output = forward(model(), input_of(batch));
      ForwardResult result{call_criterion(criterion(), output, target_of(batch)), {}, {}};
      if constexpr (has_metrics<Batch>()) {
        result.output = output;
        result.target = target_of(batch);
      }
      return result;
    } else {
      return {call_criterion(criterion(), model(), batch), {}, {}};
    }
  }

 private:
  Held<Model> model_;
  Held<Criterion> criterion_;
};

}  // namespace lrfinder::detail
