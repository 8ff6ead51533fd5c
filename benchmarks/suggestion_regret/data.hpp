#pragma once

#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <torch/torch.h>

/// @file
/// What the tasks train on: handwritten digits, MNIST if its files are given, and made-up data.

/// Samples to train on, samples to choose a rate by, and samples held back to judge by. Dimension 0
/// counts the samples.
struct Data {
  torch::Tensor input, target;
  torch::Tensor validation_input, validation_target;
  torch::Tensor held_input, held_target;
};

/// Holds the last 400 samples back, and leaves 300 before them to validation.
inline Data split(const torch::Tensor& input, const torch::Tensor& target) {
  const std::int64_t held = input.size(0) - 400, validation = held - 300;
  const auto part = [](const torch::Tensor& samples, std::int64_t begin, std::int64_t end) {
    return samples.slice(0, begin, end);
  };
  return {part(input, 0, validation),    part(target, 0, validation),
          part(input, validation, held), part(target, validation, held),
          part(input, held, held + 400), part(target, held, held + 400)};
}

/// The 1,797 digits of 8x8 pixels in examples/data, as images (N x 1 x 8 x 8) of zero mean.
inline Data digits() {
  const std::string path = LRFINDER_EXAMPLE_DATA "/digits.csv";
  std::ifstream file(path);
  std::vector<float> values;
  for (float value = 0; file >> value; file.ignore(1, ',')) values.push_back(value);
  if (values.empty()) throw std::runtime_error("cannot read " + path);
  const torch::Tensor rows = torch::tensor(values).view({-1, 65});
  return split((rows.slice(1, 0, 64).reshape({-1, 1, 8, 8}) - 4.9) / 6,
               rows.select(1, 64).to(torch::kLong));
}

/// A file of MNIST's IDX format, as bytes of the shape that it names.
inline torch::Tensor read_idx(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const auto word = [&] {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value = value << 8U | static_cast<std::uint32_t>(file.get() & 255);
    return value;
  };
  const std::uint32_t magic = word();
  if (!file || (magic >> 8U) != 8) throw std::runtime_error(path + " is not a file of IDX bytes");
  std::vector<std::int64_t> shape;
  for (std::uint32_t i = 0; i < (magic & 255U); ++i) shape.push_back(word());
  torch::Tensor values = torch::empty(shape, torch::kByte);
  file.read(static_cast<char*>(values.data_ptr()), values.numel());
  if (!file) throw std::runtime_error(path + " is cut short");
  return values;
}

/// The first 6,000 training images of MNIST (N x 1 x 28 x 28), a part of them held back.
inline Data mnist(const std::string& folder) {
  const torch::Tensor images = read_idx(folder + "/train-images-idx3-ubyte").slice(0, 0, 6000);
  const torch::Tensor labels = read_idx(folder + "/train-labels-idx1-ubyte").slice(0, 0, 6000);
  return split((images.to(torch::kFloat).unsqueeze(1) / 255 - 0.1307) / 0.3081,
               labels.to(torch::kLong));
}

/// A share of the training labels drawn anew; the samples held back keep theirs.
inline Data with_random_labels(Data data, double share) {
  const torch::Tensor others = torch::randint(0, 10, data.target.sizes(), torch::kLong);
  data.target = torch::where(torch::rand(data.target.sizes()) < share, others, data.target);
  return data;
}

/// Images to be reproduced: each sample is its own target.
inline Data reproduced(Data data) {
  data.input = data.target = data.input.flatten(1);
  data.validation_input = data.validation_target = data.validation_input.flatten(1);
  data.held_input = data.held_target = data.held_input.flatten(1);
  return data;
}

/// Points of six overlapping classes, each a curved sheet in 12 dimensions of very unlike scales.
inline Data sheets() {
  const torch::Tensor target = torch::randint(0, 6, {3000}, torch::kLong);
  const torch::Tensor centres = torch::randn({6, 12}), bend = torch::randn({6, 2, 12});
  const torch::Tensor place = torch::randn({3000, 2});
  const torch::Tensor along =
      torch::bmm(torch::tanh(2 * place).unsqueeze(1), bend.index_select(0, target)).squeeze(1);
  const torch::Tensor scale = torch::logspace(-1, 0.5, 12);
  return split((centres.index_select(0, target) + along + torch::randn({3000, 12})) * scale,
               target);
}

/// A smooth function of eight numbers, with noise.
inline Data surface() {
  const torch::Tensor input = torch::randn({3000, 8});
  const torch::Tensor value = torch::sin(input.matmul(torch::randn({8, 4}) / 2)).sum(1) +
                              input.select(1, 0) * input.select(1, 1);
  return split(input, (value + 0.1 * torch::randn({3000})).unsqueeze(1));
}

/// Texts of 16 letters out of 12 (N x 16), drawn from a Markov chain of second order; the target
/// of each letter is the next one.
inline Data texts() {
  const torch::Tensor chain = torch::softmax(2.5 * torch::randn({12, 12, 12}), 2);
  std::vector<torch::Tensor> letters{torch::randint(0, 12, {2000}), torch::randint(0, 12, {2000})};
  while (letters.size() < 17) {
    const torch::Tensor next = chain.index({letters[letters.size() - 2], letters.back()});
    letters.push_back(next.multinomial(1).squeeze(1));
  }
  const torch::Tensor text = torch::stack(letters, 1);
  return split(text.slice(1, 0, 16).contiguous(), text.slice(1, 1, 17).contiguous());
}

/// Points of three spirals in a plane that is tilted in six dimensions.
inline Data spirals() {
  const torch::Tensor target = torch::randint(0, 3, {3000}, torch::kLong);
  const torch::Tensor radius = 0.1 + 0.9 * torch::rand({3000});
  const torch::Tensor angle =
      5 * radius + 2.0943951 * target.to(torch::kFloat) + 0.15 * torch::randn({3000});
  const torch::Tensor plane =
      2 * torch::stack({radius * torch::cos(angle), radius * torch::sin(angle)}, 1);
  return split(plane.matmul(torch::randn({2, 6})), target);
}

/// Sequences of 12 numbers, two of them marked (N x 12 x 2); the target is the sum of these two:
/// the adding problem of Hochreiter & Schmidhuber 1997.
inline Data sums() {
  const torch::Tensor values = torch::rand({3000, 12});
  torch::Tensor marks = torch::zeros({3000, 12});
  marks.scatter_(1, torch::randint(0, 6, {3000, 1}, torch::kLong), 1.0);
  marks.scatter_(1, torch::randint(6, 12, {3000, 1}, torch::kLong), 1.0);
  return split(torch::stack({values, marks}, 2), (values * marks).sum(1, true));
}

/// Counts of 40 words in texts of 12 words; the target is the topic, one of 5.
inline Data documents() {
  const torch::Tensor topics = torch::softmax(1.5 * torch::randn({5, 40}), 1);
  const torch::Tensor target = torch::randint(0, 5, {3000}, torch::kLong);
  const torch::Tensor words = topics.index_select(0, target).multinomial(12, true);
  const torch::Tensor counts = torch::zeros({3000, 40});
  return split(counts.scatter_add(1, words, torch::ones({3000, 12})), target);
}

/// The digits, each image as a sequence of its rows (N x 8 x 8).
inline Data digit_rows() {
  Data data = digits();
  for (auto* input : {&data.input, &data.validation_input, &data.held_input}) {
    *input = input->squeeze(1);
  }
  return data;
}
