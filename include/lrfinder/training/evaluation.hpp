#pragma once

#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/snapshot/random_state.hpp>
#include <lrfinder/snapshot/saved_state.hpp>
#include <lrfinder/torch/autocast.hpp>
#include <lrfinder/torch/compatibility.hpp>
#include <lrfinder/torch/measurement.hpp>
#include <lrfinder/torch/module.hpp>
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
/// Throws InvalidStep if the batch has no tensors, if the criterion or a metric does not return a
/// scalar, or if BatchNorm refuses a batch of one sample.
inline torch::Tensor evaluate(AnyBatch& batch, const TrainingSettings& settings,
                              DeviceMeasurement* metrics = nullptr) {
  const Autocast in_mixed_precision(settings.placement.device, settings.options.autocast());
  ForwardResult result;
  try {
    result = batch.forward_loss();
  } catch (const std::exception& error) {
    const std::string_view message = error.what();
    const bool is_too_small = message.find("Expected more than 1 value per") != message.npos;
    if (!is_too_small || batch.samples() != 1) throw;
    throw InvalidStep(
        "LRFinder: in training mode BatchNorm cannot normalise a batch of 1 sample, which is "
        "usually the last batch of a pass; leave it out by DataLoaderOptions().drop_last(true), or "
        "choose another batch size. LibTorch says: " +
        first_sentence_of(std::current_exception()));
  }
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

/// Evaluates a batch like evaluate(), without training on it. Computes no gradients, unless the
/// model or the criterion needs them for the loss, as physics-informed networks do.
/// `needs_gradients`: set if so, for the next batches. `random`: the present random state.
inline torch::Tensor evaluate_only(AnyBatch& batch, const TrainingSettings& settings,
                                   const RandomState& random, bool& needs_gradients,
                                   DeviceMeasurement* metrics = nullptr) {
  if (!needs_gradients) {
    try {
      const torch::NoGradGuard without_gradients;
      return evaluate(batch, settings, metrics);
    } catch (const std::exception& error) {
      const std::string_view message = error.what();
      const bool asks_for_gradients = message.find("require grad") != message.npos ||
                                      message.find("requires_grad") != message.npos;
      if (!asks_for_gradients) throw;
    }
    needs_gradients = true;
    random.restore();
  }
  const torch::AutoGradMode with_gradients(true);
  return evaluate(batch, settings, metrics).detach();
}

/// Measures the mean loss and the metrics over the samples of a validation loader, in eval mode
/// unless the options say otherwise.
///
/// The loss of each batch is weighted by its number of samples, so a smaller last batch or a
/// dropped one does no harm. With several ranks the mean is over the samples of all ranks. The
/// criterion must average over the samples of its batch, as LibTorch's criteria do by default.
///
/// The random state stays as it was, even if the loader shuffles. So training goes on alike whether
/// the loader is read or its batches are kept. Buffers that training mode changes are set back.
class Validation {
 public:
  /// All arguments live as long as this.
  Validation(ValidationBatches& batches, const TrainedObjects& trained, TrainingFlags& flags,
             const TrainingSettings& settings, Session& session)
      : batches_(batches),
        trained_(trained),
        flags_(flags),
        settings_(settings),
        session_(session) {}
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
    std::vector<std::pair<torch::Tensor, torch::Tensor>> buffers;  // with their values
    if (settings_.options.val_in_training_mode()) {
      for (const ModuleHandle& module : trained_.modules) {
        module.each_buffer([&](const torch::Tensor& buffer) {
          if (buffer.defined()) buffers.emplace_back(buffer, buffer.clone());
        });
      }
    } else {
      flags_.evaluate();
    }
    batches_.for_each([&](AnyBatch& batch) {
      const RandomState before(settings_.placement.device);
      const torch::Tensor loss =
          evaluate_only(batch, settings_, before, needs_gradients_, &measured);
      measured.loss.add(loss, static_cast<double>(batch.samples()));
    });
    flags_.train();
    for (auto& [buffer, value] : buffers) buffer.copy_(value);
    random.restore();
    const double samples = measured.loss.weight();
    return session_.mean(std::move(measured), samples);
  }

 private:
  ValidationBatches& batches_;
  const TrainedObjects& trained_;
  TrainingFlags& flags_;
  const TrainingSettings& settings_;
  Session& session_;
  bool needs_gradients_ = false;
};

}  // namespace lrfinder::detail
