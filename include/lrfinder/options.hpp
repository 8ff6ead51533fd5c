#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/history/iteration.hpp>
#include <lrfinder/history/schedule.hpp>
#include <lrfinder/ranks.hpp>

namespace lrfinder {

/// Options of a GradientScaler. Names, rules and defaults are those of torch.amp.GradScaler.
struct GradientScalerOptions {
  /// Whether anything is scaled; when not, every operation passes its argument on. Default: true.
  TORCH_ARG(bool, enabled) = true;
  /// The first scale, positive. Default: 65536.
  TORCH_ARG(double, init_scale) = 65536;
  /// What the scale is multiplied by after `growth_interval` updates in a row without overflow;
  /// greater than 1. Default: 2.
  TORCH_ARG(double, growth_factor) = 2;
  /// What the scale is multiplied by after an overflow, between 0 and 1. Default: 0.5.
  TORCH_ARG(double, backoff_factor) = 0.5;
  /// Number of updates in a row without overflow before the scale grows, at least 1. Default: 2000.
  TORCH_ARG(std::int64_t, growth_interval) = 2000;
};

/// Learning rates for the parameter groups of an optimizer: one for each group, in their order, or
/// one for the first group, to which the others keep their ratio.
class GroupRates {
 public:
  GroupRates() = default;
  /// One rate, of the first group.
  GroupRates(double first_group) : values_{first_group} {}  // NOLINT
  /// One rate a group: `{1e-3, 1e-4}`.
  GroupRates(std::initializer_list<double> groups) : values_(groups) {}  // NOLINT
  /// One rate a group.
  GroupRates(std::vector<double> groups) : values_(std::move(groups)) {}  // NOLINT

  /// The rates as they were given; empty where none were.
  const std::vector<double>& values() const noexcept { return values_; }

