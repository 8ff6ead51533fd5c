#pragma once

#include <cstddef>
#include <cstring>
#include <fstream>
#include <test_device.hpp>
#include <utility>
#include <vector>

#include <torch/torch.h>

/// @file
/// Models, data and comparisons that the training tests share.

using TensorBatch = torch::data::Example<>;

/// True when two tensors have the same type and shape and, bit for bit, the same values.
inline bool same_bits(const torch::Tensor& a, const torch::Tensor& b) {
  if (a.defined() != b.defined()) return false;
  if (!a.defined()) return true;
  if (a.dtype() != b.dtype() || a.sizes() != b.sizes() || a.layout() != b.layout()) return false;
  if (a.layout() == torch::kSparse) {
    return same_bits(a._indices(), b._indices()) && same_bits(a._values(), b._values());
  }
  const torch::Tensor left = a.detach().cpu().contiguous();
  const torch::Tensor right = b.detach().cpu().contiguous();
  return left.numel() == 0 || std::memcmp(left.data_ptr(), right.data_ptr(), left.nbytes()) == 0;
}

inline bool same_bits(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!same_bits(a[i], b[i])) return false;
  }
  return true;
}

/// Batches of standard normal inputs and class targets, the same for the same seed.
inline std::vector<TensorBatch> class_batches(int count, int size, int features, int classes,
                                              std::uint64_t seed = 0) {
  auto generator = at::detail::createCPUGenerator(seed);
  std::vector<TensorBatch> batches;
  for (int i = 0; i < count; ++i) {
    batches.emplace_back(on_test_device(torch::randn({size, features}, generator)),
                         on_test_device(torch::randint(0, classes, {size}, generator)));
  }
  return batches;
}

/// A loader that writes each batch into the same memory.
struct ReusingLoader {
  explicit ReusingLoader(std::vector<TensorBatch> all)
      : batches(std::move(all)), memory(batches[0].data.clone(), batches[0].target.clone()) {}

  struct Iterator {
    const TensorBatch& operator*() const {
      loader->memory.data.copy_(loader->batches[at].data);
      loader->memory.target.copy_(loader->batches[at].target);
      return loader->memory;
    }
    Iterator& operator++() {
      ++at;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at != other.at; }
    const ReusingLoader* loader;
    std::size_t at;
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, batches.size()}; }
  std::vector<TensorBatch> batches;
  TensorBatch memory;
};

/// A LibTorch loader that shuffles 50 samples into batches of 8; the class is the sign of the sum.
inline auto shuffling_loader(std::size_t workers = 0) {
  using torch::data::TensorExample;
  auto dataset = torch::data::datasets::TensorDataset(class_batches(1, 50, 4, 3)[0].data)
                     .map(torch::data::transforms::Lambda<TensorExample, TensorBatch>(
                         [](TensorExample example) {
                           const auto target = (example.data.sum() > 0).to(torch::kLong);
                           return TensorBatch(example.data, target);
                         }))
                     .map(torch::data::transforms::Stack<>());
  return torch::data::make_data_loader<torch::data::samplers::RandomSampler>(
      std::move(dataset), torch::data::DataLoaderOptions(8).workers(workers));
}

/// A classifier with batch normalisation (buffers) and dropout (random numbers).
inline torch::nn::Sequential small_classifier(int features = 4, int classes = 3) {
  return torch::nn::Sequential(torch::nn::Linear(features, 8), torch::nn::BatchNorm1d(8),
                               torch::nn::ReLU(), torch::nn::Dropout(0.5),
                               torch::nn::Linear(8, classes));
}

/// A linear model without bias whose only weight is 1, and the criterion output + 0 * target: the
/// loss is input * weight, which a test can choose.
inline torch::nn::Linear weight_of_one() {
  torch::nn::Linear model(torch::nn::LinearOptions(1, 1).bias(false));
  torch::NoGradGuard guard;
  model->weight.fill_(1);
  return model;
}
