#include <vector>

#include <lrfinder/lrfinder.hpp>

// A source of the same program that compiles what it needs itself.
double lr_in_other_source(torch::nn::Linear model, torch::optim::SGD& optimizer) {
  lrfinder::LRFinder finder(model, optimizer, torch::nn::MSELoss());
  finder.range_test(std::vector<torch::data::Example<>>{{torch::ones({2, 4}), torch::ones({2, 1})}},
                    lrfinder::RangeTestOptions().start_lr(1e-7));
  return optimizer.param_groups()[0].options().get_lr();
}
