#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include <torch/torch.h>

#include "../suggestion_regret/data.hpp"

/// @file
/// What the tasks train on: digits and made-up data. Each function seeds its random numbers.
///
/// There are so many samples, and of such difficulty, that 3,000 updates neither learn them by
/// heart nor come to an end: then a rate shows in the loss on the samples held back, and a share of
/// the time is a share of the loss.

/// Samples to train on, and samples held back. Dimension 0 counts the samples.
struct Samples {
  torch::Tensor input, target;
  torch::Tensor held_input, held_target;
};

using SharedSamples = std::shared_ptr<const Samples>;

/// Holds the last samples back.
inline Samples hold_back(const torch::Tensor& input, const torch::Tensor& target,
                         std::int64_t held = 1000) {
  const std::int64_t count = input.size(0) - held;
  return {input.slice(0, 0, count), target.slice(0, 0, count), input.slice(0, count),
          target.slice(0, count)};
}

inline SharedSamples shared(Samples samples) {
  return std::make_shared<const Samples>(std::move(samples));
}

/// Images (N x 1 x 8 x 8) moved by up to one pixel each, with noise; `copies` of each.
inline torch::Tensor moved(const torch::Tensor& images, std::int64_t copies, double noise) {
  const auto padded = torch::nn::functional::pad(
      images,
      torch::nn::functional::PadFuncOptions({1, 1, 1, 1}).value(images.min().item<double>()));
  std::vector<torch::Tensor> places;
  for (std::int64_t y = 0; y < 3; ++y) {
    for (std::int64_t x = 0; x < 3; ++x) {
      places.push_back(padded.slice(2, y, y + 8).slice(3, x, x + 8));
    }
  }
  const auto all = torch::stack(places);
  const std::int64_t count = images.size(0);
  std::vector<torch::Tensor> results;
  for (std::int64_t copy = 0; copy < copies; ++copy) {
    const auto place = torch::randint(0, 9, {count}, torch::kLong);
    const auto image = all.index({place, torch::arange(count, torch::kLong)});
    results.push_back(image + noise * torch::randn_like(image));
  }
  return torch::cat(results);
}

/// Digits, moved and with noise; `copies` of each. Other copies are held back.
inline Samples digit_samples(std::int64_t copies, double noise) {
  torch::manual_seed(21);
  const Data data = digits();
  const auto input = torch::cat({data.input, data.validation_input, data.held_input});
  const auto target = torch::cat({data.target, data.validation_target, data.held_target});
  constexpr std::int64_t held = 1000;
  return {moved(input, copies, noise), target.repeat({copies}),
          moved(input.slice(0, 0, held), 1, noise), target.slice(0, 0, held)};
}

/// A share of the training labels drawn anew.
inline Samples with_wrong_labels(Samples samples, double share) {
  torch::manual_seed(22);
  const auto others = torch::randint(0, 10, samples.target.sizes(), torch::kLong);
  samples.target =
      torch::where(torch::rand(samples.target.sizes()) < share, others, samples.target);
  return samples;
}

/// Images turned by an angle.
inline torch::Tensor turned(const torch::Tensor& images, double degrees) {
  namespace F = torch::nn::functional;
  const double angle = degrees * 3.14159265358979 / 180;
  const auto c = static_cast<float>(std::cos(angle)), s = static_cast<float>(std::sin(angle));
  const auto matrix =
      torch::tensor({c, -s, 0.F, s, c, 0.F}).view({1, 2, 3}).expand({images.size(0), 2, 3});
  const auto low = images.min();
  const auto grid = F::affine_grid(matrix, images.sizes(), false);
  return F::grid_sample(images - low, grid, F::GridSampleFuncOptions().align_corners(false)) + low;
}

/// The same change of all images.
template <class Change>
Samples changed(Samples samples, const Change& change) {
  samples.input = change(samples.input);
  samples.held_input = change(samples.held_input);
  return samples;
}

/// The samples of the classes from `first` to `last`, renumbered from 0.
inline Samples classes(const Samples& samples, std::int64_t first, std::int64_t last) {
  const auto chosen = [&](const torch::Tensor& target) {
    return ((target >= first) & (target <= last)).nonzero().squeeze(1);
  };
  const auto train = chosen(samples.target), held = chosen(samples.held_target);
  return {samples.input.index_select(0, train), samples.target.index_select(0, train) - first,
          samples.held_input.index_select(0, held),
          samples.held_target.index_select(0, held) - first};
}

/// Two spirals in a plane that is tilted in four dimensions.
inline Samples two_spirals() {
  torch::manual_seed(23);
  const auto target = torch::randint(0, 2, {12000}, torch::kLong);
  const auto radius = 0.1 + 0.9 * torch::rand({12000});
  const auto angle =
      7 * radius + 3.14159265 * target.to(torch::kFloat) + 0.15 * torch::randn({12000});
  const auto plane = 2 * torch::stack({radius * torch::cos(angle), radius * torch::sin(angle)}, 1);
  return hold_back(plane.matmul(torch::randn({2, 4})), target);
}

