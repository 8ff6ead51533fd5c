#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/communicator.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/distributed/gradient_averaging.hpp>
#include <lrfinder/distributed/health_check.hpp>
#include <lrfinder/distributed/trained_objects.hpp>
#include <lrfinder/snapshot/random_state.hpp>
#include <lrfinder/torch/measurement.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/torch/optimizer.hpp>

namespace lrfinder::detail {

/// The part of this process in a test of several ranks. Does nothing for a single process.
///
/// Each iteration has a HealthCheck after the backward pass. This check also sums the loss and the
/// metrics. Then the gradients are averaged. A validation loader adds a check, and so does a
/// callback of rank 0.
class Session : private HealthCheck {
 public:
  /// The maximum number of metrics that several ranks can record.
  static constexpr std::size_t max_metrics = max_values - 4;

  /// `has_callback`: whether this rank has a callback that may end the test. Only the callback of
  /// rank 0 is used.
  explicit Session(std::shared_ptr<Communicator> ranks, bool has_callback = false)
      : HealthCheck(std::move(ranks)), has_callback_(has_callback) {}

  using HealthCheck::end, HealthCheck::is_single_process, HealthCheck::rank, HealthCheck::run,
      HealthCheck::size;

  /// True on the rank that reports progress and runs the callback.
  bool is_rank_0() const { return rank() == 0; }

  /// Begins a run. To be called after all checks that this rank can do alone. Waits for all ranks,
  /// and checks that they agree on `fingerprint` and on the trained tensors. Then gives the trained
  /// tensors and the optimizer states the values of rank 0, as DistributedDataParallel does with
  /// parameters and buffers. Each rank restores its own values in the end.
  ///
  /// `random`: gets the values of rank 0. If it is null, each rank draws its own random numbers.
  ///
  /// Throws InvalidOption on a rank that differs from rank 0.
  void start(Fingerprint fingerprint, const TrainedObjects& trained,
             const RandomState* random = nullptr) {
    if (is_single_process()) return;
    add_optimizers(fingerprint, trained);
    TensorList tensors = tensors_of(trained);
    buffers_ = buffers_of(trained);
    if (random) {
      for (const torch::Tensor& tensor : random->tensors()) tensors.add(tensor);
    }
    for (std::size_t i = 0; i < tensors.tensors().size(); ++i) {
      const torch::Tensor& tensor = tensors.tensors()[i];
      fingerprint.add(concat("tensor ", i), concat(tensor.dtype(), ' ', tensor.sizes()))
          .add(concat("requires_grad of tensor ", i), tensor.requires_grad());
    }
    add_training_flags(fingerprint, trained);
    std::vector<std::string> archives;  // written by user code, so before a check
    for (torch::optim::Optimizer* optimizer : trained.optimizers) {
      for_each_own_part(*optimizer, [&](auto&& serialize) {
        archives.push_back(is_rank_0() ? archived(serialize) : "");
      });
    }
    gradients_.emplace(*trained.optimizers.front());
    const double asks = is_rank_0() && has_callback_ ? 1 : 0;
    rank_0_decides_ = sum_if_all_well(SyncPoint::start, {asks}).front() > 0;
    require_same(fingerprint, "all ranks have to run the same test on the same model");
    run_collectives("giving all ranks the model of rank 0",
                    [&](Communicator& ranks) { tensors.broadcast(ranks); });
    std::size_t part = 0;
    for (torch::optim::Optimizer* optimizer : trained.optimizers) {
      for_each_own_part(*optimizer, [&](auto&& serialize) {
        const std::string archive = text_of_rank_0(archives.at(part++));
        if (!is_rank_0()) read_archive(*optimizer, archive, serialize);
      });
    }
  }

  /// Waits for all ranks, and checks that they agree on a fingerprint. `demand`: the end of the
  /// error message. Throws InvalidOption on a rank that differs from rank 0.
  void require_same(const Fingerprint& fingerprint, const std::string& demand) {
    fingerprint.require_same(text_of_rank_0(fingerprint.text()), rank(), demand);
    sum_if_all_well(SyncPoint::agreed);
  }

