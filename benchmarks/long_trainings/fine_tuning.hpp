#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include "models.hpp"
#include "samples.hpp"
#include "task.hpp"

/// @file
/// Models that have been trained before.

using MakeBackbone = std::function<torch::nn::Sequential()>;

/// Two layers for images of 8 x 8 pixels.
inline MakeBackbone dense_backbone(std::int64_t width, std::int64_t features, bool normalised) {
  return [=] {
    using namespace torch::nn;
    Sequential layers(Flatten(), Linear(64, width));
    if (normalised) layers->push_back(BatchNorm1d(width));
    layers->extend(*Sequential(ReLU(), Linear(width, features), ReLU()));
    return layers;
  };
}

/// One convolution for images of 8 x 8 pixels, with 16 features a channel.
inline MakeBackbone convolutional_backbone(std::int64_t channels) {
  return [=] {
    using namespace torch::nn;
    return Sequential(Conv2d(Conv2dOptions(1, channels, 3).padding(1)), ReLU(), MaxPool2d(2),
                      Flatten());
  };
}

/// A backbone and a head that have been trained on classes of images. The training takes place when
/// it is first needed, and is the same every time.
class Pretrained {
 public:
  Pretrained(MakeBackbone make_backbone, std::int64_t features, std::int64_t classes,
             SharedSamples samples)
      : make_backbone_(std::move(make_backbone)),
        features_(features),
        classes_(classes),
        samples_(std::move(samples)),
        state_(std::make_shared<std::vector<torch::Tensor>>()) {}

  /// A network with the trained backbone. The head is the trained one, or a new one from the random
  /// numbers of `seed`, for as many classes.
  std::shared_ptr<Network> network(std::uint64_t seed, bool old_head) const {
    if (state_->empty()) train();
    torch::manual_seed(seed);
    auto result = with_head(make_backbone_, features_, classes_)();
    const auto parts = old_head ? result : result->children().front();
    const torch::NoGradGuard without_gradients;
    const auto tensors = tensors_of(*parts);
    for (std::size_t i = 0; i < tensors.size(); ++i) tensors[i].copy_((*state_)[i]);
    return result;
  }

 private:
  // Backbone first, head last.
  static std::vector<torch::Tensor> tensors_of(const torch::nn::Module& module) {
    std::vector<torch::Tensor> tensors;
    module.apply([&](const torch::nn::Module& part) {
      for (const auto& tensor : part.parameters(false)) tensors.push_back(tensor);
      for (const auto& tensor : part.buffers(false)) tensors.push_back(tensor);
    });
    return tensors;
  }

  void train() const {
    torch::manual_seed(31);
    auto network = with_head(make_backbone_, features_, classes_)();
    auto optimizer = make_optimizer("adam", {{network->parameters(), 1.0}});
    const auto criterion = cross_entropy();
    constexpr int steps = 1500;
    for (int step = 0; step < steps; ++step) {
      for (auto& group : optimizer->param_groups()) {
        group.options().set_lr(3e-3 * (1 - static_cast<double>(step) / steps));
      }
      const auto chosen = torch::randint(0, samples_->input.size(0), {32}, torch::kLong);
      optimizer->zero_grad();
      criterion(network->forward(samples_->input.index_select(0, chosen)),
                samples_->target.index_select(0, chosen))
          .backward();
      optimizer->step();
    }
    for (const auto& tensor : tensors_of(*network)) state_->push_back(tensor.detach().clone());
  }

  MakeBackbone make_backbone_;
  std::int64_t features_, classes_;
  SharedSamples samples_;
  std::shared_ptr<std::vector<torch::Tensor>> state_;
};

/// What of a pretrained model is trained.
enum class Trained {
  all,                  ///< all, with a new head
  head,                 ///< a new head; the backbone is frozen
  backbone_at_a_tenth,  ///< all, with a new head, the backbone at a tenth of the head's rate
  all_with_old_head     ///< all, as it is
};

struct FineTuning {
  Pretrained pretrained;
  Trained trained;

  Training make(const std::string& optimizer_name, std::uint64_t seed) const {
    Training training;
    training.network = pretrained.network(seed, trained == Trained::all_with_old_head);
    const auto parts = training.network->children();
    const auto backbone = parts.front()->parameters(), head = parts.back()->parameters();
    std::vector<ParameterGroup> groups{{training.network->parameters(), 1.0}};
    if (trained == Trained::head) {
      for (auto parameter : backbone) parameter.set_requires_grad(false);
      groups = {{head, 1.0}};
    }
    if (trained == Trained::backbone_at_a_tenth) groups = {{head, 1.0}, {backbone, 0.1}};
    training.optimizer = make_optimizer(optimizer_name, groups);
    return training;
  }
};
