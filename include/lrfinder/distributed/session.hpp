#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed/broadcast.hpp>
#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/distributed/gradient_averaging.hpp>
#include <lrfinder/distributed/health_check.hpp>
#include <lrfinder/distributed/training_state.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/iteration.hpp>
#include <lrfinder/ranks.hpp>
#include <lrfinder/snapshot/modes.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/torch/measurement.hpp>
#include <lrfinder/torch/optimizer.hpp>

namespace lrfinder::detail {

/// This process's part in a test that several ranks run together. For one process nothing here does
/// anything.
///
/// Each iteration has one HealthCheck after the backward pass, which also sums the loss and the
/// metrics, and then averages the gradients; one more check with a validation loader; and one more
/// where rank 0 has a callback.
class Session {
 public:
  /// Most metrics that several ranks can record.
  static constexpr std::size_t max_metrics = HealthCheck::max_values - 3;

  /// `has_callback`: whether this rank has one that may end the test; that of rank 0 is asked.
  explicit Session(std::shared_ptr<Ranks> ranks, bool has_callback = false)
      : health_check_(std::move(ranks)), has_callback_(has_callback) {}

  /// True for one process without ranks.
  bool alone() const noexcept { return health_check_.alone(); }

  /// Which rank this one is, and how many there are; 0 and 1 for one process.
  std::int64_t rank() const { return health_check_.rank(); }
  std::int64_t size() const { return health_check_.size(); }

  /// True on the rank that reports progress and runs the callback.
  bool leads() const { return rank() == 0; }

  /// Runs a whole test, and returns what it returns. When it throws, the other ranks are told and
  /// end as well.
  template <class Test>
  auto run(Test&& test) {
    try {
      return test();
    } catch (...) {
      health_check_.leave(std::current_exception());
      throw;
    }
  }

  /// Begins a run, after all that this rank can check alone: waits for all ranks, checks that they
  /// agree on `fingerprint` and on the tensors that are trained, and gives these, and the state of
  /// the optimizers, the values that they have on rank 0, as DistributedDataParallel does with
  /// parameters and buffers. Each rank restores its own values in the end.
  ///
  /// `random`: null where each rank draws random numbers of its own; else it gets the values that
  /// it has on rank 0.
  ///
  /// Throws InvalidOption on a rank that differs from rank 0.
  void start(Fingerprint fingerprint, const TrainingState& state,
             const RandomState* random = nullptr) {
    if (alone()) return;
    add_optimizers(fingerprint, state);
    TensorBroadcast trained = tensors_of(state);
    buffers_ = buffers_of(state);
    if (random) {
      for (const torch::Tensor& tensor : random->tensors()) trained.add(tensor);
    }
    for (std::size_t i = 0; i < trained.tensors().size(); ++i) {
      const torch::Tensor& tensor = trained.tensors()[i];
      std::ostringstream shape;
      shape << tensor.dtype() << ' ' << tensor.sizes();
      fingerprint.add("tensor " + std::to_string(i), shape.str());
      fingerprint.add("requires_grad of tensor " + std::to_string(i), tensor.requires_grad());
    }
    add_training_flags(fingerprint, state);
    std::vector<std::string> archives;  // written by user code, so before a check
    for (torch::optim::Optimizer* optimizer : state.optimizers) {
      archives.push_back(leads() ? archive_of(*optimizer) : "");
    }
    gradients_.emplace(*state.optimizers.front());
    const double asks = leads() && has_callback_ ? 1 : 0;
    rank_0_decides_ = health_check_(SyncPoint::start, {asks}).front() > 0;
    require_same(fingerprint, "all ranks have to run the same test on the same model");
    health_check_.all("giving all ranks the model of rank 0", trained);
    for (std::size_t i = 0; i < archives.size(); ++i) {
      torch::optim::Optimizer& optimizer = *state.optimizers[i];
      if (is_libtorchs(optimizer)) continue;
      const std::string archive = broadcast_text(archives[i]);
      if (!leads()) read_archive(optimizer, archive);
      health_check_(SyncPoint::agreed);
    }
  }

  /// Waits for all ranks, and checks that they agree on a fingerprint. `demand`: how the message
  /// ends. Throws InvalidOption on a rank that differs from rank 0.
  void agree(const Fingerprint& fingerprint, const std::string& demand) {
    if (alone()) return;
    health_check_(SyncPoint::start);
    require_same(fingerprint, demand);
  }

