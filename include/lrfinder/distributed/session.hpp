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
#include <lrfinder/distributed/ranks.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/history/iteration.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/snapshot/saved_optimizer.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/torch/compatibility.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/training/measurement.hpp>

namespace lrfinder::detail {

/// This process's part in a test that several ranks run together; the whole of it where there are
/// no ranks, and then nothing here costs anything.
///
/// What happens between the ranks is in HealthCheck. Per iteration there are one roll call after
/// the backward pass, which brings the loss and the metrics of all, then the averaging of the
/// gradients; one more where there is a validation loader; and one more where rank 0 has a
/// callback.
class Session {
 public:
  explicit Session(std::shared_ptr<Ranks> ranks) : health_check_(std::move(ranks)) {}

  /// True where there are no ranks.
  bool alone() const noexcept { return health_check_.alone(); }

  /// True on the rank that shows progress and calls back.
  bool leads() const { return health_check_.rank() == 0; }

  /// Runs a whole test, and returns what it returns. When it throws, the other ranks are told, and
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

  /// Begins a test or a heat, when all that this rank can check by itself has been checked: waits
  /// for all ranks, makes sure that they agree on `terms` and on the tensors that are trained, and
  /// gives these the values that they have on rank 0, as DistributedDataParallel does. What is
  /// given back in the end is each rank's own.
  ///
  /// Throws InvalidOption on a rank that differs from rank 0.
  void start(Fingerprint terms, const TrainingState& borrowed,
             const torch::optim::Optimizer& optimizer, const RangeTestOptions& options) {
    if (alone()) return;
    if (options.metrics().size() > max_metrics) {
      throw InvalidOption("RangeTestOptions: several ranks can record at most " +
                          std::to_string(max_metrics) + " metrics");
    }
    const TensorBroadcast trained = collect(borrowed);
    for (std::size_t i = 0; i < trained.tensors().size(); ++i) {
      std::ostringstream shape;
      shape << trained.tensors()[i].dtype() << ' ' << trained.tensors()[i].sizes();
      terms.on("tensor " + std::to_string(i), shape.str());
    }
    gradients_.emplace(optimizer);
    const double watched = leads() && options.on_iteration().is_set() ? 1 : 0;
    watched_ = health_check_(SyncPoint::start, {watched}).front() > 0;
    std::string of_rank_0;
    health_check_.all("comparing the settings",
                      [&](Ranks& ranks) { of_rank_0 = text_of_rank_0(terms.text(), ranks); });
    terms.require_same(of_rank_0, health_check_.rank());
    health_check_(SyncPoint::agreed);
    health_check_.all("giving all ranks the model of rank 0", trained);
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

  /// Whether the test goes on, which rank 0 decides.
  bool goes_on(bool on_rank_0) {
    if (alone() || !watched_) return on_rank_0;
    return health_check_(SyncPoint::decision, {leads() && !on_rank_0 ? 1.0 : 0.0}).front() == 0;
  }

  /// Ends a test: what goes wrong after it is no longer the matter of the other ranks.
  void end() {
    if (!alone()) health_check_.end();
  }

 private:
  static constexpr std::size_t max_metrics = HealthCheck::max_values - 3;

  // The mean, and the sum over all ranks of another figure.
  std::pair<DeviceMeasurement, double> mean(DeviceMeasurement on_device, double samples,
                                            SyncPoint place, double other) {
    const torch::Tensor first = on_device.loss.figures().front().value;
    const Measurement mine = read(std::move(on_device));
    std::vector<double> figures{other, samples, samples * mine.loss};
    for (const auto& [name, value] : mine.metrics) figures.push_back(samples * value);
    figures = health_check_(place, std::move(figures));
    // Of the type and on the device where an optimizer expects its loss.
    const auto averaged = [&](std::size_t i) {
      return DeviceMean(torch::full_like(first, figures[i] / figures[1]));
    };
    DeviceMeasurement all{averaged(2), {}, {}};
    std::size_t i = 3;
    for (const auto& [name, value] : mine.metrics) all.metrics.emplace_back(name, averaged(i++));
    return {std::move(all), figures[0]};
  }

  // All that the test trains or changes: for a start the same everywhere.
  TensorBroadcast collect(const TrainingState& borrowed) {
    TensorBroadcast trained;
    buffers_ = {};
    for (const ModuleHandle& module : borrowed.modules) {
      module.each_parameter([&](const torch::Tensor& parameter) { trained.add(parameter); });
      module.each_buffer([&](const torch::Tensor& buffer) {
        trained.add(buffer);
        buffers_.add(buffer);
      });
    }
    for (const torch::Tensor& tensor : borrowed.tensors) trained.add(tensor);
    for (torch::optim::Optimizer* optimizer : borrowed.optimizers) {
      for (const auto& group : optimizer->param_groups()) {
        for (const auto& parameter : group.params()) {
          trained.add(parameter);
          if (auto* state = state_of(*optimizer, parameter)) {
            for_each_state_tensor(*state, [&](torch::Tensor& tensor) { trained.add(tensor); });
          }
        }
      }
    }
    return trained;
  }

  static std::string text_of_rank_0(const std::string& mine, Ranks& ranks) {
    const torch::Tensor size =
        torch::tensor({static_cast<std::int64_t>(mine.size())}, torch::kLong);
    ranks.broadcast(size.view(torch::kByte));
    torch::Tensor text = torch::empty(size.item<std::int64_t>(), torch::kByte);
    if (ranks.rank() == 0) std::memcpy(text.data_ptr(), mine.data(), mine.size());
    ranks.broadcast(text);
    const auto* begin = text.data_ptr<std::uint8_t>();
    return {begin, begin + text.numel()};
  }

  HealthCheck health_check_;
  TensorBroadcast buffers_;
  std::optional<GradientAveraging> gradients_;
  bool watched_ = false;
};

}  // namespace lrfinder::detail