 private:
  std::vector<double> values_;
};

/// Judges the output of the model against the target of a batch: returns a tensor of one element,
/// averaged over the samples of the batch. `accuracy` is one.
using Metric =
    std::function<torch::Tensor(const torch::Tensor& output, const torch::Tensor& target)>;

/// The share of samples whose largest output is that of their class.
///
/// `output`: scores, classes in dimension 1 (N x C, or N x C x ... as for cross_entropy). `target`:
/// class indices (N or N x ...). Returns a scalar between 0 and 1.
inline torch::Tensor accuracy(const torch::Tensor& output, const torch::Tensor& target) {
  return output.argmax(1).eq(target).to(torch::kFloat).mean();
}

/// Where a range test keeps the copies from which it restores everything.
enum class Snapshot {
  device,  ///< where the model is: fastest
  host,    ///< in host memory: no copy in the memory of the device
  disk     ///< in a temporary file: no copy in memory at all
};

/// Options of a range test.
///
///     RangeTestOptions().start_lr(1e-7).end_lr(500).num_iter(200)
///
/// All of them are checked, together with the optimizer, before anything is touched; what makes no
/// sense is an InvalidOption.
struct RangeTestOptions {
  /// Learning rate of the first iteration, positive. One value a group, or one value for the first
  /// group, to which the others keep the ratio of their present rates. Default: the present rate of
  /// each group.
  TORCH_ARG(GroupRates, start_lr) = {};
  /// Learning rate of the last iteration, greater than `start_lr`. One value a group, or one value
  /// for the first group, to which the others keep the ratio that they start with. Default: 10.
  TORCH_ARG(GroupRates, end_lr) = 10.0;
  /// Number of iterations (optimizer updates), at least 2. Default: 100.
  TORCH_ARG(std::int64_t, num_iter) = 100;
  /// How the rate goes from start to end. Default: Schedule::exponential.
  TORCH_ARG(Schedule, schedule) = Schedule::exponential;
  /// Weight of the new value in the exponential smoothing of the loss, in [0, 1); 0 turns smoothing
  /// off. Default: 0.05, as in pytorch-lr-finder.
  TORCH_ARG(double, smooth_f) = 0.05;
  /// The test stops when the smoothed loss passes this multiple of the best one (see Divergence for
  /// losses that are not positive). At least 1; 0 or infinity: never. Default: 5.
  TORCH_ARG(double, diverge_th) = 5;
  /// Batches whose gradients are added up for one update; each loss is divided by this number. At
  /// least 1. Default: 1.
  TORCH_ARG(std::int64_t, accumulation_steps) = 1;
  /// Whether everything is restored when the test returns. With `false` the model stays as the test
  /// left it until LRFinder::reset(). After an exception everything is restored in any case.
  /// Default: true.
  TORCH_ARG(bool, restore) = true;
  /// The norm of the gradient over all parameters is clipped to this before each update; positive.
  /// The norm before clipping is recorded. Default: no clipping.
  TORCH_ARG(std::optional<double>, clip_grad_norm) = std::nullopt;
  /// Each element of the gradients is clipped to [-value, value] before each update; positive. The
  /// norm before clipping is recorded. Default: no clipping.
  TORCH_ARG(std::optional<double>, clip_grad_value) = std::nullopt;
  /// Whether the norm of the gradient is recorded where nothing is clipped. Default: false.
  TORCH_ARG(bool, record_grad_norm) = false;
  /// Mixed precision: the type to which autocast casts around the model and the criterion.
  /// `torch::kBFloat16` on the CPU and on CUDA, `torch::kHalf` on CUDA, with a gradient scaler, and
  /// on the CPU since LibTorch 2.4. Default: none, and an autocast of the caller's stays in force.
  TORCH_ARG(std::optional<at::ScalarType>, autocast) = std::nullopt;
  /// How the loss is scaled under autocast to `torch::kHalf`; without it nothing is. An iteration
  /// whose gradients overflow makes no update, and is recorded in the metric "skipped_step".
  TORCH_ARG(GradientScalerOptions, gradient_scaler) = {};
  /// Number of batches of the validation loader that are evaluated, from its first; at least 1.
  /// Default: all.
  TORCH_ARG(std::optional<std::int64_t>, val_batches) = std::nullopt;
  /// Most bytes of validation batches that are kept on the device, so that the loader is read once
  /// and not in every iteration; not negative. Where the batches take more, or cannot be kept (see
  /// tensors_in() in data/batch.hpp), the loader is read every time, and a warning says so. 0 reads
  /// it every time: for a loader that yields other batches in each pass, or that draws random
  /// numbers whose place in the sequence matters. Default: a quarter of the memory that is free on
  /// the device, shared by all `ranks`.
  TORCH_ARG(std::optional<std::int64_t>, cache_validation) = std::nullopt;
  /// Most bytes of training batches that a race or a find keeps on the device, so that each is
  /// loaded once and not in every trial; not negative. Trials start from the same random numbers,
  /// so they see the same batches anyway. What takes more, or cannot be kept, is loaded again, and
  /// a warning says so. 0 loads every time. Default: a quarter of the memory that is free on the
  /// device, shared by all `ranks`.
  TORCH_ARG(std::optional<std::int64_t>, cache_training) = std::nullopt;
  /// How many iterations may be under way on the device before the host waits for the loss of the
  /// first of them; at least 1, which waits for every iteration. The history is the same in any
  /// case: iterations past the end of the test are dropped. But `on_iteration` is called, and
  /// without `restore` the model is left, up to that many iterations late. Default: 16 on an
  /// accelerator; 1 on the CPU, with `on_iteration`, and without `restore`. Always 1 with `ranks`.
  TORCH_ARG(std::optional<std::int64_t>, iterations_in_flight) = std::nullopt;
  /// Whether a line on stderr shows how far the test is. Default: false.
  TORCH_ARG(bool, progress) = false;
  /// Where the copies for restoring are kept. Default: Snapshot::device.
  TORCH_ARG(Snapshot, snapshot) = Snapshot::device;
  /// Folder of the temporary file for Snapshot::disk, on a disk: a folder in memory (tmpfs), as
  /// /tmp may be, saves none. Default: the system's.
  TORCH_ARG(std::string, snapshot_dir) = "";
  /// The processes that train this model together, each on its share of the data: the test runs on
  /// all of them at once, as their training does. `distributed()` in `<lrfinder/distributed.hpp>`
  /// makes it from a process group of c10d. What is recorded are the averages over all samples of
  /// all ranks, the same on every rank; `on_iteration` and `progress` are those of rank 0. Default:
  /// none, this process alone.
  TORCH_ARG(std::shared_ptr<Ranks>, ranks) = nullptr;
  /// Called after each iteration with what was measured; returning false stops the test. Default:
  /// none.
  TORCH_ARG(IterationCallback, on_iteration) = {};

 public:
  /// Adds a value that is recorded with the loss, on the same batches: those of the validation
  /// loader where there is one, else the training batches before the update. Smith 2017 plots
  /// `accuracy`. Needs a criterion of the form `(output, target)`, tensors, and a name that no
  /// other metric has.
  RangeTestOptions& metric(std::string name, Metric metric) {
    metrics_.emplace_back(std::move(name), std::move(metric));
    return *this;
  }
  /// The metrics so far, with their names.
  const std::vector<std::pair<std::string, Metric>>& metrics() const noexcept { return metrics_; }

 private:
  std::vector<std::pair<std::string, Metric>> metrics_;
};

}  // namespace lrfinder
