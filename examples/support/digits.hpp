#pragma once

#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

/// Images of digits with their labels, as a LibTorch data set. The pixels are in [0, 1].
class Digits : public torch::data::datasets::Dataset<Digits> {
 public:
  Digits(torch::Tensor images, torch::Tensor labels)
      : images_(std::move(images)), labels_(std::move(labels)) {}

  torch::data::Example<> get(std::size_t index) override {
    const auto i = static_cast<std::int64_t>(index);
    return {images_[i], labels_[i]};
  }
  torch::optional<std::size_t> size() const override { return static_cast<std::size_t>(count()); }

  /// The digits from `begin` up to, not including, `end`.
  Digits slice(std::int64_t begin, std::int64_t end) const {
    return {images_.slice(0, begin, end), labels_.slice(0, begin, end)};
  }

  /// All images, of shape (count, 1, height, width).
  const torch::Tensor& images() const { return images_; }
  /// All labels, of shape (count), from 0 to 9.
  const torch::Tensor& labels() const { return labels_; }
  std::int64_t count() const { return labels_.size(0); }

 private:
  torch::Tensor images_;
  torch::Tensor labels_;
};

/// The 1,797 digits of 8x8 pixels that lie in examples/data.
inline Digits read_digits(const std::string& path = LRFINDER_EXAMPLE_DATA "/digits.csv") {
  constexpr std::int64_t columns = 8 * 8 + 1;
  std::ifstream file(path);
  std::vector<float> values;
  for (float value = 0; file >> value; file.ignore(1, ',')) values.push_back(value);
  if (values.empty()) throw std::runtime_error("cannot read " + path);
  const torch::Tensor rows = torch::tensor(values).view({-1, columns});
  return {rows.slice(1, 0, columns - 1).reshape({-1, 1, 8, 8}) / 16,
          rows.select(1, columns - 1).to(torch::kLong)};
}

/// A loader of batches in random order, drawn anew in every epoch.
inline auto shuffled(Digits digits, std::size_t batch_size) {
  return torch::data::make_data_loader<torch::data::samplers::RandomSampler>(
      digits.map(torch::data::transforms::Stack<>()), batch_size);
}

/// A loader of batches in the order of the data.
inline auto in_order(Digits digits, std::size_t batch_size) {
  return torch::data::make_data_loader<torch::data::samplers::SequentialSampler>(
      digits.map(torch::data::transforms::Stack<>()), batch_size);
}
