#pragma once

#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/plan/training_plan.hpp>
#include <lrfinder/plot/options.hpp>
#include <lrfinder/race/options.hpp>
#include <lrfinder/suggest/race_result.hpp>
#include <lrfinder/suggest/suggestion.hpp>
#include <lrfinder/torch/module.hpp>

namespace lrfinder::detail {

/// What an LRFinder does, for models, criteria and loaders of any type. LRFinder has the
/// documentation.
///
/// The functions are defined in `finder_inl.hpp`: inline or, with LRFINDER_COMPILED, in a source of
/// their own. When the linker does not find them, that source is missing: link the CMake target
/// `lrfinder::compiled`, which sets the macro and adds the source.
class Finder {
 public:
  /// `device`: where the model goes for a test; none where it stays.
  Finder(torch::optim::Optimizer& optimizer, std::optional<torch::Device> device);
  Finder(Finder&& other) noexcept;
  Finder& operator=(Finder&& other) noexcept;
  ~Finder();

  /// Adds to what is trained or changed, and restored; the model comes first.
  void add(ModuleHandle module);
  void add(torch::optim::Optimizer& optimizer);
  void add(const torch::Tensor& tensor);

  /// Runs a range test; `val_loader` may be null.
  const History& range_test(AnyLoader& train_loader, AnyLoader* val_loader,
                            const RangeTestOptions& options);
  /// Runs a race; `val_loader` may be null.
  RaceResult race(AnyLoader& train_loader, AnyLoader* val_loader, const RaceOptions& options);
  /// Runs range tests and trials; `val_loader` may be null.
  Suggestion find(AnyLoader& train_loader, AnyLoader* val_loader, const FindOptions& options);

  const History& history() const noexcept;
  /// The history. Throws NoSuggestion where it is empty.
  const History& recorded_history() const;
  Suggestion suggestion() const;
  Suggestion suggestion(const TrainingPlan& plan) const;
  void set_lr(const Suggestion& suggestion);
  void plot(const std::string& path, const PlotOptions& options) const;
  void plot(std::ostream& out, const PlotOptions& options) const;
  void reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lrfinder::detail
