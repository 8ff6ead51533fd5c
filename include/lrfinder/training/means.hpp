#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <torch/torch.h>

namespace lrfinder::training {

/// The weighted mean of figures that lie on a device as tensors of one element. They are read all
/// at once, when the mean is asked for, so that the device is waited for only then.
class DeviceMean {
 public:
  void add(const torch::Tensor& value, double weight) {
    values_.push_back(value.detach().reshape({}));
    weights_.push_back(weight);
  }

  /// The mean, computed in double precision.
  double value() const {
    const torch::Tensor values = torch::stack(values_).to(torch::kCPU, torch::kDouble);
    double sum = 0;
    double weight = 0;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      sum += values.data_ptr<double>()[i] * weights_[i];
      weight += weights_[i];
    }
    return sum / weight;
  }

 private:
  std::vector<torch::Tensor> values_;
  std::vector<double> weights_;
};

}  // namespace lrfinder::training
