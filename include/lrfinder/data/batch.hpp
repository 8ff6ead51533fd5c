#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/snapshot/saved_attributes.hpp>

/// @file
/// What a batch is: its input, its target, its samples, and how it is moved to a device.
///
/// `with_elements(value, map)` reaches the elements of a container. It returns a copy in which
/// `map(element)` replaces each element. `map` returns the type of the element. A container of your
/// own needs such a function in its namespace:
///
///     template <class Map>
///     Mine with_elements(const Mine& value, const Map& map);

namespace lrfinder::detail {

namespace traits {

template <class Types, template <class...> class Expression, class = void>
struct is_valid : std::false_type {};
template <class... T, template <class...> class Expression>
struct is_valid<std::tuple<T...>, Expression, std::void_t<Expression<T...>>> : std::true_type {};

template <class T, template <class...> class Template>
struct is_instance_of : std::false_type {};
template <template <class...> class Template, class... Arguments>
struct is_instance_of<Template<Arguments...>, Template> : std::true_type {};

template <class T>
using data_and_target_t =
    std::void_t<decltype(std::declval<T&>().data), decltype(std::declval<T&>().target)>;
template <class T>
using tuple_t = std::void_t<decltype(std::tuple_size<T>::value),
                            decltype(std::get<0>(std::declval<const T&>()))>;
template <class T>
using optional_t = std::void_t<decltype(std::declval<const T&>().has_value()),
                               decltype(T(*std::declval<const T&>()))>;
template <class T>
using sequence_t =
    std::void_t<decltype(std::declval<const T&>().begin()),
                decltype(std::declval<T&>().push_back(std::declval<typename T::value_type>()))>;
template <class T>
using dictionary_t =
    std::void_t<decltype(std::declval<const T&>().begin()->second), typename T::mapped_type>;
template <class T, class... Values>
using aggregate_t = decltype(T{std::declval<Values>()...});

// Converts to any type. Serves to count the values from which an aggregate can be made.
struct Anything {
  template <class T>
  operator T() const;  // NOLINT(google-explicit-constructor)
};

}  // namespace traits

/// Whether `Expression<T...>` is a type.
template <template <class...> class Expression, class... T>
inline constexpr bool is_valid = traits::is_valid<std::tuple<T...>, Expression>::value;

template <class T, template <class...> class... Templates>
inline constexpr bool is_instance_of = (traits::is_instance_of<T, Templates>::value || ...);

/// True for structs with members `data` and `target`, such as `torch::data::Example<>`.
template <class T>
inline constexpr bool has_data_and_target = is_valid<traits::data_and_target_t, T>;

/// True for other plain structs of two members.
template <class T>
inline constexpr bool is_struct_of_two =
    std::is_aggregate_v<T> && !std::is_array_v<T> && !has_data_and_target<T> &&
    !is_valid<traits::tuple_t, T> &&
    is_valid<traits::aggregate_t, T, traits::Anything, traits::Anything> &&
    !is_valid<traits::aggregate_t, T, traits::Anything, traits::Anything, traits::Anything>;

/// True for vectors, lists and their like, but not for texts.
template <class T>
inline constexpr bool is_sequence =
    is_valid<traits::sequence_t, T> && !is_instance_of<T, std::basic_string>;

/// True for maps of every kind.
template <class T>
inline constexpr bool is_dictionary = is_valid<traits::dictionary_t, T>;

/// True for the containers that need no with_elements() of their own.
template <class T>
inline constexpr bool has_known_elements =
    has_data_and_target<T> || is_struct_of_two<T> || is_valid<traits::tuple_t, T> ||
    is_valid<traits::optional_t, T> || is_sequence<T> || is_dictionary<T> ||
    is_instance_of<T, torch::data::Example, torch::OrderedDict, c10::Dict, std::variant>;

template <class T, class Map, std::enable_if_t<has_known_elements<T>, int> = 0>
T with_elements(const T& value, const Map& map) {
  if constexpr (is_struct_of_two<T>) {
    const auto& [first, second] = value;
    return T{map(first), map(second)};
  } else if constexpr (is_valid<traits::tuple_t, T>) {
    return std::apply([&](const auto&... elements) { return T{map(elements)...}; }, value);
  } else if constexpr (is_valid<traits::optional_t, T>) {
    return value.has_value() ? T(map(*value)) : value;
  } else if constexpr (is_instance_of<T, std::variant>) {
    T copy = value;
    std::visit([&](auto& alternative) { alternative = map(alternative); }, copy);
    return copy;
  } else if constexpr (has_data_and_target<T> || is_instance_of<T, torch::data::Example>) {
    T copy = value;
    copy.data = map(value.data);
    if constexpr (has_data_and_target<T>) copy.target = map(value.target);
    return copy;
  } else {
    T copy;
    for (const auto& entry : value) {
      if constexpr (is_sequence<T>) {
        const typename T::value_type& element = entry;  // may be a proxy
        copy.push_back(map(element));
      } else if constexpr (is_dictionary<T>) {
        copy.emplace(entry.first, map(entry.second));
      } else {
        copy.insert(entry.key(), map(entry.value()));
      }
    }
    return copy;
  }
}

/// The tensors in a value of TorchScript.
template <class Map>
c10::IValue with_elements(const c10::IValue& value, const Map& map) {
  AttributeCopies copies;
  return copy_of(value, copies, map);
}

template <class Data, class Target>
std::int64_t batch_size(const std::vector<torch::data::Example<Data, Target>>& samples) {
  return static_cast<std::int64_t>(samples.size());
}

namespace traits {

template <class T>
using container_t = decltype(T(with_elements(std::declval<const T&>(), Anything())));
template <class T>
using two_elements_t = std::enable_if_t<(std::tuple_size<T>::value >= 2)>;
template <class T>
using to_t = decltype(T(std::declval<const T&>().to(torch::Device(torch::kCPU))));
template <class T>
using to_device_t = decltype(T(to_device(std::declval<const T&>(), torch::Device(torch::kCPU))));
template <class T>
using batch_size_t = decltype(std::int64_t(batch_size(std::declval<const T&>())));

}  // namespace traits

/// True for types whose elements can be reached.
template <class T>
inline constexpr bool is_container = is_valid<traits::container_t, T>;

/// True for batches with a known input and target: a struct with members `data` and `target`
/// (`torch::data::Example<>`), a pair, tuple or array (its first two elements), or a struct of two
/// members.
template <class Batch>
inline constexpr bool is_batch = has_data_and_target<Batch> ||
                                 is_valid<traits::two_elements_t, Batch> || is_struct_of_two<Batch>;

/// The input of a batch, which goes to the model, and its target, which goes to the criterion.
template <class Batch, class = std::enable_if_t<is_batch<Batch>>>
auto input_and_target(const Batch& batch) {
  if constexpr (has_data_and_target<Batch>) {
    return std::tie(batch.data, batch.target);
  } else if constexpr (is_struct_of_two<Batch>) {
    const auto& [input, target] = batch;
    return std::tie(input, target);
  } else {
    return std::tie(std::get<0>(batch), std::get<1>(batch));
  }
}

template <class Batch, class = std::enable_if_t<is_batch<Batch>>>
const auto& input_of(const Batch& batch) {
  return std::get<0>(input_and_target(batch));
}

template <class Batch, class = std::enable_if_t<is_batch<Batch>>>
const auto& target_of(const Batch& batch) {
  return std::get<1>(input_and_target(batch));
}

/// Returns a copy of a value in which `map(leaf)`, of the leaf's type, replaces every leaf.
///
/// A leaf is a tensor, a type that has to_device() or to(), or anything that is not a container.
template <class T, class Map>
T with_leaves(const T& value, const Map& map) {
  if constexpr (!std::is_same_v<T, torch::Tensor> && !is_valid<traits::to_device_t, T> &&
                !is_valid<traits::to_t, T> && is_container<T>) {
    return with_elements(value, [&](const auto& element) { return with_leaves(element, map); });
  } else {
    return map(value);
  }
}

/// Returns the tensor on `device`. The host does not wait for a copy to a device, which goes
/// through pinned memory of its own if the device supports that: the loader may write into its
/// batch again.
inline torch::Tensor on_device(const torch::Tensor& tensor, torch::Device device) {
  if (!tensor.defined() || tensor.device() == device) return tensor;
  const bool pins = device.is_cuda() && tensor.is_cpu() && tensor.layout() == torch::kStrided;
  const torch::Tensor source =
      pins ? torch::empty_like(tensor, tensor.options().pinned_memory(true)).copy_(tensor) : tensor;
  return source.to(tensor.options().device(device), /*non_blocking=*/!device.is_cpu());
}

/// Returns the same value with all its tensors on `device`.
///
/// A type of your own moves by a function `to_device(const T&, torch::Device) -> T` in its
/// namespace, or by a member `to(torch::Device) -> T`. If it has neither, and is not a container,
/// it stays as it is.
template <class T>
T on_device(const T& value, torch::Device device) {
  return with_leaves(value, [device](const auto& leaf) {
    using Leaf = std::decay_t<decltype(leaf)>;
    if constexpr (std::is_same_v<Leaf, torch::Tensor>) {
      return on_device(leaf, device);
    } else if constexpr (is_valid<traits::to_device_t, Leaf>) {
      return to_device(leaf, device);
    } else if constexpr (is_valid<traits::to_t, Leaf>) {
      return leaf.to(device);
    } else {
      return leaf;
    }
  });
}

/// Returns the number of samples in a value: dimension 0 of its first tensor that has one, or the
/// length of a vector of `Example`s. Returns nothing if the number is not known.
///
/// A type of your own tells its number by a function `batch_size(const T&)` in its namespace.
template <class T>
std::optional<std::int64_t> samples_in(const T& value) {
  std::optional<std::int64_t> samples;
  if constexpr (std::is_same_v<T, torch::Tensor>) {
    if (value.defined() && value.dim() > 0) samples = value.size(0);
  } else if constexpr (is_valid<traits::batch_size_t, T>) {
    samples = batch_size(value);
  } else if constexpr (is_container<T>) {
    with_elements(value, [&](const auto& element) {
      if (!samples) samples = samples_in(element);
      return element;
    });
  }
  return samples;
}

}  // namespace lrfinder::detail
