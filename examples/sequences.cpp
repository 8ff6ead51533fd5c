// Sequences of different lengths, packed for a recurrent network. The batch says how it moves to a
// device and how many samples it holds by two functions beside it.

#include <cstdio>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/lrfinder.hpp>

namespace {

struct SequenceBatch {
  torch::Tensor tokens;   // padded: longest sequence x batch
  torch::Tensor lengths;  // on the CPU, as pack_padded_sequence wants them
  torch::Tensor targets;
};

SequenceBatch to_device(const SequenceBatch& batch, torch::Device device) {
  return {batch.tokens.to(device), batch.lengths, batch.targets.to(device)};
}

std::int64_t batch_size(const SequenceBatch& batch) { return batch.targets.size(0); }

// Counts: does a sequence of zeros and ones hold more ones?
SequenceBatch make_batch(std::int64_t size) {
  const auto lengths = torch::randint(5, 20, {size}, torch::kLong);
  const auto inside = torch::arange(20).unsqueeze(1) < lengths.unsqueeze(0);
  const auto tokens = torch::randint(2, {20, size}, torch::kLong) * inside;
  return {tokens, lengths, (2 * tokens.sum(0) > lengths).to(torch::kLong)};
}

struct CounterImpl : torch::nn::Module {
  torch::Tensor forward(const SequenceBatch& batch) {
    const auto packed = torch::nn::utils::rnn::pack_padded_sequence(
        embedding->forward(batch.tokens), batch.lengths, /*batch_first=*/false,
        /*enforce_sorted=*/false);
    return head->forward(std::get<1>(gru->forward_with_packed_input(packed))[0]);
  }
  torch::nn::Embedding embedding = register_module("embedding", torch::nn::Embedding(2, 8));
  torch::nn::GRU gru = register_module("gru", torch::nn::GRU(8, 32));
  torch::nn::Linear head = register_module("head", torch::nn::Linear(32, 2));
};
TORCH_MODULE(Counter);

}  // namespace

int main() {
  torch::manual_seed(1);
  std::vector<SequenceBatch> training;
  std::vector<SequenceBatch> validation;
  for (int i = 0; i < 30; ++i) training.push_back(make_batch(64));
  for (int i = 0; i < 3; ++i) validation.push_back(make_batch(100));

  Counter model;
  torch::optim::Adam optimizer(model->parameters(), 1e-5);
  const auto criterion = [](Counter& counter, const SequenceBatch& batch) {
    return torch::nn::functional::cross_entropy(counter->forward(batch), batch.targets);
  };
  lrfinder::LRFinder finder(model, optimizer, criterion,
                            lrfinder::TrainingOptions().clip_grad_norm(1));
  finder.range_test(training, validation, lrfinder::RangeTestOptions().end_lr(1));
  const auto suggestion = finder.suggestion();
  std::printf("Suggested learning rate: %.2g %s\n", suggestion.lr, suggestion.caveat.c_str());
  std::printf("Norm of the first gradient: %.2g\n", finder.history().grad_norm.front());
}
