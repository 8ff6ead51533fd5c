#include <array>
#include <catch2.hpp>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <training.hpp>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <lrfinder/data/batch.hpp>

using torch::Tensor;
using namespace lrfinder::detail;

namespace own {

struct TwoTensors {
  Tensor input;
  Tensor target;
};

struct Tagged {
  Tensor values;
  int tag = 0;
  bool moved = false;
};
Tagged to_device(const Tagged& batch, torch::Device device) {
  return {batch.values.to(device), batch.tag, true};
}

struct Moving {
  Tensor values;
  bool moved = false;
  Moving to(torch::Device device) const { return {values.to(device), true}; }
};

// A container of the user's own.
template <class T>
struct Ring {
  T first, second, third;
};
template <class T, class Map>
Ring<T> with_elements(const Ring<T>& value, const Map& map) {
  return {map(value.first), map(value.second), map(value.third)};
}

struct Counted {
  std::int64_t count = 0;
};
std::int64_t batch_size(const Counted& batch) { return batch.count; }

}  // namespace own

TEST_CASE("input and target are found in every form of batch") {
  const Tensor input = torch::ones({3, 2});
  const Tensor target = torch::zeros({3});
  const auto finds = [&](const auto& batch) {
    return input_of(batch).is_same(input) && target_of(batch).is_same(target) &&
           samples_in(batch) == 3;
  };
  CHECK(finds(TensorBatch(input, target)));
  CHECK(finds(std::make_pair(input, target)));
  CHECK(finds(std::make_tuple(input, target)));
  CHECK(finds(std::make_tuple(input, target, torch::ones({5}))));
  CHECK(finds(own::TwoTensors{input, target}));
}

TEST_CASE("what is no batch is not taken for one") {
  STATIC_REQUIRE_FALSE(is_batch<Tensor>);
  STATIC_REQUIRE_FALSE(is_batch<std::vector<Tensor>>);
  STATIC_REQUIRE_FALSE(is_batch<own::Tagged>);
  STATIC_REQUIRE_FALSE(is_batch<int>);
  STATIC_REQUIRE(is_batch<own::TwoTensors>);
}

TEST_CASE("every tensor of a batch travels to the device") {
  // The meta device is somewhere else on every machine.
  const torch::Device there(torch::kMeta);
  const Tensor a = torch::ones({3, 2});
  const auto arrived = [&](const Tensor& tensor) {
    return tensor.is_meta() && tensor.sizes() == a.sizes();
  };
  CHECK(arrived(on_device(a, there)));
  CHECK(arrived(on_device(TensorBatch(a, a), there).target));
  CHECK(arrived(on_device(torch::data::TensorExample(a), there).data));
  CHECK(arrived(on_device(std::make_pair(a, a), there).second));
  CHECK(arrived(std::get<2>(on_device(std::make_tuple(a, 5, a), there))));
  CHECK(std::get<1>(on_device(std::make_tuple(a, 5, a), there)) == 5);
  CHECK(arrived(on_device(own::TwoTensors{a, a}, there).target));
  CHECK(arrived(on_device(std::vector<TensorBatch>{{a, a}}, there)[0].data));
  CHECK(arrived(on_device(std::map<std::string, Tensor>{{"mask", a}}, there).at("mask")));
  CHECK(arrived(*on_device(std::optional<Tensor>(a), there)));
  CHECK(arrived(std::get<0>(on_device(std::make_pair(std::make_tuple(a), a), there).first)));
}

namespace {

// A container of each kind with one tensor in it.
template <class Visit>
void each_container(const Tensor& tensor, const Visit& visit) {
  using Words = std::string;
  visit(std::array<Tensor, 1>{tensor});
  visit(std::array<Tensor, 3>{tensor, tensor, tensor});
  visit(std::vector<Tensor>{tensor});
  visit(std::deque<Tensor>{tensor});
  visit(std::list<Tensor>{tensor});
  visit(c10::List<Tensor>({tensor}));
  visit(std::multimap<Words, Tensor>{{"image", tensor}});
  visit(std::map<Words, Tensor>{{"image", tensor}});
  visit(std::unordered_map<Words, Tensor>{{"image", tensor}});
  visit(torch::OrderedDict<Words, Tensor>{{"image", tensor}});
  c10::Dict<Words, Tensor> dict;
  dict.insert("image", tensor);
  visit(dict);
  visit(std::optional<Tensor>(tensor));
  visit(c10::optional<Tensor>(tensor));
  visit(std::variant<int, Tensor>(tensor));
  visit(std::make_pair(7, tensor));
  visit(std::array<own::TwoTensors, 1>{{{tensor, tensor}}});
  visit(own::Ring<Tensor>{tensor, tensor, tensor});
  visit(c10::IValue(tensor));
  visit(std::vector<c10::IValue>{7, c10::ivalue::Tuple::create({"name", tensor})});
  visit(c10::IValue(dict));
}

}  // namespace

TEST_CASE("the tensors in every kind of container travel to the device") {
  each_container(torch::ones({3, 2}), [](const auto& container) {
    int tensors = 0;
    with_leaves(on_device(container, torch::kMeta), [&](const auto& leaf) {
      if constexpr (std::is_same_v<std::decay_t<decltype(leaf)>, Tensor>) {
        ++tensors;
        CHECK(leaf.is_meta());
      }
      return leaf;
    });
    CHECK(tensors > 0);
  });
}

TEST_CASE("the samples in every kind of container are counted") {
  each_container(torch::ones({3, 2}), [](const auto& container) {
    CHECK(samples_in(container) == 3);
    CHECK(samples_in(std::make_pair(container, torch::ones({5}))) == 3);
  });
  CHECK(samples_in(std::make_pair(std::optional<Tensor>(), torch::ones({5}))) == 5);
  CHECK(samples_in(std::make_tuple(7, torch::ones({}), torch::ones({5}))) == 5);
  CHECK_FALSE(samples_in(std::optional<Tensor>()));
  CHECK_FALSE(samples_in(std::string("text")));
  CHECK_FALSE(samples_in(c10::IValue("text")));
}

TEST_CASE("a batch type of the user's own says how it moves") {
  const torch::Device there(torch::kMeta);
  const auto tagged = on_device(own::Tagged{torch::ones({2}), 7}, there);
  CHECK(tagged.moved);
  CHECK(tagged.tag == 7);
  CHECK(tagged.values.is_meta());
  CHECK(on_device(own::Moving{torch::ones({2})}, there).moved);
}

TEST_CASE("a batch knows how many samples it holds") {
  const Tensor three = torch::ones({3, 2});
  CHECK_FALSE(samples_in(torch::ones({})));
  CHECK(samples_in(std::make_tuple(std::vector<Tensor>{three}, torch::ones({5}))) == 3);
  CHECK(samples_in(std::map<std::string, Tensor>{{"tokens", three}}) == 3);
  CHECK(samples_in(std::vector<TensorBatch>(7)) == 7);
  CHECK(samples_in(own::Counted{4}) == 4);
  CHECK_FALSE(samples_in(own::Tagged{three}));
}

TEST_CASE("tensors that are on the device already are not copied", "[own devices]") {
  const Tensor a = torch::ones({3});
  CHECK(on_device(a, torch::kCPU).is_same(a));
  CHECK_FALSE(on_device(Tensor(), torch::kCPU).defined());
}
