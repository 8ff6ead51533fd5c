#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/error.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/options.hpp>

namespace lrfinder::detail {

/// What all ranks of a test have to agree on, thing by thing, in words.
class Fingerprint {
 public:
  /// Adds a thing with its value: a number, a text, or a list of them.
  template <class Value>
  Fingerprint& on(const std::string& thing, const Value& value) {
    std::ostringstream text;
    text.precision(std::numeric_limits<double>::max_digits10);
    write(text, value);
    lines_.push_back(line(one_line(thing), one_line(text.str())));
    return *this;
  }

  /// All of it as one text.
  std::string text() const {
    std::string all;
    for (const std::string& line : lines_) all += line;
    return all;
  }

  /// Throws InvalidOption for the first thing of which this rank has another value than rank 0,
  /// whose text() is given.
  void require_same(const std::string& of_rank_0, std::int64_t rank) const {
    std::istringstream text(of_rank_0);
    for (std::size_t i = 0;; ++i) {
      std::string thing, value;
      const bool there = std::getline(text, thing) && std::getline(text, value);
      if (!there && i == lines_.size()) return;
      if (there && i < lines_.size() && lines_[i] == line(thing, value)) continue;
      const auto [my_thing, my_value] = i < lines_.size() ? split(lines_[i]) : split("nothing\n\n");
      std::ostringstream message;
      message << "range_test: ";
      if (there && my_thing == thing) {
        message << thing << " is " << my_value << " on rank " << rank << " and " << value;
      } else {
        message << "there is " << my_thing << " on rank " << rank << " and "
                << (there ? thing : "nothing");
      }
      message << " on rank 0; all ranks have to run the same test on the same model";
      throw InvalidOption(message.str());
    }
  }

 private:
  template <class Value>
  static void write(std::ostream& out, const Value& value) {
    out << value;
  }
  template <class Value>
  static void write(std::ostream& out, const std::vector<Value>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) out << (i > 0 ? ", " : "") << values[i];
  }
  template <class Value>
  static void write(std::ostream& out, const std::optional<Value>& value) {
    if (value) {
      write(out, *value);
    } else {
      out << "none";
    }
  }

  static std::string line(std::string thing, const std::string& value) {
    return thing.append("\n").append(value).append("\n");
  }

  static std::string one_line(std::string text) {
    for (char& letter : text) {
      if (letter == '\n') letter = ' ';
    }
    return text;
  }

  static std::pair<std::string, std::string> split(const std::string& line) {
    const std::size_t end = line.find('\n');
    return {line.substr(0, end), line.substr(end + 1, line.size() - end - 2)};
  }

  std::vector<std::string> lines_;
};

/// What ranks have to agree on to train alike. How much of a loader is looked at, where copies are
/// kept and the like is each rank's own matter.
inline Fingerprint fingerprint_of_training(const RangeTestOptions& options,
                                           const torch::optim::Optimizer& optimizer) {
  Fingerprint terms;
  terms.on("accumulation_steps", options.accumulation_steps())
      .on("clip_grad_norm", options.clip_grad_norm())
      .on("clip_grad_value", options.clip_grad_value())
      .on("record_grad_norm", options.record_grad_norm())
      .on("autocast", options.autocast())
      .on("gradient_scaler.enabled", options.gradient_scaler().enabled())
      .on("gradient_scaler.init_scale", options.gradient_scaler().init_scale())
      .on("gradient_scaler.growth_factor", options.gradient_scaler().growth_factor())
      .on("gradient_scaler.backoff_factor", options.gradient_scaler().backoff_factor())
      .on("gradient_scaler.growth_interval", options.gradient_scaler().growth_interval())
      .on("number of metrics", options.metrics().size());
  for (const auto& metric : options.metrics()) terms.on("metric", metric.first);
  terms.on("the optimizer", c10::demangle(typeid(optimizer).name()));
  for (const auto& group : optimizer.param_groups()) {
    terms.on("number of parameters in a group of the optimizer", group.params().size());
  }
  return terms;
}

/// What ranks have to agree on for a range test.
inline Fingerprint fingerprint_of_test(const RangeTestSettings& settings,
                                       const RangeTestOptions& options,
                                       const torch::optim::Optimizer& optimizer) {
  return fingerprint_of_training(options, optimizer)
      .on("start_lr", settings.start_lr)
      .on("end_lr", settings.end_lr)
      .on("num_iter", settings.num_iter)
      .on("schedule", static_cast<int>(settings.schedule))
      .on("smooth_f", settings.smooth_f)
      .on("diverge_th", settings.diverge_th)
      .on("a validation loader", settings.validation);
}

/// What ranks have to agree on for a heat of a race.
inline Fingerprint fingerprint_of_trial(const std::vector<double>& rates, std::int64_t num_iter,
                                        bool validation, const RangeTestOptions& options,
                                        const torch::optim::Optimizer& optimizer) {
  return fingerprint_of_training(options, optimizer)
      .on("the learning rate of a heat", rates)
      .on("the number of updates of a heat", num_iter)
      .on("a validation loader", validation);
}

}  // namespace lrfinder::detail