  /// Waits for all ranks, and returns the text of rank 0.
  std::string text_of_rank_0(const std::string& mine) {
    if (alone()) return mine;
    health_check_(SyncPoint::start);
    return broadcast_text(mine);
  }

  /// While each rank trains alone: waits for all ranks, and returns the sums of their values and,
  /// by rank, their texts; no texts where all are empty.
  std::pair<std::vector<double>, std::vector<std::string>> exchange(std::vector<double> values,
                                                                    const std::string& text) {
    values.push_back(static_cast<double>(text.size()));
    std::vector<double> sums = health_check_(SyncPoint::trial, std::move(values));
    std::vector<std::string> texts;
    // At least as long as the longest.
    if (const auto length = static_cast<std::size_t>(sums.back())) {
      health_check_.all("exchanging the results of trials",
                        [&](Ranks& ranks) { texts = ranks.gather(text, length); });
    }
    sums.pop_back();
    return {sums, texts};
  }

  /// After the backward passes of an update, or of one of LBFGS's evaluations: averages gradients
  /// and gives the buffers the values that they have on rank 0, as DistributedDataParallel does.
  ///
  /// Takes and returns what mean() does.
  DeviceMeasurement after_backward(DeviceMeasurement mine, double samples) {
    if (alone()) return mine;
    const auto missing = static_cast<double>(gradients_->missing());
    auto [all, missing_anywhere] = mean(std::move(mine), samples, SyncPoint::backward, missing);
    health_check_.all("averaging the gradients",
                      [&, some_missing = missing_anywhere > 0](Ranks& ranks) {
                        (*gradients_)(ranks, some_missing);
                        buffers_(ranks);
                      });
    return std::move(all);
  }

  /// The averages over all ranks of the loss and the metrics that this one has measured on so many
  /// samples. Waits for the device and for all ranks.
  DeviceMeasurement mean(DeviceMeasurement mine, double samples) {
    if (alone()) return mine;
    return mean(std::move(mine), samples, SyncPoint::measured, 0).first;
  }

  /// Whether the test goes on. Rank 0 decides.
  bool goes_on(bool on_rank_0) {
    if (alone() || !rank_0_decides_) return on_rank_0;
    return health_check_(SyncPoint::decision, {leads() && !on_rank_0 ? 1.0 : 0.0}).front() == 0;
  }

  /// Ends a test: a failure after it does not concern the other ranks.
  void end() {
    if (!alone()) health_check_.end();
  }

 private:
  // The mean, and the sum over all ranks of another value.
  std::pair<DeviceMeasurement, double> mean(DeviceMeasurement on_device, double samples,
                                            SyncPoint place, double other) {
    const torch::Tensor first = on_device.loss.values().front();
    const Measurement mine = read(std::move(on_device));
    std::vector<double> values{other, samples, samples * mine.loss};
    for (const auto& [name, value] : mine.metrics) values.push_back(samples * value);
    values = health_check_(place, std::move(values));
    // Of the type and on the device where an optimizer expects its loss.
    const auto averaged = [&](std::size_t i) {
      return DeviceMean(torch::full_like(first, values[i] / values[1]));
    };
    DeviceMeasurement all{averaged(2), {}, {}};
    std::size_t i = 3;
    for (const auto& [name, value] : mine.metrics) all.metrics.emplace_back(name, averaged(i++));
    return {std::move(all), values[0]};
  }

  void require_same(const Fingerprint& fingerprint, const std::string& demand) {
    fingerprint.require_same(broadcast_text(fingerprint.text()), rank(), demand);
    health_check_(SyncPoint::agreed);
  }

  // Follows a check.
  std::string broadcast_text(const std::string& mine) {
    torch::Tensor text;
    health_check_.all("sending a text of rank 0", [&](Ranks& ranks) {
      const torch::Tensor size =
          torch::tensor({static_cast<std::int64_t>(mine.size())}, torch::kLong);
      ranks.broadcast(size.view(torch::kByte));
      text = torch::empty(size.item<std::int64_t>(), torch::kByte);
      if (ranks.rank() == 0) std::memcpy(text.data_ptr(), mine.data(), mine.size());
      ranks.broadcast(text);
    });
    const auto* begin = text.data_ptr<std::uint8_t>();
    return {begin, begin + text.numel()};
  }

  HealthCheck health_check_;
  TensorBroadcast buffers_;
  std::optional<GradientAveraging> gradients_;
  bool has_callback_;
  bool rank_0_decides_ = false;
};

}  // namespace lrfinder::detail
