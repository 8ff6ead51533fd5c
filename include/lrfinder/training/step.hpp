#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <typeinfo>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/distributed/session.hpp>
#include <lrfinder/error.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/snapshot/random_state.hpp>
#include <lrfinder/torch/compatibility.hpp>
#include <lrfinder/torch/gradients.hpp>
#include <lrfinder/torch/measurement.hpp>
#include <lrfinder/torch/optimizer.hpp>
#include <lrfinder/training/bad_batch.hpp>
#include <lrfinder/training/evaluation.hpp>
#include <lrfinder/training/kept_batches.hpp>
#include <lrfinder/training/training_settings.hpp>
#include <lrfinder/training/untrained_losses.hpp>
#include <lrfinder/training_options.hpp>

namespace lrfinder::detail {

/// Makes the updates of the optimizer, like a training loop.
class Step {
 public:
  /// Begins a training: goes to its first batch. All references must outlive the object.
  /// `untrained`: measures the untrained losses of the batches; none if they are not measured.
  ///
  /// Throws EmptyLoader if there is no batch.
  Step(TrainingBatches& batches, torch::optim::Optimizer& optimizer,
       const TrainingSettings& settings, Session& session, std::optional<UntrainedLosses> untrained)
      : batches_(batches),
        optimizer_(optimizer),
        settings_(settings),
        session_(session),
        untrained_(std::move(untrained)),
        closure_(use_of_closure(optimizer)),
        scaler_(settings.options.gradient_scaler()) {
    batches_.start();
  }
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  ~Step() { batches_.stop(); }

  /// Sets the learning rate of every parameter group.
  void set_lr(const std::vector<double>& rates) { set_rates(optimizer_, rates); }

  /// Sets the rates for a step of a plan, and the momentum if the plan cycles the momentum.
  void follow(const TrainingPlan& plan, std::int64_t step, const std::vector<double>& peaks) {
    const double factor = plan.factor(step);
    std::vector<double> rates;
    for (const double peak : peaks) rates.push_back(factor * peak);
    set_lr(rates);
    set_momentum(optimizer_, plan.momentum(step));
  }

  /// Takes the next batches, adds up their gradients, clips them, and updates the parameters.
  void step() {
    if (closure_ == Closure::required) {  // then no scaler is enabled
      optimizer_.step([&, first = true]() mutable {
        if (!std::exchange(first, false)) return differentiate_again();
        fetch_and_differentiate();
        return loss_of(measured_);
      });
      return;
    }
    fetch_and_differentiate();
    if (closure_ == Closure::possible && !scaler_.enabled()) {
      optimizer_.step([&] { return differentiate_again(); });
    } else {
      skipped_ = !scaler_.step(optimizer_);
    }
  }

  /// Evaluates the batches of the next update without training on them. Returns their mean loss, as
  /// an update would measure it. Throws BadBatch if the loss is not finite.
  double evaluate_without_update() {
    DeviceMeasurement measured;
    std::int64_t samples = 0;
    for (std::int64_t i = 0; i < settings_.options.accumulation_steps(); ++i) {
      const auto [batch, loss] = next_with_finite([&](AnyBatch& of, const RandomState& random) {
        return detail::evaluate_only(of, settings_, random, needs_gradients_);
      });
      measured.loss.add(loss, weight_of(*batch));
      samples += batch->samples();
    }
    return session_.mean(std::move(measured), static_cast<double>(samples)).read().raw_loss;
  }

  /// Whether the untrained losses of the batches are measured.
  bool measures_untrained() const noexcept { return untrained_.has_value(); }

  /// Measures no untrained losses any longer.
  void stop_pairing() {
    if (!settings_.options.skip_bad_batches()) untrained_.reset();
  }

  /// How many batches were left out, because their loss is not finite before any update.
  std::int64_t skipped_batches() const { return batches_.passed_over(); }

