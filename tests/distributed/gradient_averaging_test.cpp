#include <catch2.hpp>
#include <complex>
#include <cstdint>
#include <functional>
#include <processes.hpp>
#include <stdexcept>
#include <string>
#include <training.hpp>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed.hpp>
#include <lrfinder/distributed/gradient_averaging.hpp>
#include <lrfinder/error.hpp>

using lrfinder::detail::GradientAveraging;
using lrfinder::detail::TensorList;

namespace {

torch::Tensor parameter_with_gradient(const torch::Tensor& gradient) {
  torch::Tensor parameter = torch::zeros_like(gradient).requires_grad_();
  parameter.mutable_grad() = gradient;
  return parameter;
}

/// Averages the gradients in buckets of so many bytes.
void average(std::vector<torch::Tensor> parameters, Process& process, std::int64_t bucket_bytes) {
  const torch::optim::SGD optimizer(std::move(parameters), 0.1);
  GradientAveraging average_gradients(optimizer, bucket_bytes);
  const auto ranks = lrfinder::communicator(process.group);
  const double missing = ranks->sum({static_cast<double>(average_gradients.missing())}).front();
  average_gradients.run(*ranks, missing > 0);
}

std::string all_of(const std::vector<Report>& reports, const std::string& name) {
  std::string values;
  for (const Report& report : reports) {
    values += (report.count("threw") ? report.at("threw") : report.at(name)) + ' ';
  }
  return values;
}

std::vector<torch::Tensor> tensors_of_all_kinds(int seed) {
  torch::manual_seed(static_cast<std::uint64_t>(seed));
  std::vector<torch::Tensor> tensors{
      torch::randn({3, 4}).requires_grad_(),
      torch::randn({}, torch::kDouble),
      torch::randint(0, 9, {1}, torch::kLong),
      torch::rand({5}) > 0.5,
      torch::randn({3}).to(torch::kBFloat16),
      torch::randn({6, 2}).t(),
      torch::randn({10, 10}).slice(1, 2, 5),
      torch::randint(0, 9, {8}, torch::kShort).slice(0, 0, 8, 2),  // alone in its bucket
      torch::view_as_complex(torch::randn({4, 2})),
      torch::randn({0, 3}),
      torch::randn({7 * 1024 * 1024}),  // larger than a bucket
      torch::randn({2}),
  };
  tensors.push_back(tensors.front());
  return tensors;
}

}  // namespace

TEST_CASE("Gradients become their mean over the ranks, whatever the buckets") {
  const int size = GENERATE(1, 2, 4);
  // One bucket for all; one for each; two or three gradients a bucket, with a larger one between.
  const std::int64_t bucket_bytes = GENERATE(1 << 20, 1, 100);
  const auto reports = in_processes(size, [&](Process& process) {
    const auto gradient_on = [](int rank, std::int64_t i, torch::IntArrayRef shape) {
      auto generator = at::detail::createCPUGenerator(static_cast<std::uint64_t>(100 * rank + i));
      return torch::randn(shape, generator, torch::kDouble);
    };
    const std::vector<std::vector<std::int64_t>> shapes{{2, 3}, {}, {4}, {50}, {1, 2, 2}, {0}, {7}};
    std::vector<torch::Tensor> parameters, expected;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      const auto number = static_cast<std::int64_t>(i);
      parameters.push_back(parameter_with_gradient(gradient_on(process.rank, number, shapes[i])));
      torch::Tensor sum = torch::zeros(shapes[i], torch::kDouble);
      for (int rank = 0; rank < process.size; ++rank) sum += gradient_on(rank, number, shapes[i]);
      expected.push_back(sum / process.size);
    }
    average(parameters, process, bucket_bytes);
    bool close = true;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      close = close && parameters[i].grad().allclose(expected[i], 1e-14, 1e-14);
    }
    return Report{{"close", close ? "yes" : "no"}};
  });
  for (const Report& report : reports) CHECK(report.at("close") == "yes");
}

TEST_CASE("The mean is the same, bit for bit, on all ranks") {
  const auto reports = in_processes(4, [](Process& process) {
    torch::manual_seed(static_cast<std::uint64_t>(process.rank));
    std::vector<torch::Tensor> parameters;
    for (int i = 1; i <= 20; ++i) {
      parameters.push_back(parameter_with_gradient(torch::randn({i, 37})));
    }
    average(parameters, process, /*bucket_bytes=*/5000);
    std::string bits;
    for (const auto& parameter : parameters) {
      const auto* numbers = parameter.grad().data_ptr<float>();
      for (std::int64_t i = 0; i < parameter.numel(); ++i) bits += std::to_string(numbers[i]);
    }
    return Report{{"bits", bits}};
  });
  for (const Report& report : reports) CHECK(report.at("bits") == reports[0].at("bits"));
}

