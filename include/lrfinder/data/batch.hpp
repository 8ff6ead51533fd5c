#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <torch/torch.h>

/// @file
/// What a batch is: how its input and its target are reached, and how it travels to a device.

namespace lrfinder::detail {

namespace traits {

template <class T, class = void>
struct has_data_and_target : std::false_type {};
template <class T>
struct has_data_and_target<
    T, std::void_t<decltype(std::declval<T&>().data), decltype(std::declval<T&>().target)>>
    : std::true_type {};

template <class T, class = void>
struct is_tuple_like : std::false_type {};
template <class T>
struct is_tuple_like<T, std::void_t<decltype(std::tuple_size<T>::value)>>
    : std::bool_constant<(std::tuple_size<T>::value >= 2)> {};

// Converts to anything, to count how many values an aggregate can be made of.
struct Anything {
  template <class T>
  operator T() const;  // NOLINT(google-explicit-constructor)
};
template <class T, class Values, class = void>
struct is_made_of : std::false_type {};
template <class T, class... Values>
struct is_made_of<T, std::tuple<Values...>, std::void_t<decltype(T{Values{}...})>>
    : std::true_type {};

template <class T>
inline constexpr bool is_struct_of_two =
    std::is_aggregate_v<T> && !std::is_array_v<T> &&
    is_made_of<T, std::tuple<Anything, Anything>>::value &&
    !is_made_of<T, std::tuple<Anything, Anything, Anything>>::value;

template <class T, class = void>
struct has_to : std::false_type {};
template <class T>
struct has_to<T, std::void_t<decltype(T(std::declval<const T&>().to(torch::Device(torch::kCPU))))>>
    : std::true_type {};

template <class T, class = void>
struct has_to_device : std::false_type {};
template <class T>
struct has_to_device<
    T, std::void_t<decltype(T(to_device(std::declval<const T&>(), torch::Device(torch::kCPU))))>>
    : std::true_type {};

template <class T, class = void>
struct has_batch_size : std::false_type {};
template <class T>
struct has_batch_size<T, std::void_t<decltype(std::int64_t(batch_size(std::declval<const T&>())))>>
    : std::true_type {};

template <class T, class = void>
struct has_tensors_in : std::false_type {};
template <class T>
struct has_tensors_in<
    T, std::void_t<decltype(std::vector<torch::Tensor>(tensors_in(std::declval<const T&>())))>>
    : std::true_type {};

template <class T, template <class...> class Template>
struct is_instance_of : std::false_type {};
template <template <class...> class Template, class... Arguments>
struct is_instance_of<Template<Arguments...>, Template> : std::true_type {};

}  // namespace traits

/// True for batches whose input and target are known: a struct with members `data` and `target`
/// (`torch::data::Example<>`), a pair or tuple (the first two elements), a struct of two members.
template <class Batch>
inline constexpr bool is_batch =
    traits::has_data_and_target<Batch>::value || traits::is_tuple_like<Batch>::value ||
    traits::is_struct_of_two<Batch>;

/// The input of a batch, which goes to the model.
template <class Batch, class = std::enable_if_t<is_batch<Batch>>>
const auto& input_of(const Batch& batch) {
  if constexpr (traits::has_data_and_target<Batch>::value) {
    return batch.data;
  } else if constexpr (traits::is_tuple_like<Batch>::value) {
    return std::get<0>(batch);
  } else {
    const auto& [input, target] = batch;
    static_cast<void>(target);
    return input;
  }
}

/// The target of a batch, which goes to the criterion.
template <class Batch, class = std::enable_if_t<is_batch<Batch>>>
const auto& target_of(const Batch& batch) {
  if constexpr (traits::has_data_and_target<Batch>::value) {
    return batch.target;
  } else if constexpr (traits::is_tuple_like<Batch>::value) {
    return std::get<1>(batch);
  } else {
    const auto& [input, target] = batch;
    static_cast<void>(input);
    return target;
  }
}

/// The same value, with every leaf of it replaced by `map(leaf)`, which returns the leaf's type.
///
/// Reaches into `Example`s, pairs, tuples, vectors, maps, optionals and structs of two members.
/// Leaves are tensors, types that say themselves how they move, and all that is none of these.
template <class T, class Map>
T with_leaves(const T& value, const Map& map) {
  const auto mapped = [&](const auto& element) { return with_leaves(element, map); };
  if constexpr (std::is_same_v<T, torch::Tensor> || traits::has_to_device<T>::value ||
                traits::has_to<T>::value) {  // NOLINT(bugprone-branch-clone): says what is a leaf
    return map(value);
  } else if constexpr (traits::has_data_and_target<T>::value) {
    T copy = value;
    copy.data = mapped(value.data);
    copy.target = mapped(value.target);
    return copy;
  } else if constexpr (traits::is_instance_of<T, torch::data::Example>::value) {
    return T(mapped(value.data));
  } else if constexpr (traits::is_instance_of<T, std::pair>::value ||
                       traits::is_instance_of<T, std::tuple>::value) {
    return std::apply([&](const auto&... elements) { return T(mapped(elements)...); }, value);
  } else if constexpr (traits::is_instance_of<T, std::vector>::value) {
    T copy;
    for (const auto& element : value) copy.push_back(mapped(element));
    return copy;
  } else if constexpr (traits::is_instance_of<T, std::map>::value) {
    T copy;
    for (const auto& [key, element] : value) copy.emplace(key, mapped(element));
    return copy;
  } else if constexpr (traits::is_instance_of<T, std::optional>::value) {
    return value ? T(mapped(*value)) : value;
  } else if constexpr (traits::is_struct_of_two<T>) {
    return T{mapped(input_of(value)), mapped(target_of(value))};
  } else {
    return map(value);
  }
}

/// A tensor on `device`. The host does not wait for the copy: what comes from the host goes through
/// pinned memory where the device has use for that.
inline torch::Tensor on_device(const torch::Tensor& tensor, torch::Device device) {
  if (!tensor.defined() || tensor.device() == device) return tensor;
  const bool pins = device.is_cuda() && tensor.is_cpu() && tensor.layout() == torch::kStrided;
  return (pins && !tensor.is_pinned() ? tensor.pin_memory() : tensor)
      .to(tensor.options().device(device), /*non_blocking=*/true);
}

/// The same value with every tensor in it on `device`.
///
/// Reaches into what with_leaves() reaches into. A type of your own says how it moves by a function
/// `to_device(const T&, torch::Device) -> T` in its namespace or a member `to(torch::Device) -> T`;
/// what is none of these stays as it is.
template <class T>
T on_device(const T& value, torch::Device device) {
  return with_leaves(value, [device](const auto& leaf) {
    using Leaf = std::decay_t<decltype(leaf)>;
    if constexpr (std::is_same_v<Leaf, torch::Tensor>) {
      return on_device(leaf, device);
    } else if constexpr (traits::has_to_device<Leaf>::value) {
      return to_device(leaf, device);
    } else if constexpr (traits::has_to<Leaf>::value) {
      return leaf.to(device);
    } else {
      return leaf;
    }
  });
}

/// A number that the shape and the bits of a tensor give; 0 for one without memory of its own. On a
/// device other than the CPU only the sums of the bytes of each row count: all else stays there.
inline std::size_t hash_of_bits(const torch::Tensor& tensor) {
  if (!tensor.defined() || tensor.layout() != torch::kStrided || tensor.is_meta()) return 0;
  const torch::Tensor bits = tensor.detach().contiguous();
  std::size_t hash = 0;
  if (bits.is_cpu()) {
    hash = std::hash<std::string_view>{}(
        {static_cast<const char*>(bits.data_ptr()), static_cast<std::size_t>(bits.nbytes())});
  } else if (bits.numel() > 0) {
    const std::int64_t rows = bits.dim() > 0 ? bits.size(0) : 1;
    const auto sums = bits.view({-1}).view(torch::kByte).view({rows, -1}).sum(1).cpu();
    hash = hash_of_bits(sums);
  }
  for (const std::int64_t size : tensor.sizes()) hash = 31 * hash + static_cast<std::size_t>(size);
  return hash;
}

/// The batch as one input and one target: a vector of `Example`s, as an unmapped dataset yields it,
/// is stacked; all else is a batch already.
template <class Batch>
const Batch& collated(const Batch& batch) {
  return batch;
}
inline torch::data::Example<> collated(const std::vector<torch::data::Example<>>& samples) {
  return torch::data::transforms::Stack<>().apply_batch(samples);
}

/// Number of samples in a batch: dimension 0 of its first tensor, or the length of a vector of
/// `Example`s.
///
/// A type of your own says how many it holds by a function `batch_size(const T&)` in its namespace;
/// one that says nothing counts as one sample, so that all batches weigh the same.
template <class T>
std::int64_t samples_in(const T& value) {
  if constexpr (std::is_same_v<T, torch::Tensor>) {
    return value.dim() == 0 ? 1 : value.size(0);
  } else if constexpr (traits::has_batch_size<T>::value) {
    return batch_size(value);
  } else if constexpr (traits::is_instance_of<T, torch::data::Example>::value) {
    return samples_in(value.data);
  } else if constexpr (is_batch<T>) {
    return samples_in(input_of(value));
  } else if constexpr (traits::is_instance_of<T, std::vector>::value) {
    if (value.empty()) return 0;
    constexpr bool of_samples =
        traits::is_instance_of<typename T::value_type, torch::data::Example>::value;
    return of_samples ? static_cast<std::int64_t>(value.size()) : samples_in(value.front());
  } else if constexpr (traits::is_instance_of<T, std::map>::value) {
    return value.empty() ? 0 : samples_in(value.begin()->second);
  } else {
    return 1;
  }
}

}  // namespace lrfinder::detail