  /// Returns what was measured before the last update: the training loss and, without a validation
  /// loader, the metrics. To be called once for each update.
  DeviceMeasurement training_loss() {
    DeviceMeasurement measurement = std::move(measured_);
    add_update(measurement);
    return measurement;
  }

  /// Adds the gradient norm and "skipped_step" of the last update, if they are recorded.
  void add_update(DeviceMeasurement& measurement) const {
    if (grad_norm_.defined()) measurement.grad_norm = DeviceMean(grad_norm_);
    if (scaler_.enabled()) {
      measurement.metrics.emplace_back("skipped_step", DeviceMean(torch::tensor(skipped_ ? 1 : 0)));
    }
  }

 private:
  // How an optimizer uses the closure of step(). LBFGS calls it for the loss, several times. An
  // optimizer of your own may use the present gradients, the closure, or both.
  enum class Closure { unused, required, possible };

  static Closure use_of_closure(const torch::optim::Optimizer& optimizer) {
    if (!is_builtin(optimizer)) return Closure::possible;
    return typeid(optimizer) == typeid(torch::optim::LBFGS) ? Closure::required : Closure::unused;
  }

  void fetch_and_differentiate() {
    batches_of_step_.clear();
    untrained_loss_ = {};
    const auto next_batch = [&](std::size_t) {
      std::shared_ptr<AnyBatch> batch = next_with_untrained_loss();
      if (closure_ == Closure::unused) return batch;
      // The loader may write the next batch into the memory of this one.
      if (settings_.options.accumulation_steps() > 1) batch = batch->copy();
      batches_of_step_.push_back(batch);
      return batch;
    };
    measured_ = differentiate(next_batch, /*with_metrics=*/!settings_.validates);
    require_gradients();
    scaler_.unscale(optimizer_);
    grad_norm_ = clip_gradients(optimizer_, settings_.options);
  }

  // Returns the next batch, after its untrained loss was measured if that is wanted.
  std::shared_ptr<AnyBatch> next_with_untrained_loss() {
    if (!untrained_) return batches_.next();
    std::shared_ptr<AnyBatch> batch;
    torch::Tensor loss;
    if (settings_.options.skip_bad_batches()) {
      std::tie(batch, loss) = next_with_finite([&](AnyBatch& of, const RandomState&) {
        torch::Tensor untrained = untrained_->of(of);
        if (!untrained.defined()) {
          throw InvalidOption(
              "LRFinder: skip_bad_batches() does not go with a model or an optimizer that replaces "
              "the memory of parameters or buffers; leave it out");
        }
        return untrained;
      });
    } else {
      batch = batches_.next();
      loss = untrained_->of(*batch);
    }
    if (!loss.defined()) {
      untrained_.reset();
      untrained_loss_ = {};
      return batch;
    }
    untrained_loss_.add(loss, weight_of(*batch));
    return batch;
  }

  // Returns the next batch whose loss is finite, with that loss. Batches before it are left out, or
  // a BadBatch is thrown, as the options say. `loss_of(batch, random)`: a loss without training.
  template <class LossOf>
  std::pair<std::shared_ptr<AnyBatch>, torch::Tensor> next_with_finite(LossOf&& loss_of) {
    while (true) {
      auto batch = batches_.next();
      const RandomState random(settings_.placement.device);
      torch::Tensor loss = loss_of(*batch, random);
      const auto value = loss.template item<double>();
      if (std::isfinite(value)) return {std::move(batch), std::move(loss)};
      if (!settings_.options.skip_bad_batches()) {
        throw_bad_batch(*batch, batches_.last_index(), value);
      }
      random.restore();  // a training that passes over the batch draws nothing for it
      batches_.leave_out_last();
    }
  }

