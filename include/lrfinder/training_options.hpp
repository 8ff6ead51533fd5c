#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/communicator.hpp>
#include <lrfinder/detail/text.hpp>

namespace lrfinder {

/// Options of a GradientScaler. Names, rules and defaults are those of torch.amp.GradScaler.
struct GradientScalerOptions {
  /// Whether anything is scaled. If false, the scaler does nothing. Default: true.
  TORCH_ARG(bool, enabled) = true;
  /// The first scale, positive. Default: 65536.
  TORCH_ARG(double, init_scale) = 65536;
  /// Factor of the scale after `growth_interval` updates in a row without overflow; greater than 1.
  /// Default: 2.
  TORCH_ARG(double, growth_factor) = 2;
  /// Factor of the scale after an overflow, between 0 and 1. Default: 0.5.
  TORCH_ARG(double, backoff_factor) = 0.5;
  /// Number of updates in a row without overflow before the scale grows, at least 1. Default: 2000.
  TORCH_ARG(std::int64_t, growth_interval) = 2000;
};

/// A function that compares the output of the model with the target of a batch. Returns a tensor of
/// one element, averaged over the samples of the batch. `accuracy` is an example.
using Metric =
    std::function<torch::Tensor(const torch::Tensor& output, const torch::Tensor& target)>;

/// The share of samples whose largest output belongs to their class.
///
/// `output`: scores, with the classes in dimension 1 (N x C, or N x C x ... as for cross_entropy).
/// `target`: class indices (N or N x ...). Returns a scalar between 0 and 1.
inline torch::Tensor accuracy(const torch::Tensor& output, const torch::Tensor& target) {
  return output.argmax(1).eq(target).to(torch::kFloat).mean();
}

/// Where the copies for restoring are kept.
enum class Snapshot {
  device,  ///< on the device of the model: fastest
  host,    ///< in host memory: no copy in the memory of the device
  disk     ///< in a temporary file: no copy in memory at all
};

/// How the model is trained: on which device, how an update is made, what is measured, and what is
/// kept in memory. Range tests and the trials of a search train in the same way, so that their
/// results hold for the training that follows.
///
///     LRFinder finder(model, optimizer, criterion,
///                     TrainingOptions().accumulation_steps(4).clip_grad_norm(1));
///
/// A device alone is enough: `LRFinder finder(model, optimizer, criterion, torch::kCUDA)`.
struct TrainingOptions {
  TrainingOptions() = default;
  /// Options with a device: `torch::kCUDA`, `torch::Device("cuda:1")`.
  template <class Device, class = std::enable_if_t<std::is_convertible_v<Device, torch::Device>>>
  TrainingOptions(Device device) : device_(torch::Device(device)) {}  // NOLINT

