#pragma once

#include <cstddef>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/training/batch.hpp>
#include <lrfinder/training/criterion.hpp>
#include <lrfinder/training/loader.hpp>
#include <lrfinder/training/training_mode.hpp>

namespace lrfinder::training {

/// The mean loss over the samples of a validation loader, in eval mode and without gradients.
///
/// Each batch's loss is weighted by its size, and the sum divided by the number of samples that
/// were seen, so that a smaller last batch or a dropped one does no harm. The criterion has to
/// average over the samples of its batch, as LibTorch's do by default.
template <class Model, class Criterion, class Loader>
class Validation {
 public:
  Validation(Model& model, Criterion& criterion, Walk<Loader>& batches, TrainingMode& mode,
             torch::Device device)
      : model_(model), criterion_(criterion), batches_(batches), mode_(mode), device_(device) {}

  double operator()() {
    const torch::NoGradGuard without_gradients;
    mode_.evaluate();
    std::vector<torch::Tensor> losses;
    std::vector<double> sizes;
    batches_.each([&](const auto& fetched) {
      const auto batch = on_device(fetched, device_);
      losses.push_back(loss_of(model_, criterion_, batch).reshape({}));
      sizes.push_back(static_cast<double>(samples_in(batch)));
      return true;
    });
    mode_.train();
    // One transfer for the whole pass, then sums in double precision.
    const torch::Tensor values = torch::stack(losses).to(torch::kCPU, torch::kDouble);
    double sum = 0;
    double samples = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      sum += values.data_ptr<double>()[i] * sizes[i];
      samples += sizes[i];
    }
    return sum / samples;
  }

 private:
  Model& model_;
  Criterion& criterion_;
  Walk<Loader>& batches_;
  TrainingMode& mode_;
  torch::Device device_;
};

}  // namespace lrfinder::training