  // How much a batch counts among those of an update.
  double weight_of(const AnyBatch& batch) const {
    if (!settings_.options.accumulate_by_samples()) return 1;
    const std::int64_t samples = batch.samples();
    if (samples > 0) return static_cast<double>(samples);
    throw InvalidStep(
        concat("LRFinder: accumulate_by_samples() needs the number of samples of each batch, but "
               "that of batch ",
               batches_.last_index(), " (counted from 0) is ", samples,
               "; leave such batches out of the loader"));
  }

  torch::Tensor differentiate_again() {
    const auto same_batch = [&](std::size_t i) { return batches_of_step_[i]; };
    const DeviceMeasurement measured = differentiate(same_batch, /*with_metrics=*/false);
    clip_gradients(optimizer_, settings_.options);
    return loss_of(measured);
  }

  // Adds up the gradients of all accumulation steps in the parameters. Returns the sum of the
  // scaled losses, and the metrics if `with_metrics` is true.
  template <class BatchAt>
  DeviceMeasurement differentiate(BatchAt&& batch_at, bool with_metrics) {
    const torch::AutoGradMode with_gradients(true);
    zero_gradients(optimizer_, /*in_place=*/settings_.options.snapshot() != Snapshot::device);
    DeviceMeasurement measured;
    torch::Tensor sum;
    std::int64_t samples = 0;
    double first_weight = 0, all_weights = 0;
    const std::int64_t batches = settings_.options.accumulation_steps();
    // All weights together are known only after the last batch. Until then, all batches count as
    // those with the weight of the first.
    const auto expected = [&] { return static_cast<double>(batches) * first_weight; };
    for (std::int64_t i = 0; i < batches; ++i) {
      const std::shared_ptr<AnyBatch> batch = batch_at(static_cast<std::size_t>(i));
      torch::Tensor loss = evaluate(*batch, settings_, with_metrics ? &measured : nullptr);
      if (!loss.requires_grad()) {
        throw InvalidStep(
            "LRFinder: the loss needs no gradient; are all parameters frozen, or does the "
            "criterion detach the output?");
      }
      const double weight = weight_of(*batch);
      all_weights += weight;
      if (i == 0) first_weight = weight;
      if (batches > 1) loss = loss / (expected() / weight);
      scaler_.scale(loss).backward();
      sum = sum.defined() ? sum + loss.detach() : loss.detach();
      samples += batch->samples();
    }
    if (all_weights != expected()) {
      const torch::NoGradGuard without_gradients;
      for (const torch::Tensor& parameter : parameters_with_gradient(optimizer_)) {
        parameter.mutable_grad().mul_(expected() / all_weights);
      }
      sum = sum * (expected() / all_weights);
    }
    measured.loss.add(sum, 1);
    measured.untrained_loss = std::exchange(untrained_loss_, {});
    return session_.after_backward(std::move(measured), static_cast<double>(samples));
  }

  static const torch::Tensor& loss_of(const DeviceMeasurement& measured) {
    return measured.loss.values().front();
  }

  // An optimizer with the parameters of another model would otherwise record a flat curve.
  void require_gradients() {
    if (checked_gradients_) return;
    if (parameters_with_gradient(optimizer_).empty()) {
      throw InvalidStep(
          "LRFinder: no parameter of the optimizer got a gradient; was the optimizer built with "
          "the parameters of another model?");
    }
    checked_gradients_ = true;
  }

  TrainingBatches& batches_;
  torch::optim::Optimizer& optimizer_;
  const TrainingSettings& settings_;
  Session& session_;
  std::optional<UntrainedLosses> untrained_;
  Closure closure_;
  GradientScaler scaler_;
  bool skipped_ = false;
  DeviceMeasurement measured_;
  DeviceMean untrained_loss_;                               // of the batches of the present update
  bool needs_gradients_ = false;                            // the loss, even if nothing is trained
  torch::Tensor grad_norm_;                                 // undefined if it is not recorded
  std::vector<std::shared_ptr<AnyBatch>> batches_of_step_;  // that are needed again
  bool checked_gradients_ = false;
};

}  // namespace lrfinder::detail
