// Likely slips, which must not compile. check_messages.cmake compares what the compiler says with
// the comments: `says:` is part of the only error of the function that follows.

#include <memory>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

namespace {

using Batches = std::vector<torch::data::Example<>>;
using torch::nn::CrossEntropyLoss, torch::nn::Linear, torch::optim::SGD;

struct Net : torch::nn::Module {
  torch::Tensor forward(const torch::Tensor& input) { return input; }
};

struct NoForward : torch::nn::Module {
  torch::Tensor run(const torch::Tensor& input) { return input; }
};

}  // namespace

using Finder = lrfinder::LRFinder<Linear, SGD, CrossEntropyLoss>;

// says: dereference the pointer that torch::data::make_data_loader returns
void takes_a_pointer(Finder& finder, std::unique_ptr<Batches>& loader) {
  finder.range_test(loader);
}

// says: or options, for example RangeTestOptions().num_iter(100)
void takes_a_number_of_iterations(Finder& finder, Batches& loader) {
  finder.range_test(loader, 100);
}

// says: a plan, for example TrainingPlan().steps(10000), or FindOptions
void takes_a_number_of_steps(Finder& finder, Batches& loader) {
  lrfinder::Suggestion found = finder.find(loader, 10000);
}

// says: For a function with default arguments pass a lambda
void takes_a_function_with_default_arguments(Linear& model, SGD& optimizer, Batches& loader) {
  lrfinder::LRFinder finder(model, optimizer, torch::nn::functional::cross_entropy);
  finder.range_test(loader);
}

// says: the model must have a public forward()
void takes_a_model_without_forward(NoForward& model, SGD& optimizer, Batches& loader) {
  lrfinder::LRFinder finder(model, optimizer, CrossEntropyLoss());
  finder.range_test(loader);
}

// says: pass the model as what it is, for example as std::shared_ptr<Net>
void takes_a_pointer_to_the_base(SGD& optimizer, Batches& loader) {
  std::shared_ptr<torch::nn::Module> model = std::make_shared<Net>();
  lrfinder::LRFinder finder(model, optimizer, CrossEntropyLoss());
  finder.range_test(loader);
}

// says: the optimizer must be a torch::optim::Optimizer by reference
void takes_a_pointer_to_the_optimizer(Linear& model, std::unique_ptr<SGD>& optimizer) {
  lrfinder::LRFinder finder(model, optimizer, CrossEntropyLoss());
}
