#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include "../long_trainings/samples.hpp"
#include "hard_task.hpp"

/// @file
/// Losses that are often 0, that may be negative, or that are very small or large.

/// Images of noise (N x 1 x 8 x 8), half of them with a spot; the target is (1, y, x) or zeros.
inline Samples spots() {
  torch::manual_seed(46);
  constexpr std::int64_t count = 9000;
  const auto place = 1 + 5 * torch::rand({count, 2});
  const auto pixel = torch::arange(8, torch::kFloat);
  const auto near = [&](std::int64_t axis) {
    return torch::exp(-(pixel - place.select(1, axis).unsqueeze(1)).square() / 2);
  };
  const auto is_there = (torch::rand({count, 1}) < 0.5).to(torch::kFloat);
  const auto images = torch::bmm(near(0).unsqueeze(2), near(1).unsqueeze(1)).unsqueeze(1);
  const auto input =
      3 * images * is_there.view({-1, 1, 1, 1}) + 0.3 * torch::randn({count, 1, 8, 8});
  return hold_back(input, torch::cat({is_there, (place - 3.5) / 1.5 * is_there}, 1));
}

/// A share of the batches, the first one with them, has targets in which there is nothing to learn.
inline MakeBatches with_nothing_in(const MakeBatches& make, double share, double nothing) {
  return changed_batches(make, [=](HardBatch& batch, std::size_t step, std::mt19937& random) {
    if (happens(share, random) || step == 0) {
      std::get<1>(batch) = torch::full_like(std::get<1>(batch), nothing);
    }
  });
}

inline void add_nothing_to_learn(std::vector<HardKind>& kinds) {
  const auto spot = shared(spots());
  const Criterion place = [](const torch::Tensor& output, const torch::Tensor& target) {
    const auto distance = (output - target.slice(1, 1)).square().sum(1);
    return (distance * target.select(1, 0)).mean();
  };
  kinds.push_back({"detection_third", dense(64, 2, 1, 32),
                   with_nothing_in(drawn(spot, 8), 1 / 3.0, 0), weighted_loss(place),
                   mean_loss(spot, place)});
  // Cross entropy ignores the target -100.
  const auto digit = shared(digit_samples(8, 0.2));
  const Criterion masked = [](const torch::Tensor& scores, const torch::Tensor& target) {
    namespace F = torch::nn::functional;
    return F::cross_entropy(scores, target, F::CrossEntropyFuncOptions().reduction(torch::kSum)) /
           target.size(0);
  };
  kinds.push_back({"detection_tenth", dense(64, 10, 1, 32),
                   with_nothing_in(drawn(digit, 16), 0.9, -100), weighted_loss(masked),
                   mean_loss(digit, masked)});
}

inline void add_often_zero(std::vector<HardKind>& kinds) {
  const auto digit = shared(digit_samples(8, 0.2));
  const Criterion hinge = [](const torch::Tensor& output, const torch::Tensor& digits_seen) {
    const auto side = 2 * digits_seen.ge(5).to(torch::kFloat) - 1;
    return torch::relu(1 - output.squeeze(1) * side).mean();
  };
  kinds.push_back({"hinge", dense(64, 1, 1, 32), drawn(digit, 4), weighted_loss(hinge),
                   mean_loss(digit, hinge)});
  // The members of a batch stand in for anchors, others like them and others unlike them: for each
  // anchor the first of either kind.
  const Criterion triplet = [](const torch::Tensor& output, const torch::Tensor& target) {
    const auto same = target.unsqueeze(0).eq(target.unsqueeze(1)).to(torch::kFloat);
    const auto self = torch::eye(target.size(0));
    const auto like = (same - self).argmax(1), unlike = (1 - same).argmax(1);
    const auto is_there = ((same - self).sum(1) > 0).to(torch::kFloat);
    const auto far = [&](const torch::Tensor& other) {
      return (output - output.index_select(0, other)).square().sum(1);
    };
    return (torch::relu(0.5 + far(like) - far(unlike)) * is_there).mean();
  };
  kinds.push_back({"triplets", dense(64, 4, 1, 32), drawn(digit, 8), weighted_loss(triplet),
                   mean_loss(digit, triplet)});
  const auto cluster = shared(clusters());
  const Criterion focal = [](const torch::Tensor& scores, const torch::Tensor& target) {
    const auto is_class = torch::one_hot(target, 6).to(torch::kFloat);
    const auto log_right = torch::log_sigmoid(scores * (2 * is_class - 1));
    return -((1 - log_right.exp()).square() * log_right).sum(1).mean();
  };
  kinds.push_back({"focal", dense(10, 6, 1, 32), drawn(cluster, 8), weighted_loss(focal),
                   mean_loss(cluster, focal)});
}

/// Two classes of curved_sheets, one sample in 50 of the first. Its loss counts 50 times.
inline void add_imbalance(std::vector<HardKind>& kinds) {
  auto samples = classes(curved_sheets(), 0, 1);
  torch::manual_seed(47);
  const auto of = [&](std::int64_t label) {
    const auto members = (samples.target == label).nonzero().squeeze(1);
    return members.index_select(0, torch::randperm(members.size(0), torch::kLong));
  };
  const auto common = of(1), chosen = torch::cat({of(0).slice(0, 0, common.size(0) / 50), common});
  samples.input = samples.input.index_select(0, chosen);
  samples.target = samples.target.index_select(0, chosen);
  const auto few = shared(std::move(samples));
  const auto counted = [](double first) {
    return [first](const torch::Tensor& scores, const torch::Tensor& target) {
      const auto loss = torch::nn::functional::cross_entropy(
          scores, target, torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kNone));
      return (loss * (1 + (first - 1) * target.eq(0).to(torch::kFloat))).mean();
    };
  };
  kinds.push_back({"imbalance", dense(12, 2, 1, 24), drawn(few, 16), weighted_loss(counted(50)),
                   mean_loss(few, counted(1))});
}

inline void add_signed(std::vector<HardKind>& kinds) {
  const auto loss = gaussian_likelihood();
  const auto response = shared(responses());
  kinds.push_back({"signed_likelihood", dense(6, 4, 1, 32), drawn(response, 8), weighted_loss(loss),
                   mean_loss(response, loss), 0.3});
  // The targets are so small that nearly all is the log variance, which starts near 0.
  Samples surface = smooth_surface();
  surface.target = 0.1 * surface.target;
  surface.held_target = 0.1 * surface.held_target;
  const auto small = shared(std::move(surface));
  kinds.push_back({"likelihood_from_zero", dense(8, 2, 1, 32), drawn(small, 8), weighted_loss(loss),
                   mean_loss(small, loss), 0.3});
}

inline void add_scaled(std::vector<HardKind>& kinds) {
  const auto scaled = [](const MakeBatches& make, double scale) {
    return changed_batches(make, [scale](HardBatch& batch, std::size_t, std::mt19937&) {
      std::get<2>(batch) = scale;
    });
  };
  const auto cluster = shared(clusters());
  const auto points = shared(friedman());
  kinds.push_back({"tiny_loss", dense(10, 6, 1, 32), scaled(drawn(cluster, 16), 1e-6),
                   weighted_loss(cross_entropy()), mean_loss(cluster, cross_entropy()), 1e6});
  kinds.push_back({"huge_loss", dense(10, 1, 1, 32), scaled(drawn(points, 16), 1e6),
                   weighted_loss(squared_error()), mean_loss(points, squared_error()), 1e-6});
}
