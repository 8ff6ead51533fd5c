#include <catch2.hpp>
#include <csignal>
#include <everything.hpp>
#include <filesystem>
#include <sys/resource.h>
#include <training.hpp>

#include <lrfinder/lrfinder.hpp>
#include <lrfinder/snapshot/store.hpp>

using lrfinder::LRFinder;
using lrfinder::RangeTestOptions;
using lrfinder::Snapshot;
using lrfinder::SnapshotError;
using lrfinder::TrainingOptions;
namespace fs = std::filesystem;

namespace {

// A folder of its own for every test, removed with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = fs::temp_directory_path() / "lrfinder-test-XXXXXX";
    path = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { fs::remove_all(path); }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(path)) found.push_back(entry.path());
    return found;
  }
  // The file without a name that this process has open there.
  fs::path open_file() const {
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
      std::error_code closed;  // the directory's own
      const std::string target = fs::read_symlink(entry.path(), closed).string();
      if (target.rfind(path.string() + "/", 0) == 0) return entry.path();
    }
    throw std::runtime_error("no file is open in " + path.string());
  }
  fs::path path;
};

TrainingOptions on_disk(const TemporaryFolder& folder) {
  return TrainingOptions().snapshot(Snapshot::disk).snapshot_dir(folder.path);
}

// Makes writing fail beyond `bytes`, as a full disk does.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

// Derived, and so a user's: what it keeps outside of its state goes through LibTorch's
// serialization.
struct Derived : torch::optim::SGD {
  using SGD::SGD;
};

struct Trained {
  Trained() {
    torch::manual_seed(4);
    model = small_classifier();
    optimizer = std::make_unique<torch::optim::SGD>(model->parameters(),
                                                    torch::optim::SGDOptions(1e-3).momentum(0.9));
  }
  // Runs `during` in the fifth iteration of a test whose snapshot lies in `folder`.
  template <class During>
  void range_test(const TemporaryFolder& folder, During&& during) {
    LRFinder finder(model, *optimizer, torch::nn::CrossEntropyLoss(), on_disk(folder));
    finder.range_test(class_batches(3, 5, 4, 3), RangeTestOptions().num_iter(8).on_iteration(
                                                     [&](const lrfinder::Iteration& iteration) {
                                                       if (iteration.index == 4) during();
                                                     }));
  }
  torch::nn::Sequential model{nullptr};
  std::unique_ptr<torch::optim::SGD> optimizer;
};

}  // namespace

TEST_CASE("a snapshot on disk is a private file without a name, which no program leaves behind") {
  const TemporaryFolder folder;
  Trained trained;
  const Everything before(*trained.model, *trained.optimizer);
  trained.range_test(folder, [&] {
    CHECK(folder.files().empty());
    const auto others = fs::perms::group_all | fs::perms::others_all;
    CHECK((fs::status(folder.open_file()).permissions() & others) == fs::perms::none);
  });
  CHECK(folder.files().empty());
  CHECK_THROWS(folder.open_file());
  CHECK(before.differences(Everything(*trained.model, *trained.optimizer)) == "");
}

TEST_CASE("a storage that several tensors share is saved once") {
  struct TiedImpl : torch::nn::Module {
    TiedImpl() {
      weight = register_parameter("weight", torch::ones({3, 4}));
      register_parameter("tied", weight);
      register_buffer("view", weight.detach().narrow(0, 0, 1));
    }
    torch::Tensor forward(const torch::Tensor& input) { return torch::matmul(input, weight.t()); }
    torch::Tensor weight;
  };
  const TemporaryFolder folder;
  const auto model = std::make_shared<TiedImpl>();
  torch::optim::SGD optimizer({model->weight}, 1e-3);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss(), on_disk(folder));
  finder.range_test(class_batches(3, 5, 4, 3),
                    RangeTestOptions().num_iter(2).on_iteration([&](const lrfinder::Iteration&) {
                      CHECK(fs::file_size(folder.open_file()) == 12 * sizeof(float));
                    }));
}

TEST_CASE("a snapshot file goes with a test that fails") {
  const TemporaryFolder folder;
  Trained trained;
  const Everything before(*trained.model, *trained.optimizer);
  CHECK_THROWS_WITH(trained.range_test(folder, [] { throw std::runtime_error("mine"); }), "mine");
  CHECK(folder.files().empty());
  CHECK(before.differences(Everything(*trained.model, *trained.optimizer)) == "");
}

