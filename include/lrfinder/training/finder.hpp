#pragma once

#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include <torch/torch.h>

#include <lrfinder/data/any_loader.hpp>
#include <lrfinder/history/history.hpp>
#include <lrfinder/options.hpp>
#include <lrfinder/race/options.hpp>
#include <lrfinder/suggest/race_result.hpp>
#include <lrfinder/suggest/suggestion.hpp>

namespace lrfinder {

class PlotOptions;

namespace detail {

/// What an LRFinder does, for models, criteria and loaders of any type. LRFinder has the
/// documentation.
///
/// The functions are defined in `finder_impl.hpp`. They are templates, so that a source that
/// includes the definitions compiles those alone that it uses, and one that does not include them
/// can take them from another, which `lr_finder.cpp` is. (Where that is missing, the linker misses
/// `lrfinder::detail::Finder<void>`.)
template <class = void>
class Finder {
 public:
  /// `device`: where the model goes for a test; none where it stays.
  Finder(torch::optim::Optimizer& optimizer, std::optional<torch::Device> device);
  Finder(Finder&& other) noexcept;
  Finder& operator=(Finder&& other) noexcept;
  ~Finder();

  /// Names what is trained or changed, and has to be given back; the model comes first.
  void add(torch::nn::Module& module);
  void add(const torch::jit::Module& module);
  void add(torch::optim::Optimizer& optimizer);
  void add(const torch::Tensor& tensor);

  /// Without a validation loader where that is null.
  const History& range_test(AnyLoader& train_loader, AnyLoader* val_loader,
                            const RangeTestOptions& options);
  /// Without a validation loader where that is null.
  RaceResult race(AnyLoader& train_loader, AnyLoader* val_loader, const RaceOptions& options);

  const History& history() const noexcept;
  /// The history, unless it is empty. Throws NoSuggestion where it is.
  const History& recorded_history() const;
  Suggestion suggestion() const;
  void set_rates(const Suggestion& suggestion);
  void plot(const std::string& path) const;
  void plot(const std::string& path, const PlotOptions& options) const;
  void plot(std::ostream& out) const;
  void plot(std::ostream& out, const PlotOptions& options) const;
  void reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace detail
}  // namespace lrfinder