/// Overlapping Gaussian clusters in ten dimensions, ten for each of six classes.
inline Samples clusters(std::int64_t count = 20000) {
  torch::manual_seed(24);
  const auto cluster = torch::randint(0, 60, {count}, torch::kLong);
  const auto centres = 1.3 * torch::randn({60, 10});
  return hold_back(centres.index_select(0, cluster) + torch::randn({count, 10}), cluster % 6);
}

/// Six overlapping classes, each a curved sheet in 12 dimensions of very unlike scales.
inline Samples curved_sheets(std::int64_t count = 20000) {
  torch::manual_seed(31);
  const auto target = torch::randint(0, 6, {count}, torch::kLong);
  const auto centres = torch::randn({6, 12}), bend = torch::randn({6, 2, 12});
  const auto place = torch::tanh(2 * torch::randn({count, 2}));
  const auto along = torch::bmm(place.unsqueeze(1), bend.index_select(0, target)).squeeze(1);
  const auto scale = torch::logspace(-1, 0.5, 12);
  return hold_back((centres.index_select(0, target) + along + torch::randn({count, 12})) * scale,
                   target);
}

/// A function of ten numbers of which five matter, with noise: Friedman 1991.
inline Samples friedman() {
  torch::manual_seed(25);
  const auto x = torch::rand({20000, 10});
  const auto value = 10 * torch::sin(3.14159265 * x.select(1, 0) * x.select(1, 1)) +
                     20 * (x.select(1, 2) - 0.5).square() + 10 * x.select(1, 3) +
                     5 * x.select(1, 4) + 0.1 * torch::randn({20000});
  return hold_back(2 * x - 1, ((value - 14.4) / 4.9).unsqueeze(1));
}

/// A smooth function of eight numbers, with a little noise.
inline Samples smooth_surface() {
  torch::manual_seed(26);
  const auto x = torch::randn({20000, 8});
  const auto value =
      torch::sin(x.matmul(torch::randn({8, 4}) / 2)).sum(1) + x.select(1, 0) * x.select(1, 1);
  return hold_back(x, (value + 0.02 * torch::randn({20000})).unsqueeze(1));
}

/// The response of a random network of 24 tanh units, in two numbers, with a little noise.
inline Samples responses(std::int64_t count = 20000) {
  torch::manual_seed(27);
  const auto x = torch::randn({count, 6});
  const auto value = torch::tanh(x.matmul(torch::randn({6, 24}))).matmul(torch::randn({24, 2}) / 3);
  return hold_back(x, value + 0.02 * torch::randn_like(value));
}

/// Texts of six letters out of twelve (N x 6) from a Markov chain of second order; the target of
/// each letter is the next one.
inline Samples short_texts(std::int64_t count = 20000) {
  torch::manual_seed(28);
  constexpr std::int64_t length = 6;
  const auto chain = torch::softmax(2.5 * torch::randn({12, 12, 12}), 2);
  std::vector<torch::Tensor> letters{torch::randint(0, 12, {count}, torch::kLong),
                                     torch::randint(0, 12, {count}, torch::kLong)};
  while (letters.size() < length + 1) {
    const auto scores = chain.index({letters[letters.size() - 2], letters.back()});
    letters.push_back(scores.multinomial(1).squeeze(1));
  }
  const auto text = torch::stack(letters, 1);
  return hold_back(text.slice(1, 0, length).contiguous(), text.slice(1, 1).contiguous());
}

/// Sequences of numbers, two of them marked (N x length x 2); the target is the sum of these two:
/// the adding problem of Hochreiter & Schmidhuber 1997.
inline Samples marked_sums(std::int64_t length) {
  torch::manual_seed(29);
  const auto values = torch::rand({20000, length});
  auto marks = torch::zeros({20000, length});
  marks.scatter_(1, torch::randint(0, length / 2, {20000, 1}, torch::kLong), 1.0);
  marks.scatter_(1, torch::randint(length / 2, length, {20000, 1}, torch::kLong), 1.0);
  return hold_back(torch::stack({values, marks}, 2), (values * marks).sum(1, true));
}

/// Texts of 20 words out of 200, whose target is the topic, one of 8 (N x 20 indices).
inline Samples words() {
  torch::manual_seed(30);
  const auto topics = torch::softmax(0.7 * torch::randn({8, 200}), 1);
  const auto target = torch::randint(0, 8, {20000}, torch::kLong);
  return hold_back(topics.index_select(0, target).multinomial(20, true), target);
}

/// The same texts as counts of the words (N x 200).
inline Samples word_counts() {
  return changed(words(), [](const auto& text) {
    return torch::zeros({text.size(0), 200})
        .scatter_add(1, text, torch::ones_like(text, torch::kFloat));
  });
}
