#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include <torch/torch.h>

#include <lrfinder/curve/error.hpp>
#include <lrfinder/training/any_loader.hpp>
#include <lrfinder/training/batch.hpp>
#include <lrfinder/training/criterion.hpp>
#include <lrfinder/training/model.hpp>

namespace lrfinder::training {

/// Throws InvalidStep unless the tensor is there.
inline void require_defined(const torch::Tensor& tensor, const char* what) {
  if (!tensor.defined()) {
    throw InvalidStep(std::string("range_test: the batch has no ") + what +
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

}  // namespace lrfinder::training
