#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/find_options.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/history/suggestion.hpp>
#include <lrfinder/range_test_options.hpp>
#include <lrfinder/torch/module.hpp>
#include <lrfinder/training_options.hpp>

namespace lrfinder::detail {

class SavedState;
class Session;
class TrainingSetup;

/// The implementation of LRFinder, for models, criteria and loaders of any type. LRFinder has the
/// documentation.
///
/// `engine_inl.hpp` defines the functions: inline by default, in one source file if
/// LRFINDER_COMPILED is set. If the linker does not find them, that file is missing. Link the CMake
/// target `lrfinder::compiled`, which sets the macro and adds the file.
class Engine {
 public:
  Engine(torch::optim::Optimizer& optimizer, TrainingOptions options);
  Engine(Engine&& other) noexcept;
  Engine& operator=(Engine&& other) noexcept;
  ~Engine();

  /// The objects that are trained or changed, and restored. The model comes first.
  TrainedObjects& trained() noexcept { return trained_; }
  TrainingOptions& options() noexcept { return options_; }

  /// Runs a range test; `val_loader` may be null.
  const History& range_test(AnyLoader& train_loader, AnyLoader* val_loader,
                            const RangeTestOptions& options);
  /// Runs a search by range tests and trials; `val_loader` may be null.
  Suggestion find(AnyLoader& train_loader, AnyLoader* val_loader, const FindOptions& options);

  const History& history() const noexcept { return history_; }
  /// Returns the history. Throws NoSuggestion if it is empty.
  const History& recorded_history() const;
  /// Reads a suggestion off the history. Throws NoSuggestion; after a test that failed, the message
  /// says why it failed.
  Suggestion suggestion(const Recipe& recipe) const;
  void set_lr(const Suggestion& suggestion);
  void reset();

 private:
  torch::optim::Optimizer& optimizer() const { return *trained_.optimizers.front(); }
  bool is_as_left() const;
  void record(const RangeTestSettings& range, const RangeTestOptions& options, TrainingSetup& setup,
              Session& session, bool is_all);
  std::int64_t search_range(RangeTestSettings range, const RangeTestOptions& options,
                            std::int64_t budget, TrainingSetup& setup, Session& session,
                            TrialRunner& runner);

  TrainedObjects trained_;
  TrainingOptions options_;
  History history_;
  std::exception_ptr failure_;              // that ended the test, if it failed
  std::unique_ptr<SavedState> unrestored_;  // from before the first test with restore(false)
  std::size_t hash_at_end_ = 0;             // of the trained values, after the last such test
  bool is_running_ = false;
};

}  // namespace lrfinder::detail
