#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/snapshot/random_state.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/torch/autocast.hpp>
#include <lrfinder/torch/measurement.hpp>
#include <lrfinder/training/kept_batches.hpp>
#include <lrfinder/training/training_settings.hpp>

namespace lrfinder::detail {

/// Throws InvalidStep unless the loss is one real number.
inline void require_scalar(const torch::Tensor& loss) {
  if (loss.defined() && loss.numel() == 1 && !loss.is_complex()) return;
  const std::string given = !loss.defined()     ? "an undefined tensor"
                            : loss.is_complex() ? "a complex tensor"
                                                : concat("a tensor of shape ", loss.sizes());
  throw InvalidStep(
      "LRFinder: the criterion returned " + given +
      "; it must return a real scalar: reduce the losses of the samples with .mean()");
}

/// Evaluates the model and the criterion on a batch, in the precision of the settings. Returns the
/// loss, a tensor of one element. If `metrics` is given, adds the values of the metrics to it,
/// weighted by the size of the batch.
///
/// Throws InvalidStep if the batch has no tensors, or if the criterion or a metric does not return
/// a scalar.
inline torch::Tensor evaluate(AnyBatch& batch, const TrainingSettings& settings,
                              DeviceMeasurement* metrics = nullptr) {
  const Autocast in_mixed_precision(settings.placement.device, settings.options.autocast());
  ForwardResult result = batch.forward_loss();
  if (metrics) {
    const torch::NoGradGuard without_gradients;
    const auto& wanted = settings.options.metrics();
    metrics->metrics.resize(wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const auto& [name, metric] = wanted[i];
      const torch::Tensor value = metric(result.output.detach(), result.target);
      if (!value.defined() || value.numel() != 1) {
        throw InvalidStep("LRFinder: the metric \"" + name + "\" must return a scalar");
      }
      metrics->metrics[i].first = name;
      metrics->metrics[i].second.add(value, static_cast<double>(batch.samples()));
    }
  }
  require_scalar(result.loss);
  return std::move(result.loss);
}

/// Measures the mean loss and the metrics over the samples of a validation loader, in eval mode and
/// without gradients.
///
/// The loss of each batch is weighted by its number of samples, so a smaller last batch or a
/// dropped one does no harm. With several ranks the mean is over the samples of all ranks. The
/// criterion must average over the samples of its batch, as LibTorch's criteria do by default.
///
/// The random state stays as it was, even if the loader shuffles. So training goes on alike whether
/// the loader is read or its batches are kept.
class Validation {
 public:
  /// All arguments live as long as this.
  Validation(ValidationBatches& batches, TrainingFlags& flags, const TrainingSettings& settings,
             Session& session)
      : batches_(batches), flags_(flags), settings_(settings), session_(session) {}
  Validation(const Validation&) = delete;
  Validation& operator=(const Validation&) = delete;
  ~Validation() { batches_.stop(); }

  /// Goes to the first batch, unless all batches are kept. Throws EmptyLoader if there is none.
  void start() {
    const RandomState random(settings_.placement.device);
    batches_.start();
    random.restore();
  }

  /// Evaluates one pass over the loader.
  DeviceMeasurement run() {
    const torch::NoGradGuard without_gradients;
    const RandomState random(settings_.placement.device);
    DeviceMeasurement measured;
    flags_.evaluate();
    batches_.for_each([&](AnyBatch& batch) {
      const torch::Tensor loss = evaluate(batch, settings_, &measured);
      measured.loss.add(loss, static_cast<double>(batch.samples()));
    });
    flags_.train();
    random.restore();
    const double samples = measured.loss.weight();
    return session_.mean(std::move(measured), samples);
  }

 private:
  ValidationBatches& batches_;
  TrainingFlags& flags_;
  const TrainingSettings& settings_;
  Session& session_;
};

}  // namespace lrfinder::detail