TEST_CASE("A parameter without a gradient counts as zero where another rank has one") {
  const auto reports = in_processes(2, [](Process& process) {
    torch::Tensor on_both = parameter_with_gradient(torch::full({2}, 4.0 + process.rank));
    torch::Tensor on_one = torch::zeros({3}).requires_grad_();
    if (process.rank == 1) on_one.mutable_grad() = torch::full({3}, 8.0);
    torch::Tensor on_none = torch::zeros({3}).requires_grad_();
    torch::Tensor frozen = torch::zeros({3});
    average({on_none, on_one, on_both, frozen}, process, 1 << 20);
    const bool right = on_both.grad().equal(torch::full({2}, 4.5)) && on_one.grad().defined() &&
                       on_one.grad().equal(torch::full({3}, 4.0)) && !on_none.grad().defined() &&
                       !frozen.grad().defined();
    return Report{{"right", right ? "yes" : "no"}};
  });
  CHECK(all_of(reports, "right") == "yes yes ");
}

TEST_CASE("Gradients of every type and layout are averaged, together with each other") {
  const auto reports = in_processes(2, [](Process& process) {
    const float mine = process.rank == 0 ? 1 : 3;
    std::vector<torch::Tensor> parameters;
    for (const auto type : {torch::kFloat, torch::kDouble, torch::kHalf, torch::kBFloat16}) {
      parameters.push_back(parameter_with_gradient(torch::full({2, 3}, mine).to(type)));
      parameters.push_back(parameter_with_gradient(torch::full({4}, mine).to(type)));
    }
    parameters.push_back(parameter_with_gradient(
        torch::full({2}, c10::complex<double>(mine, 2 * mine), torch::kComplexDouble)));
    // On one rank transposed, on the other not; and too large for the bucket.
    torch::Tensor numbers = torch::arange(600, torch::kFloat).reshape({20, 30}) * mine;
    torch::Tensor parameter = torch::zeros({20, 30}).requires_grad_();
    parameter.mutable_grad() = process.rank == 0 ? numbers : numbers.t().contiguous().t();
    parameters.push_back(parameter);
    average(parameters, process, 1000);
    bool right = true;
    for (std::size_t i = 0; i < 8; ++i) {
      right = right && parameters[i].grad().eq(2).all().item<bool>();
    }
    right =
        right && torch::view_as_real(parameters[8].grad()).select(1, 1).eq(4).all().item<bool>();
    right = right &&
            parameters[9].grad().equal(torch::arange(600, torch::kFloat).reshape({20, 30}) * 2);
    return Report{{"right", right ? "yes" : "no"}};
  });
  CHECK(all_of(reports, "right") == "yes yes ");
}

TEST_CASE("A weight that the optimizer has twice is averaged once") {
  const auto reports = in_processes(2, [](Process& process) {
    torch::Tensor tied = parameter_with_gradient(torch::full({3}, 2.0 + 2 * process.rank));
    average({tied, tied}, process, 1 << 20);
    return Report{{"right", tied.grad().equal(torch::full({3}, 3.0)) ? "yes" : "no"}};
  });
  CHECK(all_of(reports, "right") == "yes yes ");
}

TEST_CASE("A sparse gradient is refused before anything is summed") {
  torch::Tensor parameter = torch::zeros({3, 2}).requires_grad_();
  parameter.mutable_grad() =
      torch::sparse_coo_tensor(torch::zeros({1, 1}, torch::kLong), torch::ones({1, 2}), {3, 2});
  const torch::optim::SGD optimizer({parameter}, 0.1);
  CHECK_THROWS_WITH(GradientAveraging(optimizer).missing(), contains("sparse(false)"));
}

TEST_CASE("When a sum fails, those under way are waited for, as they write into the gradients") {
  struct BrokenRanks : lrfinder::Communicator {
    std::int64_t rank() const override { return 0; }
    std::int64_t size() const override { return 2; }
    std::vector<double> sum(std::vector<double> values) override { return values; }
    std::function<void()> begin_sum(const torch::Tensor&) override {
      if (++begun > 3) throw std::runtime_error("broken");
      return [this, mine = begun] {
        ++waited;
        if (mine == 1) throw std::runtime_error("broken too");
      };
    }
    void broadcast(const torch::Tensor&) override {}
    int begun = 0, waited = 0;
  };
  std::vector<torch::Tensor> parameters;
  for (int i = 0; i < 5; ++i) parameters.push_back(parameter_with_gradient(torch::ones({10})));
  const torch::optim::SGD optimizer(parameters, 0.1);
  BrokenRanks ranks;
  CHECK_THROWS_WITH(GradientAveraging(optimizer, /*bucket_bytes=*/1).run(ranks, false), "broken");
  CHECK(ranks.waited == 3);
}

TEST_CASE("Tensors of all kinds get the bits that they have on rank 0, and keep their storage") {
  const auto reports = in_processes(2, [](Process& process) {
    const auto tensors = tensors_of_all_kinds(process.rank);
    TensorList shared;
    std::vector<const void*> addresses;
    for (const auto& tensor : tensors) {
      shared.add(tensor);
      addresses.push_back(tensor.data_ptr());
    }
    shared.add(torch::Tensor());
    shared.broadcast(*lrfinder::communicator(process.group));
    bool kept = true;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      kept = kept && tensors[i].data_ptr() == addresses[i];
    }
    return Report{{"same", same_bits(tensors, tensors_of_all_kinds(0)) ? "yes" : "no"},
                  {"kept", kept ? "yes" : "no"}};
  });
  for (const Report& report : reports) {
    CHECK(report.count("threw") == 0);
    CHECK(report.at("same") == "yes");
    CHECK(report.at("kept") == "yes");
  }
}
