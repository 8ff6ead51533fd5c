#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include <torch/torch.h>

#include "../long_trainings/fine_tuning.hpp"
#include "../long_trainings/samples.hpp"
#include "hard_task.hpp"

/// @file
/// Noise in the targets, in the model and in the loss. The samples held back have none.

/// Adds noise of Student's t distribution to the training targets.
inline Samples with_heavy_tails(Samples samples, double degrees, double scale) {
  torch::manual_seed(43);
  const auto like = samples.target;
  const auto squares = 2 * at::_standard_gamma(torch::full_like(like, degrees / 2)) / degrees;
  samples.target = like + scale * torch::randn_like(like) / squares.sqrt();
  return samples;
}

inline void add_noisy_targets(std::vector<HardKind>& kinds) {
  const auto squares = squared_error(), entropy = cross_entropy();
  const auto tailed = shared(with_heavy_tails(friedman(), 1.5, 0.3));
  kinds.push_back({"heavy_tails", dense(10, 1, 1, 32), drawn(tailed, 16), weighted_loss(squares),
                   mean_loss(tailed, squares), 0.3});
  const auto response = shared(with_heavy_tails(responses(), 1.5, 0.5));
  const Criterion huber = [](const torch::Tensor& output, const torch::Tensor& target) {
    return torch::huber_loss(output, target);
  };
  kinds.push_back({"huber", dense(6, 2, 1, 32), drawn(response, 8), weighted_loss(huber),
                   mean_loss(response, huber)});
  const auto wrong = shared(with_wrong_labels(digit_samples(8, 0.2), 0.4));
  kinds.push_back({"wrong_labels", dense(64, 10, 1, 24), drawn(wrong, 8), weighted_loss(entropy),
                   mean_loss(wrong, entropy)});
}

/// A hidden layer, half of whose units drop out in training.
inline MakeNetwork with_half_dropped(std::int64_t inputs, std::int64_t outputs,
                                     std::int64_t width) {
  return [=] {
    using namespace torch::nn;
    auto network = std::make_shared<Network>();
    Sequential layers(Linear(inputs, width), ReLU(), Dropout(0.5), Linear(width, outputs));
    network->part(layers);
    network->run = [layers](const torch::Tensor& x) mutable { return layers->forward(x); };
    return network;
  };
}

inline void add_noisy_models(std::vector<HardKind>& kinds) {
  const auto entropy = cross_entropy();
  const auto cluster = shared(clusters());
  const auto digit = shared(digit_samples(8, 0.2));
  kinds.push_back({"dropout", with_half_dropped(10, 6, 48), drawn(cluster, 4),
                   weighted_loss(entropy), mean_loss(cluster, entropy)});
  kinds.push_back({"batch_norm", dense(64, 10, 1, 24, Normalisation::batch), drawn(digit, 4),
                   weighted_loss(entropy), mean_loss(digit, entropy)});
}

inline at::Generator same_random_numbers() { return at::detail::createCPUGenerator(44); }

/// An autoencoder with random codes: reproduced pixels, then the means and the log variances of
/// the four numbers of the code. In eval mode the randomness is always the same.
inline MakeNetwork variational_autoencoder(std::int64_t width) {
  return [=] {
    using torch::nn::Linear;
    auto network = std::make_shared<Network>();
    auto in = network->part(Linear(64, width)), code = network->part(Linear(width, 8));
    auto out = network->part(Linear(4, width)), pixels = network->part(Linear(width, 64));
    network->run = [=, self = network.get()](const torch::Tensor& images) mutable {
      const auto both = code(torch::relu(in(images.flatten(1))));
      const auto mean = both.slice(1, 0, 4), log_variance = both.slice(1, 4);
      const auto random = self->is_training()
                              ? torch::randn_like(mean)
                              : torch::empty_like(mean).normal_(0, 1, same_random_numbers());
      const auto drawn_code = mean + (log_variance / 2).exp() * random;
      return torch::cat({pixels(torch::relu(out(drawn_code))), both}, 1);
    };
    return network;
  };
}

inline void add_variational(std::vector<HardKind>& kinds) {
  const auto digit = shared(digit_samples(8, 0.1));
  const Criterion loss = [](const torch::Tensor& output, const torch::Tensor& images) {
    const auto error = (output.slice(1, 0, 64) - images.flatten(1)).square().sum(1);
    const auto mean = output.slice(1, 64, 68), log_variance = output.slice(1, 68);
    const auto distance = (log_variance.exp() + mean.square() - 1 - log_variance).sum(1);
    return (4 * error + distance).mean() / 2;
  };
  const auto itself = [](HardBatch& batch, std::size_t, std::mt19937&) {
    std::get<1>(batch) = std::get<0>(batch);
  };
  kinds.push_back({"variational", variational_autoencoder(24),
                   changed_batches(drawn(digit, 8), itself), weighted_loss(loss),
                   mean_loss(digit->held_input, digit->held_input, loss), 0.03});
}

/// Every time that an image is seen it is moved, a part is hidden, and noise is added.
inline void add_augmented(std::vector<HardKind>& kinds) {
  const auto digit = shared(digit_samples(4, 0.1));
  const auto loss = cross_entropy();
  const HardCriterion of_changed = [loss](const std::shared_ptr<Network>& network,
                                          const HardBatch& batch) {
    const auto& [input, target, weight] = batch;
    const auto move = torch::randint(-1, 2, {2}, torch::kLong);
    const auto moved_images =
        input.roll({move[0].item<std::int64_t>(), move[1].item<std::int64_t>()}, {2, 3});
    const auto seen = moved_images * (torch::rand_like(input) < 0.6);
    return loss(network->forward(seen + 0.5 * torch::randn_like(input)), target);
  };
  kinds.push_back(
      {"augmented", dense(64, 10, 1, 32), drawn(digit, 8), of_changed, mean_loss(digit, loss)});
}

inline void add_fine_tuning_kind(std::vector<HardKind>& kinds) {
  const auto moving = digit_samples(8, 0.3);
  const auto second_half = shared(classes(moving, 5, 9));
  const Pretrained pretrained(dense_backbone(32, 24, false), 24, 5, shared(classes(moving, 0, 4)));
  const auto loss = cross_entropy();
  kinds.push_back({"fine_tuning", [pretrained] { return pretrained.network(45, false); },
                   drawn(second_half, 2), weighted_loss(loss), mean_loss(second_half, loss), 0.3,
                   0.3});
}