TEST_CASE("a snapshot file that lost its end is reported with what was lost") {
  const TemporaryFolder folder;
  Trained trained;
  const auto first = trained.model->parameters()[0].detach().clone();
  // The first tensor of the model is the first in the file, and whole.
  const auto damage = [&] { fs::resize_file(folder.open_file(), first.nbytes() + 10); };
  SECTION("after a test that ran to its end") {
    CHECK_THROWS_AS(trained.range_test(folder, damage), SnapshotError);
  }
  SECTION("after a test that failed: the exception is quoted and nested") {
    try {
      trained.range_test(folder, [&] {
        damage();
        throw std::out_of_range("mine");
      });
      FAIL("nothing was thrown");
    } catch (const SnapshotError& error) {
      CHECK_THAT(error.what(), contains(folder.path.string()));
      CHECK_THAT(error.what(), contains("was cut short") && contains("float[8]"));
      CHECK_THAT(error.what(), !contains("float[8, 4]"));
      CHECK_THAT(error.what(), contains("ended by this exception: mine"));
      CHECK_THROWS_AS(std::rethrow_if_nested(error), std::out_of_range);
    }
  }
  CHECK(folder.files().empty());
  CHECK(same_bits(trained.model->parameters()[0], first));
}

TEST_CASE("a snapshot file that is cut short is reported") {
  const TemporaryFolder folder;
  Trained trained;
  CHECK_THROWS_WITH(trained.range_test(folder, [&] { fs::resize_file(folder.open_file(), 10); }),
                    contains("was cut short"));
}

TEST_CASE("of a file that is cut short all is named that could not be restored") {
  const TemporaryFolder folder;
  torch::manual_seed(4);
  auto model = small_classifier();
  Derived optimizer(model->parameters(), torch::optim::SGDOptions(1e-3).momentum(0.9));
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss(), on_disk(folder));
  const auto first = model->parameters()[0].detach().clone();
  try {
    finder.range_test(class_batches(3, 5, 4, 3),
                      RangeTestOptions().num_iter(2).on_iteration([&](const lrfinder::Iteration&) {
                        fs::resize_file(folder.open_file(), 8 * 4 * sizeof(float) + 1);
                      }));
    FAIL("nothing was thrown");
  } catch (const SnapshotError& error) {
    CHECK_THAT(error.what(), contains("was cut short; this could not be restored"));
    CHECK_THAT(error.what(), contains("the optimizer's own members") && contains("float[8]"));
    CHECK_THAT(error.what(), !contains("float[8, 4]"));
  }
  CHECK(same_bits(model->parameters()[0], first));
}

TEST_CASE("a folder that cannot be written, and a full disk, are reported before anything runs") {
  Trained trained;
  int calls = 0;
  LRFinder finder(
      trained.model, *trained.optimizer,
      [&](const torch::Tensor& output, const torch::Tensor&) {
        ++calls;
        return output.mean();
      },
      TrainingOptions().snapshot(Snapshot::disk).snapshot_dir("/nowhere"));
  const auto batches = class_batches(3, 5, 4, 3);
  CHECK_THROWS_WITH(finder.range_test(batches), contains("/nowhere") && contains("snapshot_dir()"));
  finder.options().snapshot_dir("");
  {
    const FileSizeLimit full_disk(100);
    CHECK_THROWS_WITH(finder.range_test(batches), contains("Snapshot::host"));
  }
  CHECK(calls == 0);
}

TEST_CASE("a full disk is reported for a user's optimizer too, which is left as it was") {
  torch::manual_seed(4);
  auto model = small_classifier();
  Derived optimizer(model->parameters(), torch::optim::SGDOptions(1e-3).momentum(0.9));
  const auto batches = class_batches(3, 5, 4, 3);
  LRFinder finder(model, optimizer, torch::nn::CrossEntropyLoss(),
                  TrainingOptions().snapshot(Snapshot::disk));
  const auto options = RangeTestOptions().num_iter(3);
  const Everything before(*model, optimizer);
  const auto bytes = GENERATE(range(500, 3000, 125));
  const FileSizeLimit full_disk(static_cast<rlim_t>(bytes));
  CHECK_THROWS_WITH(finder.range_test(batches, options), contains("cannot write"));
  CHECK(before.differences(Everything(*model, optimizer)) == "");
}

TEST_CASE("a copy on disk that is larger than a piece comes back, and only when it is whole") {
  const TemporaryFolder folder;
  lrfinder::detail::SnapshotStore store(on_disk(folder));
  torch::manual_seed(1);
  const auto values = torch::randint(256, {(std::int64_t{32} << 20) + 13}, torch::kByte);
  const auto empty = torch::empty({0}, torch::kByte);
  const auto nothing = store.save(empty);
  const auto first_five = store.save(values.narrow(0, 0, 5));
  const auto all = store.save(values);
  auto target = torch::zeros_like(values);
  store.load(all, target);
  CHECK(same_bits(target, values));
  store.load(nothing, empty);

  fs::resize_file(folder.open_file(), 5 + values.nbytes() - 1);
  target.zero_();
  CHECK_THROWS_WITH(store.load(all, target), contains("was cut short"));
  CHECK(target.count_nonzero().item<int>() == 0);
  auto few = torch::zeros({5}, torch::kByte);
  store.load(first_five, few);
  CHECK(same_bits(few, values.narrow(0, 0, 5)));
}