  /// Waits for all ranks, and returns the text of rank 0.
  std::string text_of_rank_0(const std::string& mine) {
    if (is_single_process()) return mine;
    const auto my_size = is_rank_0() ? static_cast<double>(mine.size()) : 0;
    const double size = sum_if_all_well(SyncPoint::start, {my_size}).front();
    const torch::Tensor text = torch::empty(static_cast<std::int64_t>(size), torch::kByte);
    if (is_rank_0()) std::memcpy(text.data_ptr(), mine.data(), mine.size());
    run_collectives("sending a text of rank 0",
                    [&](Communicator& ranks) { ranks.broadcast(text); });
    const auto* begin = text.data_ptr<std::uint8_t>();
    return {begin, begin + text.numel()};
  }

  /// For trials of single ranks: waits for all ranks, and returns the sums of their values.
  std::vector<double> sum(std::vector<double> values) {
    sum_if_all_well(SyncPoint::trial);
    run_collectives("exchanging the results of trials",
                    [&](Communicator& ranks) { values = ranks.sum(std::move(values)); });
    return values;
  }

  /// To be called after the backward passes of an update, or of one evaluation by LBFGS. Averages
  /// the gradients, and gives the buffers the values of rank 0, as DistributedDataParallel does.
  ///
  /// Takes and returns the same as mean().
  DeviceMeasurement after_backward(DeviceMeasurement mine, double samples) {
    if (is_single_process()) return mine;
    const auto missing = static_cast<double>(gradients_->missing());
    auto [all, missing_anywhere] = mean(std::move(mine), samples, SyncPoint::backward, missing);
    run_collectives("averaging the gradients",
                    [&, some_missing = missing_anywhere > 0](Communicator& ranks) {
                      gradients_->run(ranks, some_missing);
                      buffers_.broadcast(ranks);
                    });
    return std::move(all);
  }

  /// Averages the loss and the metrics over all ranks. `mine`: the values of this rank, measured on
  /// so many `samples`. Waits for the device and for all ranks.
  DeviceMeasurement mean(DeviceMeasurement mine, double samples) {
    if (is_single_process()) return mine;
    return mean(std::move(mine), samples, SyncPoint::measured, 0).first;
  }

  /// Whether the test goes on. Rank 0 decides.
  bool goes_on(bool on_rank_0) {
    if (is_single_process() || !rank_0_decides_) return on_rank_0;
    const double ends = is_rank_0() && !on_rank_0 ? 1 : 0;
    return sum_if_all_well(SyncPoint::decision, {ends}).front() == 0;
  }

 private:
  // Returns the mean, and the sum of `other` over all ranks.
  std::pair<DeviceMeasurement, double> mean(DeviceMeasurement on_device, double samples,
                                            SyncPoint point, double other) {
    const torch::Tensor first = on_device.loss.values().front();
    const Measurement mine = on_device.read();
    std::vector<double> values{other, samples, samples * mine.raw_loss,
                               samples * mine.untrained_loss.value_or(0)};
    for (const auto& [name, value] : mine.metrics) values.push_back(samples * value);
    values = sum_if_all_well(point, std::move(values));
    // The type and device are those of the loss that the optimizer expects.
    const auto averaged = [&](std::size_t i) {
      return DeviceMean(torch::full_like(first, values[i] / values[1]));
    };
    DeviceMeasurement all;
    all.loss = averaged(2);
    if (mine.untrained_loss) all.untrained_loss = averaged(3);
    std::size_t i = 4;
    for (const auto& [name, value] : mine.metrics) all.metrics.emplace_back(name, averaged(i++));
    return {std::move(all), values[0]};
  }

  TensorList buffers_;
  std::optional<GradientAveraging> gradients_;
  bool has_callback_;
  bool rank_0_decides_ = false;
};

}  // namespace lrfinder::detail