  /// The device on which the model is trained. The model is moved there for a test, and back after
  /// the test. Default: the device of its first parameter.
  TORCH_ARG(std::optional<torch::Device>, device) = std::nullopt;
  /// Number of batches whose gradients are added up for one update. Each loss is divided by this
  /// number. At least 1. Default: 1.
  TORCH_ARG(std::int64_t, accumulation_steps) = 1;
  /// Whether these batches count by their numbers of samples, so that the update and the recorded
  /// loss are those of one large batch. The number is that by which validation batches count:
  /// dimension 0 of the input, or what `batch_size(batch)` of your own batch type returns, for
  /// example its tokens. Default: false, each batch counts the same.
  TORCH_ARG(bool, accumulate_by_samples) = false;
  /// Before each update the norm of the gradient over all parameters is clipped to this value;
  /// positive. The norm before clipping is recorded. Default: no clipping.
  TORCH_ARG(std::optional<double>, clip_grad_norm) = std::nullopt;
  /// Before each update each element of the gradients is clipped to [-value, value]; positive. The
  /// norm before clipping is recorded. Default: no clipping.
  TORCH_ARG(std::optional<double>, clip_grad_value) = std::nullopt;
  /// Whether the norm of the gradient is recorded even if nothing is clipped. Default: false.
  TORCH_ARG(bool, record_grad_norm) = false;
  /// Mixed precision: the type of autocast for the model and the criterion. `torch::kBFloat16`
  /// works on the CPU and on CUDA. `torch::kHalf` works on CUDA, with a gradient scaler, and on the
  /// CPU since LibTorch 2.4. Default: none, which leaves an autocast of the caller in force.
  TORCH_ARG(std::optional<at::ScalarType>, autocast) = std::nullopt;
  /// How the loss is scaled under autocast to `torch::kHalf`. Without that autocast it is not
  /// scaled. If the gradients of an iteration overflow, the iteration makes no update, and the
  /// metric "skipped_step" records it.
  TORCH_ARG(GradientScalerOptions, gradient_scaler) = {};
  /// Whether a training batch is left out if its loss is not finite before any update. If false,
  /// such a batch ends the test with BadBatch. If true, each loss is read before its gradients are
  /// computed, so an accelerator waits for the host. The history counts the batches that were left
  /// out (`settings.skipped_batches`). Default: false.
  TORCH_ARG(bool, skip_bad_batches) = false;
  /// Number of batches of the validation loader that are evaluated, counted from its first; at
  /// least 1. Default: all.
  TORCH_ARG(std::optional<std::int64_t>, val_batches) = std::nullopt;
  /// Whether the model stays in training mode for the validation, for models that return their
  /// losses only in that mode, like torchvision's detectors. Submodules that you have set to eval
  /// mode stay in it. Buffers, such as running statistics, and the random state are set back after
  /// each validation. Default: false, which validates in eval mode.
  TORCH_ARG(bool, val_in_training_mode) = false;
  /// Maximum bytes of validation batches that are kept on the device; not negative. If all batches
  /// are kept, the loader is read once and not in every iteration. If they take more, or cannot be
  /// kept (see BatchCache in training/kept_batches.hpp), the loader is read every time, and a
  /// warning says so. Set 0 for a loader that yields other batches in each pass, or that draws
  /// random numbers whose place in the sequence matters. Default: a quarter of the free memory of
  /// the device, shared by all processes that train side by side.
  TORCH_ARG(std::optional<std::int64_t>, cache_validation) = std::nullopt;
  /// Maximum bytes of training batches that a search keeps on the device; not negative. A kept
  /// batch is loaded once and not in every trial. All trials see the same batches anyway, because
  /// they start from the same random numbers. Batches that take more, or cannot be kept, are loaded
  /// again, and a warning says so. 0 loads every time. Default: the same as for `cache_validation`.
  TORCH_ARG(std::optional<std::int64_t>, cache_training) = std::nullopt;
  /// Where the copies for restoring are kept. With `host` and `disk`, a parameter that gets no
  /// gradient in an update counts as one with a gradient of zero. Default: Snapshot::device.
  TORCH_ARG(Snapshot, snapshot) = Snapshot::device;
  /// Folder of the temporary file for Snapshot::disk. It should be on a disk: a folder in memory
  /// (tmpfs), which /tmp may be, saves no memory. Default: the temporary folder of the system.
  TORCH_ARG(std::string, snapshot_dir) = "";
  /// The processes that train this model together, each on its share of the data. Tests run on all
  /// of them at once, like the training. `communicator()` in `<lrfinder/distributed.hpp>` makes the
  /// Communicator from a process group of c10d. The history holds averages over all samples of all
  /// ranks, the same on every rank. Only rank 0 calls callbacks and shows progress. Default: none,
  /// this process alone.
  TORCH_ARG(std::shared_ptr<Communicator>, data_parallel) = nullptr;

 public:
  /// Adds a value that is recorded with the loss, measured on the same batches: on those of the
  /// validation loader if there is one, else on the training batches before the update. Smith 2017
  /// plots `accuracy`. A metric needs a criterion of the form `(output, target)`, an output and a
  /// target that are tensors, and a name that no other metric has.
  TrainingOptions& metric(std::string name, Metric metric) {
    metrics_.emplace_back(std::move(name), std::move(metric));
    return *this;
  }
  /// The metrics that have been added, with their names.
  const std::vector<std::pair<std::string, Metric>>& metrics() const noexcept { return metrics_; }

  /// Throws InvalidOption for the first wrong value. The finder calls it before it touches the
  /// model.
  void check() const {
    const auto require = [](bool holds, const char* option, const auto& given, const char* rule) {
      detail::require_option(holds, "TrainingOptions: ", option, " (", given, ") must be ", rule);
    };
    const double norm = clip_grad_norm_.value_or(1), value = clip_grad_value_.value_or(1);
    const auto clips = [](double most) {
      constexpr auto largest = static_cast<double>(std::numeric_limits<float>::max());
      return most > 0 && (most <= largest || std::isinf(most));
    };
    const std::int64_t val_batches = val_batches_.value_or(1);
    const std::int64_t for_validation = cache_validation_.value_or(0);
    const std::int64_t for_training = cache_training_.value_or(0);
    require(accumulation_steps_ >= 1, "accumulation_steps", accumulation_steps_, "at least 1");
    require(clips(norm), "clip_grad_norm", norm, "positive, and infinite or at most 3.4e38");
    require(clips(value), "clip_grad_value", value, "positive, and infinite or at most 3.4e38");
    require(val_batches >= 1, "val_batches", val_batches, "at least 1");
    require(for_validation >= 0, "cache_validation", for_validation,
            "at least 0, which reads the validation loader in every iteration");
    require(for_training >= 0, "cache_training", for_training,
            "at least 0, which loads the training batches in every trial");
    std::set<std::string> names;
    for (const auto& [name, metric] : metrics_) {
      require(!name.empty() && metric, "metric", name, "a name and something to call");
      require(names.insert(name).second, "metric", name, "given once; give each its own name");
    }
  }

 private:
  std::vector<std::pair<std::string, Metric>> metrics_;
};

}  // namespace lrfinder
